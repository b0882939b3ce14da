//! Which configuration holds now.
//!
//! An engine never changes: another configuration is another engine, which shares with it all that
//! is under way ([`Engine::under`]).
//!
//! The rule: **a visit, a claim, a beat and a job each take one engine at their start** and end with
//! it; who waits in line has not started. So a visit may begin under a newer one than its claim: what
//! that no longer admits is written back without its intent to create, because nothing was sent.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::Engine;

/// The engine of the configuration that holds now, for the loops that go on.
pub struct Generations<Q> {
    now: Arc<ArcSwap<Engine<Q>>>,
    /// Called when another holds.
    pub(super) replaced: Arc<Notify>,
}

/// Of the same engines.
impl<Q> Clone for Generations<Q> {
    fn clone(&self) -> Self {
        Self { now: Arc::clone(&self.now), replaced: Arc::clone(&self.replaced) }
    }
}

impl<Q> Generations<Q> {
    /// Begins with this one.
    #[must_use]
    pub fn new(first: Arc<Engine<Q>>) -> Self {
        Self { now: Arc::new(ArcSwap::new(first)), replaced: Arc::default() }
    }

    /// The one that holds now.
    #[must_use]
    pub fn now(&self) -> Arc<Engine<Q>> {
        self.now.load_full()
    }

    /// From now on this one holds. Claims begin under it at once: the poll that is slept out now
    /// may be a long one of the configuration before.
    pub fn replace(&self, next: Engine<Q>) {
        self.now.store(Arc::new(next));
        self.replaced.notify_one();
    }
}
