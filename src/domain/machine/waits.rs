//! What a tenant waits for without anything being tried, in words.
//!
//! The rule: each says what has to happen, and who can make it.

use std::time::Duration;

use super::decision::Rest;
use super::effect::EffectKind;
use crate::domain::place::Hold;
use crate::domain::reason::WaitReason;
use crate::domain::retry::Policy;
use crate::domain::rights::REMEDY;

/// A request that may still land has to be out of the way first.
pub(super) fn settling(what: EffectKind, left: Duration) -> Rest {
    let message = format!("a {what} went unanswered and may still land; looked at when it has settled");
    Rest::Wait { reason: WaitReason::Settling, due: left, message }
}

/// Nothing is deleted at Qlik on the word of a backup, and nothing at all is changed on
/// that of a copy.
pub(super) fn held(hold: Hold) -> Rest {
    let (reason, message) = match hold {
        Hold::Deletions => (
            WaitReason::DeletionsHeld,
            "the database may have forgotten something: nothing is deleted at Qlik until an operator has \
             read `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`",
        ),
        Hold::Changes => (
            WaitReason::ChangesHeld,
            "this may be a copy of the real database: nothing is changed at Qlik until an operator has said \
             that it is the real one, with `tenantd rejoin --confirm`",
        ),
    };
    Rest::Wait { reason, due: Policy::BLOCKED_EVERY, message: message.to_owned() }
}

/// Waits for the right to this effect; it ends as soon as the region has it.
pub(super) fn right_missing(effect: EffectKind, answer: &str) -> Rest {
    let message = format!(
        "{effect}: the region's OAuth client lacks the right to this on every tenant that was asked: {answer}; {REMEDY}"
    );
    Rest::Wait { reason: WaitReason::RightMissing, due: Policy::RIGHT_MISSING_EVERY, message }
}
