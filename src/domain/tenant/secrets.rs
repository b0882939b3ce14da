//! A tenant's stored secrets, and what becomes of each.
//!
//! The rule: of all secrets at most one is current and one unproven.

use super::{Series, Tenant};
use crate::domain::hints::{Standing, StoredSecret};
use crate::domain::ids::Hint;

impl Tenant {
    /// Whether secrets are stored, or known to be at Qlik, that should not be there.
    #[must_use]
    pub fn has_leavings(&self) -> bool {
        let is_left = |secret: &StoredSecret| secret.is_retiring || secret.standing == Standing::Discarded;
        self.is_adopted || self.snapshot.is_some() || self.stored.iter().any(is_left)
    }

    /// Adds a secret that is being sealed.
    pub(in crate::domain) fn store_unproven(&mut self, hint: Option<Hint>) {
        self.stored.push(StoredSecret::new(hint, Standing::Unproven));
    }

    /// What a further secret is for.
    #[must_use]
    pub fn series(&self) -> Series {
        let has_current = self.stored.iter().any(|secret| secret.standing == Standing::Current);
        if has_current { Series::Rotation } else { Series::First }
    }

    /// The unproven secret, if there is one.
    #[must_use]
    pub fn unproven(&self) -> Option<&StoredSecret> {
        self.stored.iter().find(|secret| secret.standing == Standing::Unproven)
    }

    /// The unproven secret is proven; what was current is the previous one.
    pub(in crate::domain) fn promote(&mut self) {
        for secret in &mut self.stored {
            match secret.standing {
                Standing::Current => secret.standing = Standing::Previous,
                Standing::Unproven => secret.standing = Standing::Current,
                Standing::Previous | Standing::Discarded => {}
            }
        }
    }

    /// The unproven secret is no good.
    pub(in crate::domain) fn discard_unproven(&mut self) {
        for secret in &mut self.stored {
            if secret.standing == Standing::Unproven {
                secret.standing = Standing::Discarded;
            }
        }
    }

    /// Takes the previous secrets whose time is over from consumers. Returns whether
    /// there were any.
    pub(in crate::domain) fn withdraw(&mut self) -> bool {
        let mut is_any = false;
        for secret in self.stored.iter_mut().filter(|secret| secret.is_retiring) {
            (secret.standing, secret.is_retiring, is_any) = (Standing::Discarded, false, true);
        }
        is_any
    }

    /// Forgets a previous secret that is gone at Qlik without our doing.
    pub(in crate::domain) fn lose_previous(&mut self, hint: &Hint) {
        self.stored.retain(|s| s.standing != Standing::Previous || s.hint.as_ref() != Some(hint));
    }

    /// Forgets a discarded secret that is gone at Qlik.
    pub(in crate::domain) fn forget(&mut self, hint: &Hint) {
        self.stored.retain(|s| s.standing != Standing::Discarded || s.hint.as_ref() != Some(hint));
    }
}
