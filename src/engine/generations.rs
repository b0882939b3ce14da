//! Which configuration holds now.
//!
//! An engine never changes: another configuration is another engine, which shares with it all that
//! is under way ([`Engine::under`]).
//!
//! The rule: **a visit, a claim, a beat and a job each take one engine at their start** and end with
//! it. None is done half under the old configuration and half under the new.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Engine;

/// The engine of the configuration that holds now, for the loops that go on.
pub struct Generations<Q>(ArcSwap<Engine<Q>>);

impl<Q> Generations<Q> {
    /// Begins with this one.
    #[must_use]
    pub fn new(first: Arc<Engine<Q>>) -> Self {
        Self(ArcSwap::new(first))
    }

    /// The one that holds now.
    #[must_use]
    pub fn now(&self) -> Arc<Engine<Q>> {
        self.0.load_full()
    }

    /// From now on this one holds.
    pub fn replace(&self, next: Engine<Q>) {
        self.0.store(Arc::new(next));
    }
}
