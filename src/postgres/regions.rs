//! The breaker's memory, one row per region, shared by all replicas.
//!
//! A breaker opens when several tenants were refused within a window in which no
//! tenant of the region got a token. While it is open the claim passes the region
//! by and one tenant at a time is probed.
//!
//! The rule: what the region's credential did is never held against a tenant.

use std::time::Duration;

use super::claim::ClaimTerms;
use super::{Store, StoreError, interval};
use crate::domain::ids::{RegionName, TenantId};

/// Most rows sorted anew by one statement, so that none takes long.
const SORT_BATCH: i64 = 20_000;

/// A breaker as operators see it.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// Its region.
    pub region: RegionName,
    /// For how long it has been open; `None` while closed.
    pub open_for: Option<Duration>,
}

impl Store {
    /// Makes sure every configured region has its row, and sorts the rows anew
    /// whose region the configuration has changed. Rows parked because no region
    /// allowed their host go on if one does now, as if new. A breaker of a region
    /// that is no longer configured is closed: nobody would ever probe it.
    ///
    /// May be repeated at any time. Returns how many rows it touched.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn adopt_regions(&self, terms: &ClaimTerms) -> Result<u64, StoreError> {
        self.close_forgotten_breakers(terms).await?;
        let mut sorted = 0;
        loop {
            let batch = self.sort_rows(terms).await?;
            sorted += batch;
            if batch < SORT_BATCH.unsigned_abs() {
                return Ok(sorted);
            }
        }
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

    async fn sort_rows(&self, terms: &ClaimTerms) -> Result<u64, StoreError> {
        let (patterns, pattern_regions) = terms.patterns();
        let sorted = sqlx::query!(
                r#"
            -- regions.adopt
            WITH known AS (
                INSERT INTO tenantd.regions (region)
                SELECT DISTINCT region FROM unnest($2::text[]) AS p (region)
                ON CONFLICT DO NOTHING
            )
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
                     WHERE (tenants.region <> '' OR parked_reason = 'HostNotAllowed')
                       AND (tenants.region <> coalesce(matched.region, '')
                            OR matched.region IS NOT NULL AND parked_reason = 'HostNotAllowed')
                     LIMIT $3) AS m
             WHERE t.tenant_id = m.tenant_id
            "#,
                patterns,
                pattern_regions,
                SORT_BATCH
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
    pub async fn take_probe(
        &self,
        region: &RegionName,
        probe_every: Duration,
    ) -> Result<Option<(TenantId, String)>, StoreError> {
        let row = sqlx::query!(
                r#"
            -- regions.probe
            WITH turn AS (
                SELECT region, probed_tenant_id
                  FROM tenantd.regions
                 WHERE region = $1 AND opened_at IS NOT NULL AND probe_at <= tenantd.clock()
                   AND NOT EXISTS (
                       SELECT FROM tenantd.pauses AS p
                        WHERE p.region IN ('*', $1) AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
                   FOR UPDATE SKIP LOCKED
            ), chosen AS (
                SELECT t.tenant_id, t.host
                  FROM turn
                  JOIN tenantd.tenants AS t ON t.region = turn.region
                  LEFT JOIN tenantd.tenants AS last ON last.tenant_id = turn.probed_tenant_id
                 WHERE (t.lease_holder IS NULL
                        OR t.lease_expires_at <= tenantd.clock()
                           AND (t.unanswered IS NULL OR t.settles_at IS NOT NULL))
                   AND t.parked_reason IS NULL
                   AND (t.paused_at IS NULL OR t.paused_until <= tenantd.clock())
                   AND t.desired_state = 'present'
                   AND (t.phase <> 'pending' OR t.not_before IS NULL OR t.not_before <= tenantd.clock())
                 ORDER BY last.tenant_id IS NOT NULL
                          AND (t.ready_at IS NULL, t.credential_refused_at IS NOT NULL, t.tenant_id)
                              <= (last.ready_at IS NULL, last.credential_refused_at IS NOT NULL, last.tenant_id),
                          t.ready_at IS NULL, t.credential_refused_at IS NOT NULL, t.tenant_id
                 LIMIT 1
            )
            UPDATE tenantd.regions AS r
               SET probe_at = tenantd.clock() + $2::interval,
                   probed_tenant_id = (SELECT tenant_id FROM chosen)
              FROM turn
             WHERE r.region = turn.region
            RETURNING r.probed_tenant_id, (SELECT host FROM chosen) AS host
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
               AND t.wait_reason = 'CredentialRefused'
               AND t.due_at IS NOT NULL
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
            SELECT region,
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
                open_for: row.open_for_ms.map(super::duration),
            })
            .collect())
    }
}
