//! What reasons mean, in the words of `docs/glossary.md`.

use crate::domain::reason::ParkReason;

/// Reasons that wait for somebody.
const PARKED: [(&str, &str); 11] = [
    ("HostNotAllowed", "no region allows the host"),
    ("UnknownProfile", "the configuration has no such profile"),
    ("Rejected", "Qlik refused the request, and asking again cannot help"),
    ("NameTaken", "Qlik says that the name is taken, and no client of ours has it"),
    (
        "EarlierClientFound",
        "a client of this installation is there that was made for another row, or has a copied mark",
    ),
    ("SecretSlotsFull", "the client has five secrets, and none is ours to delete"),
    ("ClientMissing", "our client has been gone for ten minutes"),
    ("GaveUp", "no progress within `retry.give_up_after`"),
    ("CredentialRefused", "the region's credential was refused for `retry.give_up_after`"),
    ("ProofRefused", "two secrets in a row got no token"),
    ("Defect", "the row cannot be read or written as it is"),
];

/// Reasons that pass by themselves, and those that the view derives.
const WAITING: [(&str, &str); 17] = [
    ("Settling", "an unanswered request may still land"),
    ("Retrying", "the last attempt failed in a way that may pass"),
    ("Throttled", "Qlik asked to slow down"),
    ("Blocked", "the tenant is deactivated, or does not exist yet"),
    (
        "CredentialRefused",
        "the region's credential was refused here; parked under the same name if that lasts",
    ),
    ("RightMissing", "Qlik refused what is next to the region's OAuth client"),
    (
        "ProofRefused",
        "the new credential got no token yet; parked under the same name if a second secret gets none",
    ),
    (
        "SecretSlotsFull",
        "the client has five secrets and one retires by itself; parked under the same name if none does",
    ),
    ("DeletionsHeld", "what is next deletes something, and deletions are held"),
    ("ChangesHeld", "what is next changes something, and changes are held"),
    ("Queued", "it is due, and no daemon has it yet"),
    ("Working", "somebody has its lease, or an extension of it"),
    ("NotBefore", "its `not_before` has not come"),
    ("Paused", "it, its region or the fleet is paused"),
    ("BreakerOpen", "the breaker of its region is open"),
    ("AwaitingBudget", "its removal is not admitted yet"),
    ("Removed", "it is removed"),
];

/// What it means to be parked for this; a reason of a newer version has no meaning here.
pub(super) fn parked(reason: &str) -> &'static str {
    of(&PARKED, reason)
}

/// What it means to wait for this.
pub(super) fn waiting(reason: &str) -> &'static str {
    of(&WAITING, reason)
}

/// What to do about tenants that are parked for this.
pub(super) fn remedy(reason: &str) -> &'static str {
    let known = ParkReason::parse(reason);
    known.map_or("a newer version says what to do", ParkReason::remedy)
}

fn of(table: &[(&str, &'static str)], reason: &str) -> &'static str {
    table.iter().find(|(known, _)| *known == reason).map_or("a newer version knows", |(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::choices::reasons;

    const GLOSSARY: &str = include_str!("../../docs/glossary.md");

    #[test]
    fn every_meaning_is_that_of_the_glossary() {
        for (reason, meaning) in PARKED.iter().chain(&WAITING) {
            let line = format!("\n| `{reason}` | {meaning} |\n");
            assert!(GLOSSARY.contains(&line), "{line}");
        }
    }

    #[test]
    fn every_reason_has_a_meaning() {
        for reason in reasons() {
            let is_known = PARKED.iter().chain(&WAITING).any(|(known, _)| *known == reason);
            assert!(is_known, "{reason}");
        }
        for reason in ParkReason::ALL {
            assert!(PARKED.iter().any(|(known, _)| *known == reason.as_str()), "{reason}");
        }
    }
}
