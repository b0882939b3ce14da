//! How a daemon stops: first it drains, then, if told again, it breaks off.
//!
//! Draining means: claim nothing more, finish the step in flight, give leases
//! back. Breaking off means: leave at once; leases run out by themselves.

use tokio_util::sync::CancellationToken;

/// The two ways to stop. Clones share the same state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Stop claiming, finish steps, give leases back.
    pub drain: CancellationToken,
    /// Leave at once.
    pub abort: CancellationToken,
}

impl Stop {
    /// Nobody wants to stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first call drains, the second breaks off.
    pub fn request(&self) {
        if self.drain.is_cancelled() {
            self.abort.cancel();
        } else {
            self.drain.cancel();
        }
    }
}
