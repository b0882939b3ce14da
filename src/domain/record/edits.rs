//! Which of its owner's wants a client follows.
//!
//! The rule: known by a digest of what was last applied, or found to be so by an audit, as the row
//! said when whoever did it took it up. Where none is known, by what the owner's trigger noted.

use super::super::machine::effect::EffectKind;
use super::super::machine::{AuditChange, Decision, SecretChange};
use super::super::wants::is_edited;
use super::columns::{Record, Seen, Tried};

impl Record {
    /// Whether its owner wants something else of the client than it has.
    pub(super) fn is_edit_due(&self, seen: &Seen) -> bool {
        is_edited(self.applied, self.edited.is_some(), seen.wants)
    }

    /// Before the schedule, which asks whether an edit is left.
    pub(super) fn note_applied(
        &mut self,
        before: &Self,
        decision: &Decision,
        tried: Option<Tried>,
        seen: &Seen,
    ) {
        let is_made = tried.is_some_and(|tried| tried.is_done && tried.effect == EffectKind::Create);
        let is_audited = decision.audit != AuditChange::Keep;
        // Nobody has written since its client was asked for.
        let is_untouched = before.applied.is_none() && before.edited.is_none();
        self.applied = if self.client.is_none() {
            None
        } else if is_made || is_audited || is_untouched {
            Some(seen.wants)
        } else {
            before.applied
        };
        let is_over = is_audited || decision.secret == SecretChange::Shred;
        if is_over || self.applied.is_some() && !self.is_edit_due(seen) {
            self.edited = None;
        }
    }
}

#[cfg(test)]
mod tests;
