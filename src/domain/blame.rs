//! Whose the time is that passes from a row's insert to its first ready.
//!
//! Five parts are measured: how long a row rested is known from row to row, and what it rested
//! for; how long Qlik took is known from act to act. What is left is ours ([`Blame::Us`]), so
//! that the parts always add up to the whole.
//!
//! The rule: **no instant has two owners, and none has none**.

use std::time::Duration;

use super::reason::WaitReason;

/// Who is to blame for a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It was due, and no worker was free.
    Queue,
    /// A limit: it was told to come again later, by Qlik or by our own pacing, or waits for the
    /// hourly budget.
    Limit,
    /// Qlik: the acts themselves, a turn of our pacing within one included, and a tenant there that
    /// is not to be used.
    Remote,
    /// A failure was waited out, or a request that may still land.
    Backoff,
    /// Somebody: a pause, a `not_before`, what only people can mend.
    Human,
    /// All the rest: our own work, and what was lost with a process after its first commit.
    Us,
}

impl Blame {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 6] = [Self::Queue, Self::Limit, Self::Remote, Self::Backoff, Self::Human, Self::Us];

    /// The spelling in SQL, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Limit => "limit",
            Self::Remote => "remote",
            Self::Backoff => "backoff",
            Self::Human => "human",
            Self::Us => "us",
        }
    }

    /// Reads the spelling of SQL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|blame| blame.as_str() == text)
    }

    /// Who makes a tenant wait for this.
    #[must_use]
    pub const fn of(reason: WaitReason) -> Self {
        match reason {
            WaitReason::Settling
            | WaitReason::Retrying
            | WaitReason::ProofRefused
            | WaitReason::SecretSlotsFull => Self::Backoff,
            WaitReason::Throttled => Self::Limit,
            WaitReason::Blocked => Self::Remote,
            WaitReason::CredentialRefused
            | WaitReason::RightMissing
            | WaitReason::DeletionsHeld
            | WaitReason::ChangesHeld => Self::Human,
        }
    }
}

/// The measured parts, in the order of [`Blame::ALL`]; the last is what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent([Duration; 5]);

impl Spent {
    /// As they are stored, in microseconds; fewer or more than five are of another version.
    #[must_use]
    pub fn from_microseconds(parts: &[i64]) -> Self {
        let mut spent = Self::default();
        for (part, microseconds) in spent.0.iter_mut().zip(parts) {
            *part = Duration::from_micros(u64::try_from(*microseconds).unwrap_or_default());
        }
        spent
    }

    /// All of it was waited for people.
    #[must_use]
    pub fn waiting_for_people(time: Duration) -> Self {
        let mut spent = Self::default();
        spent.add(Blame::Human, time);
        spent
    }

    /// The measured parts, in microseconds.
    #[must_use]
    pub fn microseconds(&self) -> [i64; 5] {
        self.0.map(|part| i64::try_from(part.as_micros()).unwrap_or(i64::MAX))
    }

    /// What is ours is not measured.
    pub fn add(&mut self, blame: Blame, time: Duration) {
        let part = match blame {
            Blame::Queue => &mut self.0[0],
            Blame::Limit => &mut self.0[1],
            Blame::Remote => &mut self.0[2],
            Blame::Backoff => &mut self.0[3],
            Blame::Human => &mut self.0[4],
            Blame::Us => return,
        };
        // To the microsecond, as it is stored: what is below it is ours.
        *part += Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The whole by parts, which add up to it. Two clocks measured them, the database's and this
    /// machine's: what the parts have too much is taken from Qlik's, then from the others.
    #[must_use]
    pub fn of(&self, whole: Duration) -> [(Blame, Duration); 6] {
        let mut parts = self.0;
        let mut excess = parts.iter().sum::<Duration>().saturating_sub(whole);
        for place in [2, 0, 1, 3, 4] {
            let less = excess.min(parts[place]);
            parts[place] -= less;
            excess -= less;
        }
        let us = whole.saturating_sub(parts.iter().sum());
        let [queue, limit, remote, backoff, human] = parts;
        [
            (Blame::Queue, queue),
            (Blame::Limit, limit),
            (Blame::Remote, remote),
            (Blame::Backoff, backoff),
            (Blame::Human, human),
            (Blame::Us, us),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(parts: &[(Blame, Duration); 6]) -> Duration {
        parts.iter().map(|(_, part)| *part).sum()
    }

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_whole(
            times in prop::collection::vec((0_usize..6, 0_u64..1 << 40), 0..20),
            whole in 0_u64..1 << 44,
        ) {
            let mut spent = Spent::default();
            for (place, micros) in times {
                spent.add(Blame::ALL[place], Duration::from_nanos(micros));
            }
            let whole = Duration::from_micros(whole);

            let parts = spent.of(whole);

            prop_assert_eq!(sum(&parts), whole);
            prop_assert_eq!(Spent::from_microseconds(&spent.microseconds()), spent);
        }
    }

    #[test]
    fn what_nobody_measured_is_ours_and_what_is_too_much_was_not_qliks() {
        let mut spent = Spent::default();
        spent.add(Blame::Remote, Duration::from_millis(60));
        spent.add(Blame::Queue, Duration::from_millis(30));
        let of = |whole| spent.of(Duration::from_millis(whole)).map(|(_, part)| part.as_millis());

        assert_eq!(of(100), [30, 0, 60, 0, 0, 10]);
        assert_eq!(of(80), [30, 0, 50, 0, 0, 0]);
        assert_eq!(of(10), [10, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for blame in Blame::ALL {
            assert_eq!(Blame::parse(blame.as_str()), Some(blame));
        }
        assert_eq!(Blame::parse("them"), None);
    }
}
