//! The objective: is a tenant ready within `objective.ready_within` of being wanted?
//!
//! The rule: **each is judged once, over all replicas, when its time is over**: whoever takes
//! its row out of `tenantd.awaited` counts it. What waits on its owner's own will is not held
//! against the daemon: time before `not_before` is no waiting, and who is absent by then, or
//! was paused meanwhile and is not ready for it, is not counted at all.

use std::time::Duration;

use crate::postgres::{Store, StoreError, interval};

/// Most tenants that one statement judges.
const BATCH: i64 = 10_000;

/// How many tenants were judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// Ready in time.
    pub met: u64,
    /// Not ready when the time was over, whether or not they became so later.
    pub missed: u64,
}

impl Store {
    /// Judges the tenants whose time is over, in batches; `tell` hears of each batch as soon
    /// as it is committed, because nobody can count it again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.objective.judge", level = "debug", skip_all)]
    pub async fn judge_objective(
        &self,
        ready_within: Duration,
        mut tell: impl FnMut(Judged),
    ) -> Result<(), StoreError> {
        loop {
            let batch = sqlx::query!(
                r#"
                -- objective.judge
                WITH over AS MATERIALIZED (
                    -- Waits for nobody, so that no owner's statement meets a deadlock for it:
                    -- whom somebody wants anew at this moment is judged another time.
                    SELECT tenant_id FROM tenantd.awaited
                     WHERE since <= tenantd.clock() - $1::interval
                     ORDER BY since LIMIT $2
                       FOR UPDATE SKIP LOCKED
                ), due AS (
                    DELETE FROM tenantd.awaited AS a USING over AS o
                     WHERE a.tenant_id = o.tenant_id
                    RETURNING a.tenant_id, a.since, a.since + $1::interval AS until
                ), judged AS (
                    SELECT coalesce(t.ready_at <= d.until AND t.phase <> 'removing', false) AS is_met,
                           coalesce(t.paused_at < d.until AND coalesce(t.paused_until, 'infinity') > d.since, false)
                           OR EXISTS (SELECT FROM tenantd.pauses AS p
                                       WHERE p.region IN ('*', t.region) AND p.paused_at < d.until
                                         AND coalesce(p.paused_until, 'infinity') > d.since) AS was_paused
                      FROM due AS d
                      JOIN tenantd.tenants AS t USING (tenant_id)
                     WHERE t.desired_state = 'present'
                )
                SELECT (SELECT count(*) FROM due) AS "due!",
                       count(*) FILTER (WHERE is_met) AS "met!",
                       count(*) FILTER (WHERE NOT is_met AND NOT was_paused) AS "missed!"
                  FROM judged
                "#,
                interval(ready_within) as _,
                BATCH
            )
            .fetch_one(&self.connections)
            .await?;
            tell(Judged { met: batch.met.unsigned_abs(), missed: batch.missed.unsigned_abs() });
            if batch.due < BATCH {
                return Ok(());
            }
        }
    }
}
