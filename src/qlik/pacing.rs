//! Keeps us under Qlik's rate limits, per host and tier.
//!
//! Qlik allows a user 1000 reads and 100 writes a minute, and a tenant half of
//! that for each of its users (qlik.dev, "Rate limiting", 2025-06-19). A fresh
//! tenant has one user, our bot, so that 500 and 50 may be all there is; we take
//! four fifths of it.
//!
//! The rule: **nobody sleeps here.** A call that is too early is answered at once
//! with how long to wait, so that its worker can turn to another tenant.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::endpoint::Tier;
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::host::Host;

/// Hosts remembered before looking for some to forget.
const FIRST_SWEEP: usize = 1024;

impl Tier {
    /// Time to earn one request: 400 and 40 a minute.
    const fn interval(self) -> Duration {
        match self {
            Self::One => Duration::from_millis(150),
            Self::Two => Duration::from_millis(1500),
        }
    }

    /// Requests that may come at once after a pause. Qlik counts over five
    /// minutes, so that these and a minute's earnings stay far below.
    const fn burst(self) -> u32 {
        match self {
            Self::One => 100,
            Self::Two => 20,
        }
    }
}

/// How busy each host is.
pub(super) struct Pacing {
    state: Mutex<State>,
}

struct State {
    hosts: HashMap<Host, [Bucket; 2]>,
    sweep_at: usize,
}

/// A token bucket, kept as the moment when it will be full again (the generic
/// cell rate algorithm): one number instead of a level and the time it was read.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    full_at: Duration,
    closed_until: Duration,
}

impl Bucket {
    fn take(&mut self, tier: Tier, now: Duration) -> Result<(), Duration> {
        let owed = self.full_at.saturating_sub(now);
        let allowed = tier.interval() * (tier.burst() - 1);
        let wait = owed.saturating_sub(allowed).max(self.closed_until.saturating_sub(now));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = now + owed + tier.interval();
        Ok(())
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.full_at <= now && self.closed_until <= now
    }
}

impl Pacing {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { hosts: HashMap::new(), sweep_at: FIRST_SWEEP }) }
    }

    /// Spends one request of the host's tier.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Throttled`] when it must wait; nothing is spent then.
    pub(super) fn take(&self, host: &Host, tier: Tier, now: Duration) -> Result<(), Failure> {
        self.with(host, tier, now, |bucket| bucket.take(tier, now))
            .map_err(|wait| Failure::unanswered(FailureKind::Throttled { wait }))
    }

    /// Obeys a 429: nothing of this tier goes to the host before `until`.
    pub(super) fn close(&self, host: &Host, tier: Tier, now: Duration, until: Duration) {
        self.with(host, tier, now, |bucket| bucket.closed_until = bucket.closed_until.max(until));
    }

    fn with<T>(&self, host: &Host, tier: Tier, now: Duration, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let slot = match tier {
            Tier::One => 0,
            Tier::Two => 1,
        };
        // Nothing that runs under the lock leaves a bucket half changed.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buckets) = state.hosts.get_mut(host) {
            return act(&mut buckets[slot]);
        }
        state.make_room(now);
        act(&mut state.hosts.entry(host.clone()).or_default()[slot])
    }
}

impl State {
    /// Forgets hosts whose buckets are full again, which is the same as never
    /// having met them. What remains was used within the last minute or is closed.
    fn make_room(&mut self, now: Duration) {
        if self.hosts.len() >= self.sweep_at {
            self.hosts.retain(|_, buckets| !buckets.iter().all(|bucket| bucket.is_idle(now)));
            self.sweep_at = FIRST_SWEEP.max(2 * self.hosts.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn host(name: &str) -> Host {
        Host::parse(&format!("{name}.us.qlikcloud.com")).unwrap()
    }

    fn wait(result: Result<(), Failure>) -> Option<Duration> {
        result.err().map(|failure| {
            let FailureKind::Throttled { wait } = failure.kind else { panic!("{failure}") };
            wait
        })
    }

    #[test]
    fn after_a_burst_each_further_call_must_be_earned() {
        for (tier, burst, interval) in [(Tier::One, 100, 150), (Tier::Two, 20, 1500)] {
            let pacing = Pacing::new();
            let interval = Duration::from_millis(interval);
            for _ in 0..burst {
                assert_eq!(wait(pacing.take(&host("a"), tier, NOW)), None);
            }

            let early = wait(pacing.take(&host("a"), tier, NOW));
            let earned = wait(pacing.take(&host("a"), tier, NOW + interval));
            let again = wait(pacing.take(&host("a"), tier, NOW + interval));

            assert_eq!((early, earned, again), (Some(interval), None, Some(interval)));
        }
    }

    #[test]
    fn a_429_closes_its_own_host_and_tier_and_no_other() {
        let pacing = Pacing::new();
        pacing.close(&host("a"), Tier::Two, NOW, NOW + Duration::from_secs(13));
        pacing.close(&host("a"), Tier::Two, NOW, NOW + Duration::from_secs(2));

        let closed = wait(pacing.take(&host("a"), Tier::Two, NOW + Duration::from_secs(3)));

        assert_eq!(closed, Some(Duration::from_secs(10)));
        assert_eq!(wait(pacing.take(&host("a"), Tier::One, NOW)), None);
        assert_eq!(wait(pacing.take(&host("b"), Tier::Two, NOW)), None);
        assert_eq!(wait(pacing.take(&host("a"), Tier::Two, NOW + Duration::from_secs(13))), None);
    }

    #[test]
    fn hosts_that_are_idle_again_are_forgotten_and_busy_ones_are_not() {
        let pacing = Pacing::new();
        pacing.close(&host("closed"), Tier::Two, NOW, NOW + Duration::from_hours(1));
        for n in 0..FIRST_SWEEP {
            assert_eq!(wait(pacing.take(&host(&format!("h{n}")), Tier::One, NOW)), None);
        }

        let later = NOW + Duration::from_mins(1);
        for n in 0..FIRST_SWEEP {
            assert_eq!(wait(pacing.take(&host(&format!("i{n}")), Tier::One, later)), None);
        }

        assert!(pacing.state.lock().unwrap().hosts.len() <= FIRST_SWEEP + 1);
        assert!(wait(pacing.take(&host("closed"), Tier::Two, later)).is_some());
    }
}
