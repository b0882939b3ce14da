//! The memory of rights: what a region's OAuth client was granted and refused, by effect.
//!
//! A tenant counts as evidence against its region only while it was refused since the right
//! was last granted to another: whoever stays refused while others are served is refused
//! for a reason of his own.
//!
//! The rule: everything here is one statement, so that replicas which see the same thing at
//! once do it once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::{RegionName, TenantId};
use crate::domain::machine::effect::EffectKind;
use crate::postgres::{Store, StoreError, interval};

/// A right that a region is known to lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MissingRight {
    /// The region.
    pub region: String,
    /// What is not permitted.
    pub effect: String,
    /// Since when that is known.
    pub since: DateTime<Utc>,
    /// What the refusal said.
    pub answer: String,
    /// How many tenants wait for it.
    pub waiting: i64,
    /// It was granted meanwhile, or nobody waits for it any more.
    #[serde(skip)]
    pub is_over: bool,
}

/// Who speaks for a region about a right.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    /// So many tenants must have been refused, or all that the region has.
    pub tenants: u32,
    /// How often one of them asks from then on.
    pub ask_every: Duration,
}

impl Store {
    /// Remembers what was done on a tenant of which region, so long ago.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn rights_granted(
        &self,
        granted: &[(RegionName, EffectKind, Duration)],
    ) -> Result<(), StoreError> {
        let regions: Vec<_> = granted.iter().map(|(region, ..)| region.as_str().to_owned()).collect();
        let effects: Vec<_> = granted.iter().map(|(_, effect, _)| effect.as_str().to_owned()).collect();
        let ago: Vec<_> = granted.iter().map(|(.., ago)| ago.as_secs_f64()).collect();
        sqlx::query!(
            r#"
            -- rights.granted
            INSERT INTO tenantd.rights AS r (region, effect, granted_at)
            SELECT g.region, g.effect, tenantd.clock() - make_interval(secs => g.ago)
              FROM unnest($1::text[], $2::text[], $3::float8[]) AS g (region, effect, ago)
             ORDER BY g.region, g.effect
                ON CONFLICT (region, effect) DO UPDATE
               SET granted_at = greatest(r.granted_at, excluded.granted_at)
            "#,
            &regions,
            &effects,
            &ago
        )
        .execute(&self.connections)
        .await?;
        Ok(())
    }

    /// Notes that a region lacks a right, if enough of its tenants were refused and none was
    /// granted it since. What was spent until it was known is given back, and whoever was
    /// parked for it waits again. Returns whether this call made it known.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[expect(clippy::too_many_lines, reason = "one statement, and its arguments")]
    pub async fn note_missing_right(
        &self,
        region: &RegionName,
        effect: EffectKind,
        answer: &str,
        evidence: Evidence,
    ) -> Result<bool, StoreError> {
        let noted = sqlx::query_scalar!(
            r#"
            -- rights.note_missing
            WITH known AS (
                SELECT coalesce(max(granted_at), '-infinity') AS granted_at
                  FROM tenantd.rights WHERE region = $1 AND effect = $2
            ), refused AS (
                SELECT t.tenant_id
                  FROM tenantd.tenants AS t, known
                 WHERE t.region = $1 AND t.awaits_right = $2
                   AND t.right_refused_at > known.granted_at
                   AND (t.wait_reason = 'RightMissing' OR t.parked_reason = 'GaveUp')
                 LIMIT $4
            ), witnesses AS (
                -- Who was refused before it was granted elsewhere says nothing of the region.
                SELECT t.tenant_id
                  FROM tenantd.tenants AS t, known
                 WHERE t.region = $1 AND t.phase <> 'removed'
                   AND NOT (t.awaits_right IS NOT DISTINCT FROM $2
                            AND t.right_refused_at IS NOT NULL AND t.right_refused_at <= known.granted_at)
                 LIMIT $4
            ), noted AS (
                INSERT INTO tenantd.rights AS r (region, effect, missing_since, answer, ask_at)
                SELECT $1, $2, tenantd.clock(), $3, tenantd.clock() + $5
                 WHERE (SELECT count(*) FROM refused) >= greatest(1, (SELECT count(*) FROM witnesses))
                    ON CONFLICT (region, effect) DO UPDATE
                   SET missing_since = excluded.missing_since, answer = excluded.answer, ask_at = excluded.ask_at,
                       asked_tenant_id = NULL
                 WHERE r.missing_since IS NULL
                RETURNING r.region
            ), lacking AS (
                SELECT region FROM noted
                 UNION
                SELECT region FROM tenantd.rights WHERE region = $1 AND effect = $2 AND missing_since IS NOT NULL
            ), given_back AS (
                UPDATE tenantd.tenants AS t
                   SET failures = 0,
                       progress_at = tenantd.clock(),
                       wait_reason = 'RightMissing',
                       parked_reason = NULL,
                       backoff_at = NULL,
                       generation = t.generation + 1
                  FROM lacking
                 WHERE t.region = lacking.region AND t.awaits_right = $2
                   -- Who was under way when it became known spent something too.
                   AND (t.wait_reason = 'RightMissing' AND t.failures > 0 OR t.parked_reason = 'GaveUp')
                   AND NOT tenantd.is_leased(t)
            )
            SELECT count(*) AS "count!" FROM noted
            "#,
            region.as_str(),
            effect.as_str(),
            answer,
            i64::from(evidence.tenants),
            interval(evidence.ask_every) as _
        )
        .fetch_one(&self.connections)
        .await?;
        Ok(noted == 1)
    }

    /// Lets the next tenant ask for a right that its region lacks: at most one replica does
    /// it, at most so often. It goes round those who wait, and begins with whoever was never
    /// refused. Returns who it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn ask_for_right(
        &self,
        right: &MissingRight,
        every: Duration,
    ) -> Result<Option<TenantId>, StoreError> {
        let asked = sqlx::query_scalar!(
            r#"
            -- rights.ask
            WITH turn AS (
                SELECT r.region, r.effect, r.asked_tenant_id
                  FROM tenantd.rights AS r
                 WHERE r.region = $1 AND r.effect = $2 AND r.missing_since IS NOT NULL
                   AND r.ask_at <= tenantd.clock()
                   AND NOT EXISTS (
                       SELECT FROM tenantd.pauses AS p
                        WHERE p.region IN ('*', $1) AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
                   -- Whoever is asked keeps the turn for a while, where claims lag.
                   AND NOT EXISTS (
                       SELECT FROM tenantd.tenants AS a
                        WHERE a.tenant_id = r.asked_tenant_id AND a.wait_reason = 'RightMissing'
                          AND a.lease_holder IS NULL AND (a.paused_at IS NULL OR a.paused_until <= tenantd.clock())
                          AND a.due_at <= tenantd.clock() AND a.due_at > tenantd.clock() - interval '10 minutes')
                   FOR UPDATE SKIP LOCKED
            ), chosen AS (
                SELECT t.tenant_id
                  FROM turn
                  JOIN tenantd.tenants AS t ON t.region = turn.region AND t.awaits_right = turn.effect
                  LEFT JOIN tenantd.tenants AS last ON last.tenant_id = turn.asked_tenant_id
                 WHERE t.wait_reason = 'RightMissing'
                   AND t.due_at IS NOT NULL
                   AND NOT tenantd.is_leased(t)
                   AND (t.paused_at IS NULL OR t.paused_until <= tenantd.clock())
                 ORDER BY last.tenant_id IS NOT NULL
                          AND (t.right_refused_at IS NOT NULL, t.tenant_id) <= (last.right_refused_at IS NOT NULL, last.tenant_id),
                          t.right_refused_at IS NOT NULL, t.tenant_id
                 LIMIT 1
            ), moved AS (
                UPDATE tenantd.rights AS r
                   SET ask_at = tenantd.clock() + $3, asked_tenant_id = (SELECT tenant_id FROM chosen)
                  FROM turn
                 WHERE r.region = turn.region AND r.effect = turn.effect
            )
            UPDATE tenantd.tenants AS t
               SET generation = t.generation + 1, progress_at = tenantd.clock(), backoff_at = NULL
              FROM chosen
             WHERE t.tenant_id = chosen.tenant_id
            RETURNING t.tenant_id
            "#,
            right.region,
            right.effect,
            interval(every) as _
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(asked.map(TenantId))
    }

    /// A region has the right again, or nobody needs it: whoever waits goes on at once, and
    /// the time it was missing is held against nobody. Returns how many went on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn right_is_back(&self, region: &str, effect: &str) -> Result<Option<u64>, StoreError> {
        let released = sqlx::query!(
            r#"
            -- rights.back
            WITH back AS (
                UPDATE tenantd.rights
                   SET missing_since = NULL, answer = NULL, ask_at = NULL, asked_tenant_id = NULL
                 WHERE region = $1 AND effect = $2 AND missing_since IS NOT NULL
                RETURNING region, effect
            ), released AS (
                UPDATE tenantd.tenants AS t
                   SET generation = t.generation + 1, progress_at = tenantd.clock(), backoff_at = NULL, failures = 0
                  FROM back
                 WHERE t.region = back.region AND t.awaits_right = back.effect
                   AND t.wait_reason = 'RightMissing'
                   AND (t.due_at IS NOT NULL OR t.paused_at IS NOT NULL)
                RETURNING t.tenant_id
            )
            SELECT (SELECT count(*) FROM released) AS "released!" FROM back
            "#,
            region,
            effect
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(released.map(|row| row.released.unsigned_abs()))
    }

    /// Every right that a region is known to lack.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn missing_rights(&self) -> Result<Vec<MissingRight>, StoreError> {
        let rows = sqlx::query_as!(
            MissingRight,
            r#"
            -- rights.missing
            SELECT r.region, r.effect, r.missing_since AS "since!", r.answer AS "answer!", w.waiting AS "waiting!",
                   coalesce(r.granted_at > r.missing_since, false) OR w.waiting = 0 AS "is_over!"
              FROM tenantd.rights AS r
             CROSS JOIN LATERAL (
                   SELECT count(*) AS waiting FROM tenantd.tenants AS t
                    WHERE t.region = r.region AND t.awaits_right = r.effect
                      AND (t.wait_reason = 'RightMissing' OR t.lease_holder IS NOT NULL)) AS w
             WHERE r.missing_since IS NOT NULL
             ORDER BY r.region, r.effect
            "#
        )
        .fetch_all(&self.connections)
        .await?;
        Ok(rows)
    }
}
