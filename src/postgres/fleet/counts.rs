//! How many tenants stand where.
//!
//! The rule: nobody counts the fleet. What is at rest is kept as a number
//! (`tenantd.totals`); what is under way is few and counted, and where it is not few,
//! its phases are estimated from a fair sample.

use chrono::{DateTime, Utc};

use crate::postgres::{Store, StoreError};

/// Most tenants under way that are counted one by one; beyond, their phases are estimated.
const SAMPLE: i64 = 20_000;
/// The same of reasons, each of which the view derives.
const REASONS_SAMPLE: i64 = 1_000;
/// Most deltas that one statement folds.
const FOLD_BATCH: i64 = 10_000;

/// How many tenants are in a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InPhase {
    /// Which.
    pub phase: String,
    /// How many; an estimate while more than 20,000 are under way.
    pub tenants: i64,
}

/// How many tenants are not ready for a reason that passes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub reason: String,
    /// How many; an estimate while more than 1,000 are under way.
    pub tenants: i64,
    /// Whether it is one.
    pub is_estimate: bool,
}

/// How many tenants that are not ready are paused, each by itself, until somebody ends it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paused {
    /// How many, up to 1,000.
    pub tenants: i64,
    /// Whether there are more.
    pub are_more: bool,
    /// Since when the first of them is.
    pub since: Option<DateTime<Utc>>,
}

/// How many tenants wait for somebody to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// For which reason.
    pub reason: String,
    /// How many.
    pub tenants: i64,
}

impl Store {
    /// How many tenants are in each phase. Up to 20,000 that are neither at rest as ready nor
    /// removed are counted. Of more, so many are taken in the order of their random ids, and
    /// stand for the others; the sum is right all the same.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn phases(&self) -> Result<Vec<InPhase>, StoreError> {
        Ok(sqlx::query_as!(
            InPhase,
            r#"
            -- counts.phases
            WITH looked AS (
                SELECT u.phase, count(*) AS tenants
                  FROM (SELECT phase FROM tenantd.tenants WHERE is_under_way ORDER BY tenant_id LIMIT $1) AS u
                 GROUP BY u.phase
            ), known AS (
                SELECT w.*, CASE WHEN (SELECT sum(tenants) FROM looked) < $1 THEN 1
                                 ELSE greatest(w.under_way, $1) / $1::numeric END AS each_stands_for
                  FROM tenantd.totals AS w
            )
            SELECT phase AS "phase!", sum(tenants)::bigint AS "tenants!"
              FROM (SELECT looked.phase, round(looked.tenants * known.each_stands_for) AS tenants FROM looked, known
                    UNION ALL SELECT 'ready', ready FROM known
                    UNION ALL SELECT 'removed', tenants - ready - under_way FROM known) AS part
             GROUP BY phase
            HAVING sum(tenants) > 0
             ORDER BY phase
            "#,
            SAMPLE
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// How many tenants are not ready for which reason, but for those that are parked. Counted
    /// and estimated like phases, of 1,000.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn waiting_reasons(&self) -> Result<Vec<Waiting>, StoreError> {
        Ok(sqlx::query_as!(
            Waiting,
            r#"
            -- counts.waiting
            WITH sample AS MATERIALIZED (
                SELECT tenant_id FROM tenantd.tenants WHERE is_under_way ORDER BY tenant_id LIMIT $1
            ), looked AS (
                SELECT s.reason, count(*) AS tenants
                  FROM sample
                  JOIN tenantd.status AS s ON s.tenant_id = sample.tenant_id
                 WHERE s.reason IS NOT NULL AND NOT s.parked
                 GROUP BY s.reason
            ), known AS (
                SELECT CASE WHEN (SELECT count(*) FROM sample) < $1 THEN 1
                            ELSE greatest(w.under_way, $1) / $1::numeric END AS each_stands_for
                  FROM tenantd.totals AS w
            )
            SELECT looked.reason AS "reason!", round(looked.tenants * known.each_stands_for)::bigint AS "tenants!",
                   known.each_stands_for > 1 AS "is_estimate!"
              FROM looked, known
             ORDER BY looked.tenants DESC, looked.reason
            "#,
            REASONS_SAMPLE
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// How many tenants that are not ready are paused by themselves and without an end: those that
    /// are parked wait for somebody anyhow. Counted up to 1,000.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn paused_alone(&self) -> Result<Paused, StoreError> {
        Ok(sqlx::query_as!(
            Paused,
            r#"
            -- counts.paused
            SELECT least(count(*), $1::bigint) AS "tenants!", count(*) > $1 AS "are_more!", min(p.paused_at) AS since
              FROM (SELECT paused_at
                      FROM tenantd.tenants
                     WHERE is_under_way AND paused_at IS NOT NULL AND paused_until IS NULL
                       AND parked_reason IS NULL AND phase <> 'removed'
                       AND NOT (current_version IS NOT NULL AND desired_state = 'present' AND phase <> 'removing')
                     ORDER BY paused_at
                     LIMIT $1::bigint + 1) AS p
            "#,
            REASONS_SAMPLE
        )
        .fetch_one(&self.connections)
        .await?)
    }

    /// How many tenants wait for somebody, by reason.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn parked_reasons(&self) -> Result<Vec<Parked>, StoreError> {
        Ok(sqlx::query_as!(
            Parked,
            r#"
            -- counts.parked
            SELECT parked_reason AS "reason!", count(*) AS "tenants!"
              FROM tenantd.tenants
             WHERE parked_reason IS NOT NULL
             GROUP BY parked_reason
             ORDER BY parked_reason
            "#
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// Adds the deltas to the kept counts, in batches. Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.counts.fold", level = "debug", skip_all)]
    pub async fn fold_counts(&self) -> Result<u64, StoreError> {
        let mut folded = 0;
        loop {
            let batch = sqlx::query_scalar!(
                r#"
                -- counts.fold
                WITH taken AS (
                    DELETE FROM tenantd.count_deltas
                     WHERE ctid = ANY (ARRAY(SELECT ctid FROM tenantd.count_deltas LIMIT $1))
                    RETURNING tenants, ready, under_way, removed
                ), added AS (
                    SELECT count(*) AS deltas, sum(tenants) AS tenants, sum(ready) AS ready,
                           sum(under_way) AS under_way, sum(removed) AS removed
                      FROM taken
                )
                UPDATE tenantd.counts AS c
                   SET tenants = c.tenants + a.tenants,
                       ready = c.ready + a.ready,
                       under_way = c.under_way + a.under_way,
                       removed = c.removed + a.removed
                  FROM added AS a
                 WHERE a.deltas > 0
                RETURNING a.deltas AS "deltas!"
                "#,
                FOLD_BATCH
            )
            .fetch_optional(&self.connections)
            .await?
            .unwrap_or(0);
            folded += batch.unsigned_abs();
            if batch < FOLD_BATCH {
                return Ok(folded);
            }
        }
    }
}
