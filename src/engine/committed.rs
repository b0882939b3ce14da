//! How much the database took from this process, by effect: who refuses one row while it takes
//! others of its kind, refuses the row.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::machine::effect::EffectKind;

/// How many commits of each effect the database took from this process.
#[derive(Debug, Default)]
pub(super) struct Committed([AtomicU64; EffectKind::ALL.len()]);

impl Committed {
    pub(super) fn note(&self, effect: EffectKind) {
        self.0[effect as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, effect: EffectKind) -> u64 {
        self.0[effect as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_is_counted_by_itself() {
        let committed = Committed::default();
        for (number, effect) in (1..).zip(EffectKind::ALL) {
            (0..number).for_each(|_| committed.note(effect));
        }

        for (number, effect) in (1..).zip(EffectKind::ALL) {
            assert_eq!(committed.count(effect), number, "{effect}");
        }
    }
}
