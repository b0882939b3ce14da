//! What is written down when a worker stops before the next effect.
//!
//! The rule: nothing was tried, so nothing is held against the tenant that waits for people.

use super::decision::{Ailment, Decision, Next, Progress, Rest, hold};
use super::done::care;
use super::next::wanted_effect;
use crate::domain::reason::WaitReason;
use crate::domain::retry::Policy;
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
