//! Which rights this process was granted lately, until the database is told.
//!
//! The rule: what could not be told is kept, unless something newer came.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::ids::RegionName;
use crate::domain::machine::effect::EffectKind;

/// What this process did lately and has not told the database yet.
#[derive(Debug, Default)]
pub(super) struct Granted(Mutex<BTreeMap<(RegionName, EffectKind), Duration>>);

impl Granted {
    pub(super) fn note(&self, region: &RegionName, effect: EffectKind, at: Duration) {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((region.clone(), effect), at);
    }

    pub(super) fn take(&self) -> BTreeMap<(RegionName, EffectKind), Duration> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What could not be told is told next time, unless something newer is.
    pub(super) fn put_back(&self, untold: BTreeMap<(RegionName, EffectKind), Duration>) {
        let mut granted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, at) in untold {
            granted.entry(what).or_insert(at);
        }
    }
}
