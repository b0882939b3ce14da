//! Where a tenant stands, in words for a person who waits for it.
//!
//! The rule: what only a human can change is told apart from what time will.

use crate::answers::choices::REMOVED;
use crate::postgres::operator::tenants::Status;

/// One line on where a tenant stands.
pub(super) fn standing(status: &Status) -> String {
    let id = &status.external_id;
    if status.ready {
        return format!("{id} is ready");
    }
    let (phase, reason) = (&status.phase, status.reason.as_deref().unwrap_or_default());
    let message = status.message.as_deref().unwrap_or_default();
    if needs_human(status) {
        format!("{id} needs a human, phase {phase}, {reason}: {message}")
    } else {
        format!("{id} is not ready yet, phase {phase}, {reason}: {message}")
    }
}

/// Whether the tenant stays as it is until somebody acts.
pub(super) fn needs_human(status: &Status) -> bool {
    !status.ready && (status.parked || status.reason.as_deref() == Some(REMOVED))
}

/// What the removal of a tenant waits for, where it may not begin yet.
pub(super) fn removal_waits_for(status: &Status) -> Option<&'static str> {
    match status.reason.as_deref() {
        Some("AwaitingBudget") => Some("the removal budget"),
        _ => held_for(status),
    }
}

/// Who has to say something before anything is deleted, where somebody has.
pub(super) fn held_for(status: &Status) -> Option<&'static str> {
    match status.reason.as_deref() {
        Some("DeletionsHeld") => Some("an operator who agrees to deletions with `tenantd rejoin --agree`"),
        Some("ChangesHeld") => {
            Some("somebody to say that this is the real database, with `tenantd rejoin --confirm`")
        }
        _ => None,
    }
}
