//! New secrets in the clear, kept between two attempts to prove them by a daemon
//! that only seals.
//!
//! Such a daemon cannot open what it stored, so without this every retry of a proof
//! would cost a fresh secret. A daemon that can open keeps nothing here.
//!
//! The rules: a secret is taken out to be used and put back only if it is not proven
//! yet; it counts only for the very text it was sealed to; and there are never more
//! than [`CAPACITY`]: one that is dropped is replaced by a fresh one at Qlik.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::ids::TenantId;
use crate::domain::secret::ClientSecret;

/// Most secrets kept; beyond that all are dropped.
const CAPACITY: usize = 1024;

/// A secret together with what it was sealed to.
#[derive(Debug)]
pub(super) struct InHand {
    /// In the clear.
    pub(super) secret: ClientSecret,
    /// The compact JWE as stored.
    pub(super) sealed: String,
}

/// The secrets that wait for their proof.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<TenantId, InHand>>);

impl Kept {
    /// Keeps a secret until the next attempt.
    pub(super) fn put(&self, tenant: TenantId, in_hand: InHand) {
        // Nothing panics while it is locked.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        kept.insert(tenant, in_hand);
    }

    /// Takes the secret that is stored as `sealed`, if it is here. One that was
    /// sealed to another text is of no use any more and goes.
    pub(super) fn take(&self, tenant: TenantId, sealed: &str) -> Option<InHand> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&tenant).filter(|in_hand| in_hand.sealed == sealed)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn secret(sealed: &str) -> InHand {
        InHand { secret: ClientSecret::new("clear".into()), sealed: sealed.into() }
    }

    #[test]
    fn a_secret_is_taken_once_and_only_for_the_text_it_was_sealed_to() {
        let (kept, tenant) = (Kept::default(), TenantId(Uuid::nil()));

        kept.put(tenant, secret("one"));
        assert!(kept.take(tenant, "one").is_some());
        assert!(kept.take(tenant, "one").is_none());

        kept.put(tenant, secret("one"));
        assert!(kept.take(tenant, "two").is_none());
        assert!(kept.take(tenant, "one").is_none());
    }

    #[test]
    fn there_are_never_more_than_the_capacity() {
        let kept = Kept::default();

        for number in 0..=CAPACITY as u128 {
            kept.put(TenantId(Uuid::from_u128(number)), secret("one"));
        }

        assert_eq!(kept.0.lock().unwrap().len(), 1);
    }
}
