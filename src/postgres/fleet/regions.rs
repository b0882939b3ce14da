//! The breaker's memory, one row per region, shared by all replicas.
//!
//! A breaker opens when several tenants were refused within a window in which no
//! tenant of the region got a token. While it is open the claim passes the region
//! by and one tenant at a time is probed.
//!
//! The rule: what the region's credential did is never held against a tenant.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Uuid;

use super::passes::{CHANGES, Pass};
use crate::domain::ids::{RegionName, TenantId};
use crate::postgres::work::claim::ClaimTerms;
use crate::postgres::{Store, StoreError, interval};

/// A breaker as operators see it.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// Its region.
    pub region: RegionName,
    /// For how long it has been open; `None` while closed.
    pub open_for: Option<Duration>,
    /// Since when it has been open; `None` while closed.
    pub opened_at: Option<DateTime<Utc>>,
    /// When a tenant last gave us a token.
    pub token_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Makes sure every configured region has its row, and sorts the rows anew
    /// whose region the configuration has changed. Rows parked because no region
    /// allowed their host go on if one does now, as if new. A breaker of a region
    /// that is no longer configured is closed: nobody would ever probe it.
    ///
    /// May be repeated at any time: all rows are asked only when the configuration is another
    /// than before, those that wait for a region every time. Returns how many rows it touched.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn adopt_regions(&self, terms: &ClaimTerms) -> Result<u64, StoreError> {
        self.close_forgotten_breakers(terms).await?;
        self.know_regions(terms).await?;
        let mut sorted = 0;
        let mut after = None;
        loop {
            let waiting = self.without_region(after).await?;
            sorted += self.sort_rows(terms, &waiting).await?;
            after = waiting.last().copied();
            if i64::try_from(waiting.len()).is_ok_and(|found| found < CHANGES) {
                break;
            }
        }
        let (patterns, regions) = terms.patterns();
        let asked: Vec<String> =
            patterns.iter().zip(regions).map(|(pattern, region)| format!("{pattern} {region}")).collect();
        let asked = asked.join(", ");
        while let Some(slice) = self.next_slice(Pass::SortRegions, &asked).await? {
            let now = self.sort_rows(terms, &slice.tenants).await?;
            self.end_slice(Pass::SortRegions, &asked, slice, now).await?;
            sorted += now;
        }
        Ok(sorted)
    }

    async fn know_regions(&self, terms: &ClaimTerms) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            -- regions.know
            INSERT INTO tenantd.regions (region)
            SELECT DISTINCT p.region FROM unnest($1::text[]) AS p (region)
             WHERE NOT EXISTS (SELECT FROM tenantd.regions AS r WHERE r.region = p.region)
            ON CONFLICT DO NOTHING
            "#,
            terms.patterns().1
        )
        .execute(&self.connections)
        .await?;
        Ok(())
    }

    /// The next rows that are parked because no region allowed their host.
    async fn without_region(&self, after: Option<Uuid>) -> Result<Vec<Uuid>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            -- regions.without
            SELECT tenant_id
              FROM tenantd.tenants
             WHERE parked_reason = 'HostNotAllowed'
               AND tenant_id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000')
             ORDER BY tenant_id
             LIMIT $2
            "#,
            after,
            CHANGES
        )
        .fetch_all(&self.connections)
        .await?)
    }

    async fn close_forgotten_breakers(&self, terms: &ClaimTerms) -> Result<(), StoreError> {
        let (_, configured) = terms.patterns();
        for breaker in self.breakers().await? {
            if breaker.open_for.is_some() && !configured.iter().any(|name| name == breaker.region.as_str()) {
                self.close_breaker(&breaker.region).await?;
            }
        }
        Ok(())
    }

    async fn sort_rows(&self, terms: &ClaimTerms, tenants: &[Uuid]) -> Result<u64, StoreError> {
        let (patterns, pattern_regions) = terms.patterns();
        let sorted = sqlx::query!(
                r#"
            -- regions.adopt
            UPDATE tenantd.tenants AS t
               SET region = m.region,
                   parked_reason = CASE WHEN m.is_allowed THEN NULL ELSE t.parked_reason END,
                   message = CASE WHEN m.is_allowed THEN NULL ELSE t.message END,
                   reason_since = CASE WHEN m.is_allowed THEN tenantd.clock() ELSE t.reason_since END,
                   progress_at = CASE WHEN m.is_allowed THEN tenantd.clock() ELSE t.progress_at END,
                   failures = CASE WHEN m.is_allowed THEN 0 ELSE t.failures END,
                   backoff_at = CASE WHEN m.is_allowed THEN NULL ELSE t.backoff_at END,
                   generation = t.generation + m.is_allowed::integer
              FROM (SELECT tenant_id,
                           coalesce(matched.region, '') AS region,
                           matched.region IS NOT NULL AND parked_reason = 'HostNotAllowed' IS TRUE AS is_allowed
                      FROM tenantd.tenants
                      LEFT JOIN LATERAL (
                           SELECT p.region
                             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS p (pattern, region, place)
                            WHERE p.pattern IN (host, '*' || substr(host, strpos(host, '.')))
                            ORDER BY p.place
                            LIMIT 1) AS matched ON true
                     WHERE tenant_id = ANY ($4::uuid[])
                       -- Who was never claimed is sorted by the first claim.
                       AND (tenants.region <> '' OR lease_epoch > 0 OR parked_reason = 'HostNotAllowed')
                       AND (tenants.region <> coalesce(matched.region, '')
                            OR matched.region IS NOT NULL AND parked_reason = 'HostNotAllowed')
                     LIMIT $3) AS m
             WHERE t.tenant_id = m.tenant_id
            "#,
                patterns,
                pattern_regions,
                CHANGES,
                tenants
            )
            .execute(&self.connections)
        .await?;
        Ok(sorted.rows_affected())
    }

    /// Remembers that a tenant of this region gave a token so long ago.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn token_seen(&self, region: &RegionName, ago: Duration) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            -- regions.token_seen
            UPDATE tenantd.regions
               SET token_at = greatest(token_at, tenantd.clock() - $2::interval)
             WHERE region = $1
            "#,
            region.as_str(),
            interval(ago)
        )
        .execute(&self.connections)
        .await?;
        Ok(())
    }

    /// Opens the breaker if `tenants` or more were refused within `window` and
    /// none got a token in it. Returns whether this call opened it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn open_breaker(
        &self,
        region: &RegionName,
        tenants: u32,
        window: Duration,
        probe_every: Duration,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"
            -- regions.open
            UPDATE tenantd.regions AS r
               SET opened_at = tenantd.clock(), probe_at = tenantd.clock() + $4::interval
             WHERE r.region = $1
               AND r.opened_at IS NULL
               AND coalesce(r.token_at < tenantd.clock() - $3::interval, true)
               AND (SELECT count(*)
                      FROM tenantd.tenants AS t
                     WHERE t.region = $1
                       AND t.credential_refused_at > tenantd.clock() - $3::interval) >= $2
            "#,
            region.as_str(),
            i64::from(tenants),
            interval(window),
            interval(probe_every)
        )
        .execute(&self.connections)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes the turn to probe a region whose breaker is open: at most one replica
    /// gets it. Begins with the tenants that worked before, then those that were never
    /// refused, and goes round all of them, so that some which are gone for good cannot keep the breaker open.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[expect(clippy::too_many_lines, reason = "one statement: a look for each class of tenants")]
    pub async fn take_probe(
        &self,
        region: &RegionName,
        probe_every: Duration,
    ) -> Result<Option<(TenantId, String)>, StoreError> {
        let row = sqlx::query!(
                r#"
            -- regions.probe
            WITH turn AS (
                SELECT region, probed_tenant_id,
                       -- Whom no slice of a rejoin has reached nobody leases, also not for a probe.
                       (SELECT i.rejoin_epoch FROM tenantd.installation AS i) AS rejoin_epoch
                  FROM tenantd.regions
                 WHERE region = $1 AND opened_at IS NOT NULL AND probe_at <= tenantd.clock()
                   AND NOT EXISTS (
                       SELECT FROM tenantd.pauses AS p
                        WHERE p.region IN ('*', $1) AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
                   FOR UPDATE SKIP LOCKED
            ), last AS (
                -- Where the round stands: class and tenant.
                SELECT (t.ready_at IS NULL)::integer * 2 + (t.credential_refused_at IS NOT NULL)::integer AS class,
                       t.tenant_id
                  FROM turn JOIN tenantd.tenants AS t ON t.tenant_id = turn.probed_tenant_id
            ), begun AS (
                -- After whom each class is looked through: in what is left of this round, then in the next.
                SELECT turn.rejoin_epoch, round,
                       ARRAY(SELECT CASE WHEN round = 1 OR class > coalesce((SELECT class FROM last), -1)
                                                THEN '00000000-0000-0000-0000-000000000000'
                                                WHEN class = (SELECT class FROM last) THEN (SELECT tenant_id FROM last)
                                                ELSE 'ffffffff-ffff-ffff-ffff-ffffffffffff' END
                                      FROM generate_series(0, 3) AS class ORDER BY class) AS after
                  FROM turn CROSS JOIN generate_series(0, 1) AS round
            ), chosen AS (
                -- In this order, and each class by the index that knows it.
                SELECT begun.round, coalesce(
                       (SELECT t.tenant_id FROM tenantd.tenants AS t
                         WHERE t.region = $1 AND t.ready_at IS NOT NULL AND t.credential_refused_at IS NULL
                           AND (t.rejoin_epoch = begun.rejoin_epoch OR t.lease_epoch = 0)
                           AND tenantd.may_be_probed(t) AND NOT tenantd.is_leased(t) AND t.tenant_id > begun.after[1]
                         ORDER BY t.tenant_id LIMIT 1),
                       (SELECT t.tenant_id FROM tenantd.tenants AS t
                         WHERE t.region = $1 AND t.ready_at IS NOT NULL AND t.credential_refused_at IS NOT NULL
                           AND (t.rejoin_epoch = begun.rejoin_epoch OR t.lease_epoch = 0)
                           AND tenantd.may_be_probed(t) AND NOT tenantd.is_leased(t) AND t.tenant_id > begun.after[2]
                         ORDER BY t.tenant_id LIMIT 1),
                       (SELECT t.tenant_id FROM tenantd.tenants AS t
                         WHERE t.region = $1 AND t.ready_at IS NULL AND t.credential_refused_at IS NULL AND t.is_under_way
                           AND (t.rejoin_epoch = begun.rejoin_epoch OR t.lease_epoch = 0)
                           AND tenantd.may_be_probed(t) AND NOT tenantd.is_leased(t) AND t.tenant_id > begun.after[3]
                         ORDER BY t.tenant_id LIMIT 1),
                       (SELECT t.tenant_id FROM tenantd.tenants AS t
                         WHERE t.region = $1 AND t.ready_at IS NULL AND t.credential_refused_at IS NOT NULL
                           AND (t.rejoin_epoch = begun.rejoin_epoch OR t.lease_epoch = 0)
                           AND tenantd.may_be_probed(t) AND NOT tenantd.is_leased(t) AND t.tenant_id > begun.after[4]
                         ORDER BY t.tenant_id LIMIT 1)) AS tenant_id
                  FROM begun
            ), next AS (
                SELECT t.tenant_id, t.host
                  FROM chosen JOIN tenantd.tenants AS t ON t.tenant_id = chosen.tenant_id
                 ORDER BY chosen.round
                 LIMIT 1
            )
            UPDATE tenantd.regions AS r
               SET probe_at = tenantd.clock() + $2::interval,
                   probed_tenant_id = (SELECT tenant_id FROM next)
              FROM turn
             WHERE r.region = turn.region
            RETURNING r.probed_tenant_id, (SELECT host FROM next) AS host
            "#,
                region.as_str(),
                interval(probe_every)
            )
            .fetch_optional(&self.connections)
        .await?;
        Ok(row.and_then(|row| Some((TenantId(row.probed_tenant_id?), row.host?))))
    }

    /// Closes the breaker: the region's tenants go on, and the time it was open is
    /// not held against them: here up to when a row was due, by its claim from then
    /// on. Returns how many were waiting.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn close_breaker(&self, region: &RegionName) -> Result<u64, StoreError> {
        let released = sqlx::query!(
            r#"
            -- regions.close
            WITH was AS (
                SELECT region, opened_at FROM tenantd.regions
                 WHERE region = $1 AND opened_at IS NOT NULL FOR UPDATE
            ), closed AS (
                UPDATE tenantd.regions AS r
                   SET opened_at = NULL, probe_at = NULL, probed_tenant_id = NULL, token_at = tenantd.clock()
                  FROM was WHERE r.region = was.region
            )
            UPDATE tenantd.tenants AS t
               SET progress_at = t.progress_at
                                 + greatest(least(t.due_at, tenantd.clock()) - was.opened_at, interval '0'),
                   credential_refused_at = NULL,
                   backoff_at = NULL,
                   generation = t.generation + 1
              FROM was
             WHERE t.region = was.region
               -- Whoever waits for that was refused: the index knows them.
               AND t.credential_refused_at IS NOT NULL
               AND t.wait_reason = 'CredentialRefused'
               AND (t.due_at IS NOT NULL OR t.paused_at IS NOT NULL)
            "#,
            region.as_str()
        )
        .execute(&self.connections)
        .await?;
        Ok(released.rows_affected())
    }

    /// Every region's breaker.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        let rows = sqlx::query!(
            r#"
            -- regions.list
            SELECT region, opened_at, token_at,
                   (extract(epoch FROM tenantd.clock() - opened_at) * 1000)::bigint AS open_for_ms
              FROM tenantd.regions
             ORDER BY region
            "#
        )
        .fetch_all(&self.connections)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Breaker {
                region: RegionName::new(row.region),
                open_for: row.open_for_ms.map(crate::postgres::duration),
                opened_at: row.opened_at,
                token_at: row.token_at,
            })
            .collect())
    }
}
