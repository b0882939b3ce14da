//! Rollouts: what the daemon starts by itself, let through tenant by tenant.
//!
//! The rule: a turn judges, counts and admits in one transaction under the lock of
//! [`super::budget`], and asks nobody but the database.

mod repairs;
mod rotations;

use std::time::Duration;

use super::budget::{lock, lock_changes};
use crate::domain::drift::DriftKind;
use crate::domain::reason::{Evidence, ParkReason, WaitReason};
use crate::domain::rollout::{Kind, Outcomes, Progress, Stage, Verdict};
use crate::domain::tenant::RepairScope;
use crate::postgres::connections::Link;
use crate::postgres::{Store, StoreError, interval};

/// What is due to be rolled out.
#[derive(Debug, Clone, Copy)]
pub enum Rollout {
    /// Secrets beyond an age are renewed.
    Rotation {
        /// `rotation.every`
        every: Duration,
    },
    /// Drift is mended.
    Repair {
        /// How far.
        scope: RepairScope,
    },
}

/// Limits of a rollout.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most changes in an hour, over all that the daemon starts by itself.
    pub changes_per_hour: u32,
    /// How many tenants it begins with.
    pub canary: u32,
    /// Largest share that may fail.
    pub max_failure_ratio: f64,
    /// After how long without success a change that still fails counts as failed.
    pub give_up_after: Duration,
}

/// What a turn of a rollout did.
#[derive(Debug, Clone, PartialEq)]
pub struct Turned {
    /// Where it stands now.
    pub stage: Stage,
    /// Where it stood before.
    pub before: Stage,
    /// How many tenants were let through.
    pub admitted: u64,
    /// Why it halted.
    pub message: Option<String>,
}

impl Rollout {
    /// The kinds of drift that it mends.
    fn mendable(self) -> Vec<String> {
        match self {
            Self::Rotation { .. } => vec![],
            Self::Repair { scope } => repairs::mendable(scope),
        }
    }

    /// Which.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Rotation { .. } => Kind::Rotation,
            Self::Repair { .. } => Kind::Repair,
        }
    }
}

impl Store {
    /// One turn of a rollout: judges what was let through before, moves its stage on,
    /// and lets the next tenants through.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`], [`StoreError::Inconsistent`].
    #[tracing::instrument(name = "db.rollouts.turn", level = "debug", skip_all)]
    pub async fn turn_rollout(&self, rollout: Rollout, limits: &Limits) -> Result<Turned, StoreError> {
        let kind = rollout.kind();
        let mut transaction = self.patient.begin().await?;
        lock_changes(&mut transaction).await?;
        let before = lock(&mut transaction, kind).await?;
        let before = Stage::parse(&before).unwrap_or(Stage::Halted);
        let kinds = rollout.mendable();
        judge(&mut transaction, kind, limits.give_up_after, &kinds).await?;
        let progress = progress(&mut transaction, kind, rollout).await?;
        let verdict = Verdict::of(before, &progress, limits.canary, limits.max_failure_ratio);
        let (stage, message) = (verdict.stage, verdict.message(kind));
        if stage != before {
            enter(&mut transaction, kind, stage, message.as_deref()).await?;
        }
        let spent = spent(&mut transaction).await?;
        let left = i64::from(limits.changes_per_hour).saturating_sub(spent).max(0);
        let room = verdict.room.map_or(left, |room| left.min(i64::from(room)));
        let admitted = match rollout {
            _ if room == 0 => 0,
            Rollout::Rotation { every } => rotations::admit(&mut transaction, every, room).await?,
            Rollout::Repair { scope } => repairs::admit(&mut transaction, scope, room).await?,
        };
        match rollout {
            Rollout::Rotation { .. } => rotations::wake_unheard(&mut transaction).await?,
            Rollout::Repair { .. } => {}
        }
        transaction.commit().await?;
        Ok(Turned { stage, before, admitted, message })
    }
}

/// Ends the changes whose outcome is known. What speaks against its own tenant alone is
/// skipped: see [`ParkReason::evidence`].
async fn judge(
    connection: &mut Link,
    kind: Kind,
    patience: Duration,
    mendable: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        -- changes.judge
        UPDATE tenantd.changes AS c
           SET ended_at = tenantd.clock(), outcome = known.outcome
          FROM (SELECT x.change_id,
                       CASE WHEN t.tenant_id IS NULL OR t.desired_state = 'absent' OR t.phase IN ('removing', 'removed')
                            THEN 'skipped'
                            WHEN x.kind = 'rotation' AND t.current_version >= x.target_version THEN 'done'
                            WHEN t.parked_reason = ANY ($4::text[]) OR t.parked_reason = $7 AND t.drift && $8::text[]
                            THEN 'skipped'
                            WHEN t.parked_reason IS NOT NULL THEN 'failed'
                            WHEN x.kind = 'repair' AND t.repair_scope IS NULL AND t.phase = 'ready'
                            THEN CASE WHEN t.drift && $3::text[] THEN 'failed' ELSE 'done' END
                            WHEN t.wait_reason = ANY ($5::text[])
                                 OR t.paused_at IS NOT NULL AND coalesce(t.paused_until > tenantd.clock(), true)
                                 -- It waits for people, and would keep the fleet waiting.
                                 OR tenantd.is_region_stopped(t.region)
                            THEN 'skipped'
                            WHEN t.failures > 0 AND x.started_at < tenantd.clock() - $2::interval
                                 AND coalesce(t.wait_reason <> ALL ($6::text[]), true)
                            THEN CASE WHEN t.wait_reason = $7 AND t.drift && $8::text[] THEN 'skipped' ELSE 'failed' END
                       END AS outcome
                  FROM tenantd.changes AS x
                  LEFT JOIN tenantd.tenants AS t ON t.tenant_id = x.tenant_id
                 WHERE x.kind = $1 AND x.ended_at IS NULL) AS known
         WHERE c.change_id = known.change_id AND known.outcome IS NOT NULL
        "#,
        kind.as_str(),
        interval(patience),
        mendable,
        &ParkReason::spellings(Evidence::Tenant),
        &WaitReason::spellings(Evidence::Tenant),
        &WaitReason::spellings(Evidence::Nobody),
        ParkReason::ProofRefused.as_str(),
        &explaining_a_refusal()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How far the present rollout is, and whether anything more is due.
async fn progress(connection: &mut Link, kind: Kind, rollout: Rollout) -> Result<Progress, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        -- rollouts.progress
        SELECT (SELECT count(*) FROM tenantd.changes AS c
                 WHERE c.kind = r.kind AND c.ended_at IS NULL AND c.started_at >= r.started_at) AS "open!",
               count(*) FILTER (WHERE latest.outcome = 'done') AS "done!",
               count(*) FILTER (WHERE latest.outcome = 'failed') AS "failed!"
          FROM tenantd.rollouts AS r
          -- Twice as many as a canary may have: where a rollout never ends, what went well long
          -- ago must neither be counted for ever nor hide what fails now.
          LEFT JOIN LATERAL (
               SELECT c.outcome FROM tenantd.changes AS c
                WHERE c.kind = r.kind AND c.started_at >= r.started_at AND c.outcome IN ('done', 'failed')
                ORDER BY c.started_at DESC
                LIMIT 20000) AS latest ON true
         WHERE r.kind = $1
         GROUP BY r.kind, r.started_at
        "#,
        kind.as_str()
    )
    .fetch_one(&mut *connection)
    .await?;
    let is_more_due = match rollout {
        Rollout::Rotation { every } => rotations::is_due(connection, every).await?,
        Rollout::Repair { scope } => repairs::is_due(connection, scope).await?,
    };
    let progress = Progress {
        open: count(row.open),
        done: count(row.done),
        failed: count(row.failed),
        earlier: Outcomes::default(),
        is_more_due,
    };
    match progress.lacks() {
        0 => Ok(progress),
        lacking => {
            let earlier = earlier(connection, kind, &rollout.mendable(), lacking).await?;
            Ok(Progress { earlier, ..progress })
        }
    }
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The latest outcomes of other tenants before the present rollout, since an operator last
/// resumed one. A failure that somebody has mended since is answered.
async fn earlier(
    connection: &mut Link,
    kind: Kind,
    mendable: &[String],
    most: u32,
) -> Result<Outcomes, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        -- rollouts.earlier
        WITH present AS MATERIALIZED (
            SELECT r.kind, r.started_at, coalesce(r.judged_from, '-infinity') AS judged_from,
                   ARRAY(SELECT x.tenant_id FROM tenantd.changes AS x
                          WHERE x.kind = r.kind AND x.started_at >= r.started_at
                          ORDER BY x.started_at DESC
                          LIMIT 1000) AS tenants
              FROM tenantd.rollouts AS r
             WHERE r.kind = $1
        )
        SELECT count(*) FILTER (WHERE latest.outcome = 'done') AS "done!",
               count(*) FILTER (WHERE latest.outcome = 'failed') AS "failed!"
          FROM (SELECT last.outcome
                  FROM (SELECT DISTINCT ON (c.tenant_id) c.tenant_id, c.outcome, c.started_at
                          FROM present
                         -- Few are asked for: whoever lies behind so many is no witness any more.
                         CROSS JOIN LATERAL (
                               SELECT b.tenant_id, b.outcome, b.started_at FROM tenantd.changes AS b
                                WHERE b.kind = present.kind AND b.started_at < present.started_at
                                  AND b.started_at >= present.judged_from AND b.outcome IN ('done', 'failed')
                                ORDER BY b.started_at DESC
                                LIMIT 1000) AS c
                         WHERE c.tenant_id <> ALL (present.tenants)
                         ORDER BY c.tenant_id, c.started_at DESC) AS last
                  LEFT JOIN tenantd.tenants AS t ON t.tenant_id = last.tenant_id
                 WHERE last.outcome = 'done' OR t.parked_reason IS NOT NULL OR t.failures > 0 OR t.drift && $2::text[]
                 ORDER BY last.started_at DESC
                 LIMIT $3) AS latest
        "#,
        kind.as_str(),
        mendable,
        i64::from(most)
    )
    .fetch_one(connection)
    .await?;
    Ok(Outcomes { done: count(row.done), failed: count(row.failed) })
}

async fn enter(
    connection: &mut Link,
    kind: Kind,
    stage: Stage,
    message: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        -- rollouts.enter
        UPDATE tenantd.rollouts
           SET stage = $2,
               since = tenantd.clock(),
               -- A rollout begins when it leaves idle; a new one counts only its own changes.
               started_at = CASE WHEN stage = 'idle' THEN tenantd.clock() ELSE started_at END,
               message = $3
         WHERE kind = $1
        "#,
        kind.as_str(),
        stage.as_str(),
        message
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Changes that the daemon started by itself in the last hour.
async fn spent(connection: &mut Link) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        -- changes.spent
        SELECT count(*) AS "spent!"
          FROM tenantd.changes
         WHERE kind IN ('rotation', 'repair', 'census') AND started_at > tenantd.clock() - interval '1 hour'
        "#
    )
    .fetch_one(connection)
    .await
}

/// The kinds of drift for which a new secret gets no token.
fn explaining_a_refusal() -> Vec<String> {
    DriftKind::ALL.into_iter().filter(|kind| kind.explains_a_refusal()).map(|kind| kind.to_string()).collect()
}
