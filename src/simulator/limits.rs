//! Qlik's rate limits: per tier, per user, per tenant, over five minutes.
//!
//! The rule (qlik.dev, rate limiting): a full window refuses every call of its
//! tier and leaves the other tier alone. Refused calls do not fill the window.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// A class of endpoints with a common limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Most reads: 1000 a minute.
    One,
    /// Writes and the token endpoint: 100 a minute.
    Two,
}

/// What a window is counted by. `user` is `None` for the tenant's own limit.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tier: Tier,
    pub(super) host: String,
    pub(super) user: Option<String>,
}

/// The calls of the last five minutes.
#[derive(Debug, Default)]
pub(super) struct Windows(HashMap<Key, VecDeque<DateTime<Utc>>>);

/// The window's length, and how many minutes of calls fit into it.
const WINDOW: Duration = Duration::from_mins(5);
const MINUTES: usize = 5;

impl Windows {
    /// Counts a call, or tells after how many whole seconds the next one fits.
    pub(super) fn count(&mut self, key: Key, per_minute: usize, now: DateTime<Utc>) -> Result<(), u64> {
        let calls = self.0.entry(key).or_default();
        while calls.front().is_some_and(|first| *first + WINDOW <= now) {
            calls.pop_front();
        }
        match calls.front() {
            Some(first) if calls.len() >= per_minute * MINUTES => Err(whole_seconds(*first + WINDOW - now)),
            Some(_) | None => {
                calls.push_back(now);
                Ok(())
            }
        }
    }
}

fn whole_seconds(wait: chrono::TimeDelta) -> u64 {
    let millis = u64::try_from(wait.num_milliseconds()).unwrap_or(0);
    millis.div_ceil(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tier: Tier, host: &str) -> Key {
        Key { tier, host: host.to_owned(), user: Some("bot".to_owned()) }
    }

    #[test]
    fn a_full_window_refuses_its_tier_and_tenant_only_until_the_oldest_call_leaves() {
        let start = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let mut windows = Windows::default();
        for second in 0..10 {
            windows.count(key(Tier::Two, "a"), 2, start + Duration::from_secs(second)).unwrap();
        }
        let now = start + Duration::from_secs(10);

        assert_eq!(windows.count(key(Tier::Two, "a"), 2, now), Err(290));
        assert_eq!(windows.count(key(Tier::One, "a"), 2, now), Ok(()));
        assert_eq!(windows.count(key(Tier::Two, "b"), 2, now), Ok(()));
        assert_eq!(windows.count(key(Tier::Two, "a"), 2, start + WINDOW), Ok(()));
        assert_eq!(windows.count(key(Tier::Two, "a"), 2, start + WINDOW), Err(1));
    }
}
