//! Instants of a row: as stored, or so long after the commit that writes them.
//!
//! The rule: **a new instant travels as a duration** and becomes an instant where it is
//! written, by the database's clock. A process that was suspended between the two, or a
//! database that was failed over, must not bear a settle time in the past.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// An instant of a row, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// This one, as it was read.
    At(DateTime<Utc>),
    /// So long after the commit that writes it.
    After(Duration),
}

impl When {
    /// The instant of the commit.
    pub const NOW: Self = Self::After(Duration::ZERO);

    /// The instant, were it written at `now`. What no calendar can say is the calendar's end.
    #[must_use]
    pub fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::After(after) => TimeDelta::from_std(after)
                .ok()
                .and_then(|after| now.checked_add_signed(after))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }

    /// The same once it was written at `now`.
    #[must_use]
    pub fn written(self, now: DateTime<Utc>) -> Self {
        Self::At(self.at(now))
    }

    /// Whether it has come.
    #[must_use]
    pub fn is_over(self, now: DateTime<Utc>) -> bool {
        self.at(now) <= now
    }

    /// How long it has been, none if it is to come.
    #[must_use]
    pub fn age(self, now: DateTime<Utc>) -> Duration {
        (now - self.at(now)).to_std().unwrap_or_default()
    }

    /// How long it takes to come, none if it has come.
    #[must_use]
    pub fn left(self, now: DateTime<Utc>) -> Duration {
        (self.at(now) - now).to_std().unwrap_or_default()
    }

    /// The same, moved on.
    #[must_use]
    pub fn moved(self, by: Duration) -> Self {
        match self {
            Self::At(at) => Self::At(Self::After(by).at(at)),
            Self::After(after) => Self::After(after.saturating_add(by)),
        }
    }
}

/// The later of two, where there is any.
#[must_use]
pub fn latest(one: Option<When>, other: Option<When>, now: DateTime<Utc>) -> Option<When> {
    one.into_iter().chain(other).max_by_key(|when| when.at(now))
}

/// The earliest of all, where there is any.
#[must_use]
pub fn earliest(all: impl IntoIterator<Item = Option<When>>, now: DateTime<Utc>) -> Option<When> {
    all.into_iter().flatten().min_by_key(|when| when.at(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn the_later_and_the_earlier_are_judged_at_the_same_instant() {
        let (past, soon) = (When::At(now() - MINUTE), When::After(MINUTE));

        assert_eq!(latest(Some(past), Some(soon), now()), Some(soon));
        assert_eq!(earliest([Some(soon), None, Some(past)], now()), Some(past));
        assert_eq!(latest(None, None, now()), None);
        assert_eq!((past.age(now()), past.left(now())), (MINUTE, Duration::ZERO));
        assert_eq!((soon.age(now()), soon.left(now())), (Duration::ZERO, MINUTE));
    }

    #[test]
    fn what_is_written_stays_where_it_was_written() {
        let written = When::After(MINUTE).written(now());

        assert!(!written.is_over(now()));
        assert!(written.is_over(now() + MINUTE));
        assert!(When::NOW.is_over(now()));
    }

    #[test]
    fn no_duration_leaves_the_calendar() {
        assert_eq!(When::After(Duration::MAX).at(now()), DateTime::<Utc>::MAX_UTC);
        assert_eq!(When::After(Duration::MAX).moved(MINUTE), When::After(Duration::MAX));
    }
}
