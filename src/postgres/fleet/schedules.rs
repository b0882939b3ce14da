//! The slots of the schedule.
//!
//! The rule: due times live here, not in a process, so that a stalled or restarted
//! replica loses none, and a slot is taken by exactly one.

use std::time::Duration;

use crate::postgres::{Store, StoreError, interval};

/// What is done for the whole fleet from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Deletes old history.
    Prune,
    /// Gives new ready tenants a moment for their audits.
    PlanAudits,
    /// Moves the rollouts on.
    RollOut,
    /// Adds what changed to the kept counts.
    FoldCounts,
    /// Counts the tenants that were ready in time, and those that were not.
    JudgeObjective,
    /// Wakes the rows after a rejoin, slice by slice.
    Distrust,
}

impl Job {
    /// Every job.
    pub const ALL: [Self; 6] = [
        Self::Prune,
        Self::PlanAudits,
        Self::RollOut,
        Self::FoldCounts,
        Self::JudgeObjective,
        Self::Distrust,
    ];

    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prune => "prune",
            Self::PlanAudits => "plan_audits",
            Self::RollOut => "roll_out",
            Self::FoldCounts => "fold_counts",
            Self::JudgeObjective => "judge_objective",
            Self::Distrust => "distrust",
        }
    }

    /// Time between two slots.
    #[must_use]
    pub const fn every(self) -> Duration {
        match self {
            Self::Prune => Duration::from_hours(1),
            Self::PlanAudits => Duration::from_mins(1),
            Self::RollOut | Self::FoldCounts | Self::JudgeObjective | Self::Distrust => {
                Duration::from_secs(10)
            }
        }
    }
}

impl Store {
    /// Takes every slot that is due. However many were missed, a job is done once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.schedules.take", level = "debug", skip_all)]
    pub async fn take_slots(&self) -> Result<Vec<Job>, StoreError> {
        let (jobs, every): (Vec<_>, Vec<_>) =
            Job::ALL.into_iter().map(|job| (job.as_str().to_owned(), interval(job.every()))).unzip();
        let taken = sqlx::query_scalar!(
            r#"
            -- schedules.take
            UPDATE tenantd.schedules AS s
               SET due_at = tenantd.clock() + known.every, taken_at = tenantd.clock(), holder = $3
              FROM unnest($1::text[], $2::interval[]) AS known (job, every)
             WHERE s.job = known.job AND s.due_at <= tenantd.clock()
            RETURNING s.job
            "#,
            &jobs,
            &every,
            self.holder.0
        )
        .fetch_all(&self.connections);
        let taken = taken.await?;
        Ok(Job::ALL.into_iter().filter(|job| taken.iter().any(|taken| taken == job.as_str())).collect())
    }
}
