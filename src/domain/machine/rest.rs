//! What a tenant rests for, in words, and what is written down when a worker stops.
//!
//! The rule: nothing was tried, so nothing is held against the tenant that waits for people.

use std::time::Duration;

use super::decision::{Ailment, Decision, Next, Progress, Rest, hold};
use super::done::care;
use super::effect::EffectKind;
use super::next::wanted_effect;
use crate::domain::place::Hold;
use crate::domain::reason::WaitReason;
use crate::domain::retry::Policy;
use crate::domain::rights::REMEDY;
use crate::domain::tenant::Tenant;

/// What to write down when a worker rests before the next effect, because of what it must
/// wait for: nothing was tried, and a wait for people is not held against the tenant.
#[must_use]
pub fn resting(tenant: &Tenant, rest: Rest) -> Decision {
    let awaited = match wanted_effect(tenant) {
        Next::Do(effect) => Some(effect.kind()),
        Next::Rest(_) => None,
    };
    let (progress, ailment) = match &rest {
        Rest::Wait { reason: WaitReason::RightMissing, due, .. } => {
            (Progress::Excused(*due), awaited.map(Ailment::RightAwaited))
        }
        Rest::Wait { reason: WaitReason::DeletionsHeld | WaitReason::ChangesHeld, due, .. } => {
            (Progress::Excused(*due), None)
        }
        Rest::Wait {
            reason:
                WaitReason::Settling
                | WaitReason::Retrying
                | WaitReason::Throttled
                | WaitReason::Blocked
                | WaitReason::CredentialRefused
                | WaitReason::ProofRefused
                | WaitReason::SecretSlotsFull,
            ..
        }
        | Rest::Hold
        | Rest::Requeue
        | Rest::Park { .. }
        | Rest::Settled
        | Rest::Still => (Progress::None, None),
    };
    let checkpoint = checkpoint(tenant.clone());
    // What was spent before it was known that the whole region lacks the right is given back.
    let failures = if matches!(ailment, Some(Ailment::RightAwaited(_))) { 0 } else { tenant.failures };
    Decision { tenant: Tenant { failures, ..checkpoint.tenant }, rest, progress, ailment, ..checkpoint }
}

/// What to write down when a duplicate may not be deleted now, because the hour's removals
/// are spent: it is shown and looked at again, and nothing else waits for it.
#[must_use]
pub fn put_off(tenant: Tenant, policy: &Policy) -> Decision {
    let decision = care::put_off(tenant, policy);
    let rest = if decision.rest == Rest::Hold { Rest::Requeue } else { decision.rest };
    let state = decision.tenant.re_entry();
    Decision { rest, tenant: Tenant { state, ..decision.tenant }, ..decision }
}

/// What to write down when a worker stops before the next effect: nothing is in
/// flight, anybody may go on.
#[must_use]
pub fn checkpoint(tenant: Tenant) -> Decision {
    let state = tenant.re_entry();
    Decision { rest: Rest::Requeue, ..hold(Tenant { state, ..tenant }) }
}

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
