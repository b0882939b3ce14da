//! Time and chance as the machine gives them: the one place that asks.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::ports::{Clock, Entropy};

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose [`Clock::elapsed`] counts from now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        // Without random numbers no key and no lease is safe: better to stop than to go on.
        getrandom::fill(&mut bytes).expect("the operating system has random numbers");
        u128::from_le_bytes(bytes)
    }
}
