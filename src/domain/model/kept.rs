//! The rows of `tenantd.secrets`, as the commit's statement changes them.
//!
//! The rule: it follows [`SecretChange`] alone. Whether the core believes the same of
//! its secrets is for [`Kept::agrees_with`] to say.

use crate::domain::hints::{Standing, StoredSecret};
use crate::domain::machine::SecretChange;
use crate::domain::tenant::Tenant;

/// The stored secrets, each with what was sealed.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<(StoredSecret, u32)>);

impl Kept {
    /// Some time later: whether the previous ones are to be withdrawn.
    pub(super) fn claimed(&mut self, is_retiring: bool) {
        for (secret, _) in &mut self.0 {
            secret.is_retiring = is_retiring && secret.standing == Standing::Previous;
        }
    }

    /// Changes the rows. `in_hand` is the secret that the last answer held.
    pub(super) fn change(&mut self, change: &SecretChange, in_hand: Option<u32>) {
        assert_eq!(
            in_hand.is_some(),
            matches!(change, SecretChange::Seal { .. }),
            "a secret that was returned is sealed at once, and nothing else is: {change:?}"
        );
        match change {
            SecretChange::Keep => {}
            SecretChange::Seal { hint } => {
                let secret = StoredSecret::new(hint.clone(), Standing::Unproven);
                self.0.push((secret, in_hand.unwrap()));
            }
            SecretChange::Identify(hint) => {
                self.each(Standing::Unproven, |secret| secret.hint = Some(hint.clone()));
            }
            SecretChange::Promote { overlap: _ } => {
                assert!(self.unproven().is_some(), "only a sealed secret is promoted");
                self.each(Standing::Current, |secret| secret.standing = Standing::Previous);
                self.each(Standing::Unproven, |secret| secret.standing = Standing::Current);
            }
            SecretChange::Discard => {
                self.each(Standing::Unproven, |secret| secret.standing = Standing::Discarded);
            }
            SecretChange::Withdraw => {
                for (secret, _) in self.0.iter_mut().filter(|(secret, _)| secret.is_retiring) {
                    (secret.standing, secret.is_retiring) = (Standing::Discarded, false);
                }
            }
            SecretChange::Forget(hint) => {
                self.0.retain(|(s, _)| s.standing != Standing::Discarded || s.hint.as_ref() != Some(hint));
            }
            SecretChange::Lose(hint) => {
                self.0.retain(|(s, _)| s.standing != Standing::Previous || s.hint.as_ref() != Some(hint));
            }
            SecretChange::Shred => self.0.clear(),
        }
    }

    fn each(&mut self, standing: Standing, change: impl Fn(&mut StoredSecret)) {
        for (secret, _) in self.0.iter_mut().filter(|(secret, _)| secret.standing == standing) {
            change(secret);
        }
    }

    /// Whether the core knows its secrets as they are stored.
    pub(super) fn agrees_with(&self, tenant: &Tenant) -> bool {
        let known = |secret: &StoredSecret| (secret.hint.clone(), secret.standing);
        self.0.iter().map(|(secret, _)| known(secret)).eq(tenant.stored.iter().map(known))
    }

    pub(super) fn in_standing(&self, standing: Standing) -> impl Iterator<Item = u32> {
        self.0.iter().filter(move |(secret, _)| secret.standing == standing).map(|(_, serial)| *serial)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|(_, serial)| *serial)
    }

    pub(super) fn unproven(&self) -> Option<u32> {
        self.in_standing(Standing::Unproven).next()
    }

    /// What consumers are shown.
    pub(super) fn shown(&self) -> impl Iterator<Item = u32> {
        self.in_standing(Standing::Current).chain(self.in_standing(Standing::Previous))
    }

    /// What must never be deleted by its hint.
    pub(super) fn live(&self) -> impl Iterator<Item = u32> {
        self.shown().chain(self.unproven())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
