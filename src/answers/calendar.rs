//! The rotations of some weeks, day by day (UTC).

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::domain::rollout::Bounds;
use crate::postgres::operator::calendar::{Renewed, Served};
use crate::postgres::operator::fleet::RolloutStatus;
use crate::postgres::{Store, StoreError};

/// Days before and after today.
pub const DAYS: u16 = 28;

/// What was rotated, and what is to be.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Calendar {
    /// By the database's clock.
    pub read_at: DateTime<Utc>,
    /// The age at which a secret is renewed by itself; none where it is not.
    pub every: Option<Duration>,
    /// How many changes an hour the budget lets through.
    pub changes_per_hour: u32,
    pub rollout: Option<RolloutStatus>,
    /// [`DAYS`] before today, today, and [`DAYS`] after it.
    pub days: Vec<Day>,
    /// Secrets that were of age before today and are not renewed yet.
    pub overdue: i64,
    /// Secrets that come of age later.
    pub later: i64,
}

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Which.
    pub date: NaiveDate,
    /// Current secrets that serve since then, first and renewed ones.
    pub served: i64,
    /// Rotations of rollouts that were let through and ended well.
    pub renewed: i64,
    /// Those that failed.
    pub failed: i64,
    /// Secrets that come of age.
    pub due: i64,
}

impl Calendar {
    /// As it is now, with this age of secrets.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn of(every: Option<Duration>, bounds: &Bounds, store: &Store) -> Result<Self, StoreError> {
        let read_at = store.now().await?;
        let served = store.served_since(every).await?;
        let renewed = store.renewed(i32::from(DAYS)).await?;
        let rollout = store.rollouts().await?.into_iter().find(|rollout| rollout.kind == "rotation");
        Ok(Self {
            every,
            changes_per_hour: bounds.changes_per_hour,
            rollout,
            ..Self::by_day(read_at, &served, &renewed)
        })
    }

    fn by_day(read_at: DateTime<Utc>, served: &[Served], renewed: &[Renewed]) -> Self {
        let today = read_at.date_naive();
        let first = today - Days::new(DAYS.into());
        let empty = |date| Day { date, served: 0, renewed: 0, failed: 0, due: 0 };
        let dates = first.iter_days().take(usize::from(DAYS) * 2 + 1);
        let mut days: BTreeMap<NaiveDate, Day> = dates.map(|date| (date, empty(date))).collect();
        let (mut overdue, mut later) = (0, 0);
        for part in served {
            if let Some(day) = days.get_mut(&part.since) {
                day.served += part.secrets;
            }
            match part.due {
                Some(due) if due < today => overdue += part.secrets,
                Some(due) => match days.get_mut(&due) {
                    Some(day) => day.due += part.secrets,
                    None => later += part.secrets,
                },
                None => {}
            }
        }
        for part in renewed {
            let Some(day) = days.get_mut(&part.day) else { continue };
            match part.outcome.as_deref() {
                Some("done") => day.renewed += part.rotations,
                Some("failed") => day.failed += part.rotations,
                Some(_) | None => {}
            }
        }
        Self {
            read_at,
            every: None,
            changes_per_hour: 0,
            rollout: None,
            days: days.into_values().collect(),
            overdue,
            later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_told_on_its_day_or_before_or_after_all_days() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let today = now.date_naive();
        let day = |offset: i64| today + chrono::TimeDelta::days(offset);
        let served = |since, due, secrets| Served { since: day(since), due: Some(day(due)), secrets };
        let renewed = |outcome: Option<&str>, rotations| Renewed {
            day: day(-3),
            outcome: outcome.map(str::to_owned),
            rotations,
        };

        let calendar = Calendar::by_day(
            now,
            &[served(-28, 0, 2), served(-29, -1, 3), served(0, 28, 4), served(0, 29, 5)],
            &[renewed(Some("done"), 6), renewed(Some("failed"), 7), renewed(None, 8)],
        );

        let of = |offset| calendar.days.iter().find(|found| found.date == day(offset)).copied().unwrap();
        assert_eq!(calendar.days.len(), 57);
        assert_eq!((of(-28).served, of(0).served, of(0).due, of(28).due), (2, 9, 2, 4));
        assert_eq!((of(-3).renewed, of(-3).failed), (6, 7));
        assert_eq!((calendar.overdue, calendar.later), (3, 5));
    }
}
