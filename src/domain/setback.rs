//! What to write down when an effect failed.
//!
//! The rules: what is done follows from the retry class alone; a wait that Qlik
//! imposed is not held against the tenant; a ready tenant is never parked by a
//! failed recheck.

use std::time::Duration;

use super::effect::{Effect, EffectKind};
use super::failure::{Failure, FailureKind};
use super::reason::{ParkReason, WaitReason};
use super::retry::{Jitter, RetryClass, RetryPolicy};
use super::tenant::{Entry, MintEntry, State, Tenant};
use super::transition::{
    Ailment, Decision, Progress, RecheckChange, Rest, SecretChange, hold, mint_anew, park, settling,
};

/// What to write down after an effect failed.
#[must_use]
pub fn after_failure(
    tenant: Tenant,
    effect: &Effect,
    failure: &Failure,
    policy: &RetryPolicy,
    jitter: Jitter,
) -> Decision {
    if (effect.kind(), &failure.kind) == (EffectKind::Create, &FailureKind::Conflict) {
        // Our own lost create may hold the name: look before judging.
        return hold(Tenant { state: State::Creating(Entry::Look { after_conflict: true }), ..tenant });
    }
    let tried = Tried { effect: effect.kind(), failure, policy, jitter };
    match RetryClass::of(effect.kind(), &failure.kind) {
        RetryClass::Transient => tried.back_off(tenant, WaitReason::Retrying, ParkReason::GaveUp, None),
        RetryClass::Unauthorized => tried.back_off(
            tenant,
            WaitReason::CredentialRefused,
            ParkReason::CredentialRefused,
            Some(Ailment::CredentialRefused),
        ),
        RetryClass::Missing => tried.missing(tenant),
        RetryClass::Ambiguous => tried.unanswered(tenant),
        RetryClass::Throttled { wait } => tried.excused(tenant, WaitReason::Throttled, wait),
        RetryClass::Blocked => tried.excused(tenant, WaitReason::Blocked, RetryPolicy::BLOCKED_EVERY),
        RetryClass::ProofRefused => tried.proof_refused(tenant),
        RetryClass::Permanent => tried.refused(tenant),
    }
}

/// A failed attempt and what judges it.
struct Tried<'a> {
    effect: EffectKind,
    failure: &'a Failure,
    policy: &'a RetryPolicy,
    jitter: Jitter,
}

impl Tried<'_> {
    /// Counts a failure and waits, or parks when there was no progress for too long.
    fn back_off(
        &self,
        tenant: Tenant,
        reason: WaitReason,
        at_the_end: ParkReason,
        ailment: Option<Ailment>,
    ) -> Decision {
        let tenant = failed(tenant);
        if tenant.without_progress >= self.policy.give_up_after && !is_ready(&tenant) {
            let what = format!("{} failed for too long: {}", self.effect, self.failure);
            return Decision { ailment, ..park(tenant, at_the_end, &what) };
        }
        let due = self.policy.backoff(tenant.failures, self.jitter);
        Decision { ailment, ..self.wait(tenant, reason, due) }
    }

    fn excused(&self, tenant: Tenant, reason: WaitReason, due: Duration) -> Decision {
        let state = tenant.re_entry();
        let waiting = self.wait(Tenant { state, ..tenant }, reason, due);
        Decision { progress: Progress::Excused(due), ..waiting }
    }

    /// The request may have landed, or may still: only a look after it has settled can tell.
    fn unanswered(&self, tenant: Tenant) -> Decision {
        let tenant = failed(tenant);
        let left = self.policy.settle.max(self.policy.backoff(tenant.failures, self.jitter));
        let (state, recheck) = match tenant.state.clone() {
            State::Adopting { client, .. } => {
                (State::Adopting { client, entry: MintEntry::Settling { left } }, RecheckChange::Keep)
            }
            State::Creating(_) => {
                (State::Creating(Entry::Settling { left }), RecheckChange::After(self.policy.recheck_after()))
            }
            same @ (State::Pending | State::Created { .. } | State::Trusted { .. } | State::Ready { .. }) => {
                (same, RecheckChange::Keep)
            }
        };
        let rest = settling(self.effect, left);
        Decision { recheck, rest, ..hold(Tenant { state, ..tenant }) }
    }

    fn missing(&self, tenant: Tenant) -> Decision {
        let is_lag = tenant.missing_for.unwrap_or_default() < RetryPolicy::MISSING_PATIENCE;
        if is_lag || is_ready(&tenant) {
            return self.back_off(
                tenant,
                WaitReason::Retrying,
                ParkReason::ClientMissing,
                Some(Ailment::ClientMissing),
            );
        }
        let tenant = failed(tenant);
        let parked = park(tenant, ParkReason::ClientMissing, "our client is not on the tenant any more");
        Decision { ailment: Some(Ailment::ClientMissing), ..parked }
    }

    /// Lag at first; then one fresh secret; then a case for people. Counts for no breaker.
    fn proof_refused(&self, tenant: Tenant) -> Decision {
        if tenant.refused_for.unwrap_or_default() < self.policy.prove_patience {
            let tenant = failed(tenant);
            let due = self.policy.backoff(tenant.failures, self.jitter);
            let waiting = self.wait(tenant, WaitReason::ProofRefused, due);
            return Decision { ailment: Some(Ailment::ProofRefused), ..waiting };
        }
        match tenant.state.clone() {
            State::Trusted { client } if !tenant.is_afresh => {
                let anew = Tenant { is_afresh: true, refused_for: None, ..tenant };
                Decision { secret: SecretChange::Discard, ..hold(mint_anew(anew, client)) }
            }
            State::Pending
            | State::Creating(_)
            | State::Adopting { .. }
            | State::Created { .. }
            | State::Trusted { .. }
            | State::Ready { .. } => {
                let what = format!("two secrets in a row got no token: {}", self.failure);
                let parked = park(failed(tenant), ParkReason::ProofRefused, &what);
                Decision { ailment: Some(Ailment::ProofRefused), ..parked }
            }
        }
    }

    fn refused(&self, tenant: Tenant) -> Decision {
        if is_ready(&tenant) {
            let tenant = failed(tenant);
            return self.wait(tenant, WaitReason::Retrying, self.policy.cap);
        }
        let what = format!("{} was refused: {}", self.effect, self.failure);
        park(failed(tenant), ParkReason::Rejected, &what)
    }

    fn wait(&self, tenant: Tenant, reason: WaitReason, due: Duration) -> Decision {
        let message = format!("{}: {}; tried again by itself", self.effect, self.failure);
        Decision { rest: Rest::Wait { reason, due, message }, ..hold(tenant) }
    }
}

/// One more failure; what was sent is known not to have happened.
fn failed(tenant: Tenant) -> Tenant {
    Tenant { state: tenant.re_entry(), failures: tenant.failures.saturating_add(1), ..tenant }
}

fn is_ready(tenant: &Tenant) -> bool {
    matches!(tenant.state, State::Ready { .. })
}

#[cfg(test)]
mod tests;
