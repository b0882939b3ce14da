//! What a failure permits, and how long to wait.
//!
//! The rule: every wait is bounded, and drawn with full jitter, so that what failed together
//! does not come again together.

use std::time::Duration;

/// What a failure allows us to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// Nothing happened, or it may be done again: back off.
    Transient,
    /// It may have happened or may still happen: settle, look, then back off.
    Ambiguous,
    /// Wait as told. Spends nothing.
    Throttled {
        /// How long.
        wait: Duration,
    },
    /// Our own credential was refused; every tenant of the region will fail alike.
    Unauthorized,
    /// The region's OAuth client lacks the right to do this here: on this tenant alone, or
    /// on all of its region.
    Forbidden,
    /// The tenant is not there to be asked. Look again slowly. Spends nothing.
    Blocked,
    /// The new credential got no token: may be lag, may be a bad secret.
    ProofRefused,
    /// Our own client is not to be seen: may be lag.
    Missing,
    /// Asking again cannot help.
    Permanent,
}

impl RetryClass {
    /// Every class; of a throttle without its wait.
    pub const ALL: [Self; 9] = [
        Self::Transient,
        Self::Ambiguous,
        Self::Throttled { wait: Duration::ZERO },
        Self::Unauthorized,
        Self::Forbidden,
        Self::Blocked,
        Self::ProofRefused,
        Self::Missing,
        Self::Permanent,
    ];

    /// The spelling in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Ambiguous => "ambiguous",
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Blocked => "blocked",
            Self::ProofRefused => "proof_refused",
            Self::Missing => "missing",
            Self::Permanent => "permanent",
        }
    }
}

/// A random share of a wait, from 0 up to, but not including, 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// Spreads 32 random bits evenly over the range.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(f64::from(bits) / (f64::from(u32::MAX) + 1.0))
    }
}

/// How failures are waited out and ready tenants cared for. All of it comes from the
/// configuration.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Ceiling of the first wait (`retry.base`).
    pub base: Duration,
    /// Ceiling of every wait (`retry.cap`).
    pub cap: Duration,
    /// Longest time without progress before a row is parked (`retry.give_up_after`).
    pub give_up_after: Duration,
    /// How long an unanswered create or mint may still land (`qlik.settle`).
    pub settle: Duration,
    /// How long a refused proof may be lag (`prove.patience`).
    pub prove_patience: Duration,
    /// How long a previous secret stays valid beside the current one (`rotation.overlap`).
    pub overlap: Duration,
    /// How often a ready tenant is audited (`audit.every`); `None` for never.
    pub audit_every: Option<Duration>,
}

impl Policy {
    /// How long a missing client of ours may be lag.
    pub const MISSING_PATIENCE: Duration = Duration::from_mins(10);
    /// How often a blocked tenant is asked again.
    pub const BLOCKED_EVERY: Duration = Duration::from_mins(15);
    /// How often a tenant is taken up for which its region lacks a right. It is woken as
    /// soon as the right is back.
    pub const RIGHT_MISSING_EVERY: Duration = Duration::from_hours(1);
    /// How often a duplicate that waits for the budget of removals is looked at again.
    pub const BUDGET_AGAIN: Duration = Duration::from_mins(15);
    /// How long a removal lets the pacing of its requests earn, before it goes on revoking
    /// tokens: some ten deletions and a hundred pages.
    pub const EARNED_BATCH: Duration = Duration::from_secs(15);
    /// Ceiling of the wait between attempts at a removal that has failed for too long.
    pub const SLOW_REMOVAL: Duration = Duration::from_hours(1);

    /// Exponential backoff with full jitter: a random share of `base * 2^(failures-1)`,
    /// at most of `cap`. `failures` counts from 1.
    #[must_use]
    pub fn backoff(&self, failures: u32, jitter: Jitter) -> Duration {
        self.backoff_to(self.cap, failures, jitter)
    }

    /// The same for what has failed for too long and still must not be given up.
    #[must_use]
    pub fn slow_backoff(&self, failures: u32, jitter: Jitter) -> Duration {
        self.backoff_to(self.cap.max(Self::SLOW_REMOVAL), failures, jitter)
    }

    fn backoff_to(&self, cap: Duration, failures: u32, jitter: Jitter) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(cap).mul_f64(jitter.0)
    }

    /// When a row whose create was ever unknown is looked at again.
    #[must_use]
    pub fn recheck_after(&self) -> Duration {
        self.settle * 2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn backoff_never_exceeds_the_cap(failures in 0_u32..1000, bits: u32) {
            let policy = Policy {
                base: Duration::from_secs(2),
                cap: Duration::from_mins(15),
                give_up_after: Duration::from_hours(1),
                settle: Duration::from_mins(2),
                prove_patience: Duration::from_mins(10),
                overlap: Duration::from_hours(1),
                audit_every: None,
            };

            let wait = policy.backoff(failures, Jitter::from_bits(bits));

            prop_assert!(wait <= policy.cap);
            prop_assert!(failures > 1 || wait <= policy.base);
        }
    }
}
