//! What to write down when an effect failed.
//!
//! The rules: what is done follows from the retry class alone; a wait that Qlik
//! imposed is not held against the tenant; a ready tenant is never parked by a
//! failed recheck or audit; a removal is never given up, only slowed down.

use std::time::Duration;

use super::class::class_of;
use super::decision::{Ailment, Decision, Progress, RecheckChange, Rest, SecretChange, hold, park};
use super::done::removal::nothing_came;
use super::done::secrets::mint_anew;
use super::effect::{Effect, EffectKind};
use super::waits::{right_missing, settling};
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::reason::{ParkReason, WaitReason};
use crate::domain::retry::{Jitter, Policy, RetryClass};
use crate::domain::tenant::{Entry, MintEntry, State, Tenant};

/// What to write down after an effect failed.
#[must_use]
pub fn after_failure(
    tenant: Tenant,
    effect: &Effect,
    failure: &Failure,
    policy: &Policy,
    jitter: Jitter,
) -> Decision {
    if (effect.kind(), &failure.kind) == (EffectKind::Create, &FailureKind::Conflict) {
        // Our own lost create may hold the name: look before judging.
        return hold(Tenant { state: State::Creating(Entry::Look { after_conflict: true }), ..tenant });
    }
    let tried = Tried { effect: effect.kind(), failure, policy, jitter };
    let class = class_of(effect.kind(), &failure.kind);
    if is_over(&tenant, class, policy) {
        return nothing_came(tenant);
    }
    match class {
        RetryClass::Transient => tried.back_off(tenant, WaitReason::Retrying, ParkReason::GaveUp, None),
        RetryClass::Unauthorized => tried.back_off(
            tenant,
            WaitReason::CredentialRefused,
            ParkReason::CredentialRefused,
            Some(Ailment::CredentialRefused),
        ),
        RetryClass::Forbidden => tried.forbidden(tenant),
        RetryClass::Missing => tried.missing(tenant),
        RetryClass::Ambiguous => tried.unanswered(tenant),
        RetryClass::Throttled { wait } => {
            let turn = turn(effect.kind(), failure, wait);
            tried.excused(tenant, WaitReason::Throttled, turn)
        }
        RetryClass::Blocked => tried.excused(tenant, WaitReason::Blocked, Policy::BLOCKED_EVERY),
        RetryClass::ProofRefused => tried.proof_refused(tenant),
        RetryClass::Permanent => tried.refused(tenant),
    }
}

/// How the message of what is tried again ends.
const AGAIN: &str = "; tried again by itself";

/// The words of a row that waited, without the outlook: it came to nothing.
#[must_use]
pub fn without_outlook(message: &str) -> String {
    message.strip_suffix(AGAIN).unwrap_or(message).to_owned()
}

/// Where it is our own pacing that says no, what goes on in batches waits until it has
/// earned one: turn by turn it would do nothing but begin.
fn turn(effect: EffectKind, failure: &Failure, wait: Duration) -> Duration {
    let is_our_own = failure.evidence.status.is_none();
    if is_our_own && effect.is_in_batches() { wait.max(Policy::EARNED_BATCH) } else { wait }
}

/// A failed attempt and what judges it.
struct Tried<'a> {
    effect: EffectKind,
    failure: &'a Failure,
    policy: &'a Policy,
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
        let is_long = tenant.without_progress >= self.policy.give_up_after;
        if is_long && !is_never_parked(&tenant) {
            let what = format!("{} failed for too long: {}", self.effect, self.failure);
            return Decision { ailment, ..park(tenant, at_the_end, &what) };
        }
        let due = if is_long {
            self.policy.slow_backoff(tenant.failures, self.jitter)
        } else {
            self.policy.backoff(tenant.failures, self.jitter)
        };
        Decision { ailment, ..self.wait(tenant, reason, due) }
    }

    fn excused(&self, tenant: Tenant, reason: WaitReason, due: Duration) -> Decision {
        let state = tenant.re_entry();
        let waiting = self.wait(Tenant { state, ..tenant }, reason, due);
        Decision { progress: Progress::Excused(due), ..waiting }
    }

    /// Nothing is spent on a right that the whole region is known to lack, and what was spent
    /// before that was known is given back. As long as it is not known it may be this
    /// tenant's own condition.
    fn forbidden(&self, tenant: Tenant) -> Decision {
        let ailment = Some(Ailment::RightRefused(self.effect));
        if tenant.rights.lacks(self.effect) {
            let tenant = Tenant { failures: 0, ..tenant };
            let waiting = self.excused(tenant, WaitReason::RightMissing, Policy::RIGHT_MISSING_EVERY);
            let rest = right_missing(self.effect, &self.failure.to_string());
            return Decision { ailment, rest, ..waiting };
        }
        self.back_off(tenant, WaitReason::RightMissing, ParkReason::GaveUp, ailment)
    }

    /// The request may have landed, or may still: only a look after it has settled can tell.
    fn unanswered(&self, tenant: Tenant) -> Decision {
        let tenant = failed(tenant);
        let left = self.policy.settle.max(self.policy.backoff(tenant.failures, self.jitter));
        let (state, recheck) = match tenant.state.clone() {
            State::Minting { client, series, .. } => {
                let entry = MintEntry::Settling { left };
                (State::Minting { client, series, entry }, RecheckChange::Keep)
            }
            State::Creating(_) => {
                (State::Creating(Entry::Settling { left }), RecheckChange::After(self.policy.recheck_after()))
            }
            same @ (State::Pending
            | State::Created { .. }
            | State::Trusted { .. }
            | State::Ready { .. }
            | State::Proving { .. }
            | State::Removing(_)
            | State::Removed { .. }) => (same, RecheckChange::Keep),
        };
        let rest = settling(self.effect, left);
        Decision { recheck, rest, ..hold(Tenant { state, ..tenant }) }
    }

    fn missing(&self, tenant: Tenant) -> Decision {
        let is_lag = tenant.missing_for.unwrap_or_default() < Policy::MISSING_PATIENCE;
        if is_lag {
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
            State::Trusted { client } | State::Proving { client, .. } if !tenant.is_afresh => {
                let anew = Tenant { is_afresh: true, refused_for: None, ..tenant };
                Decision { secret: SecretChange::Discard, ..hold(mint_anew(anew, client)) }
            }
            State::Pending
            | State::Creating(_)
            | State::Minting { .. }
            | State::Created { .. }
            | State::Trusted { .. }
            | State::Ready { .. }
            | State::Proving { .. }
            | State::Removing(_)
            | State::Removed { .. } => {
                let what = format!("two secrets in a row got no token: {}", self.failure);
                let parked = park(failed(tenant), ParkReason::ProofRefused, &what);
                Decision { ailment: Some(Ailment::ProofRefused), ..parked }
            }
        }
    }

    fn refused(&self, tenant: Tenant) -> Decision {
        if is_never_parked(&tenant) {
            let tenant = failed(tenant);
            return self.wait(tenant, WaitReason::Retrying, self.policy.cap);
        }
        let what = format!("{} was refused: {}", self.effect, self.failure);
        park(failed(tenant), ParkReason::Rejected, &what)
    }

    fn wait(&self, tenant: Tenant, reason: WaitReason, due: Duration) -> Decision {
        let is_shown = matches!(tenant.state, State::Removing(_)) && tenant.failures > 1;
        let seconds = Duration::from_secs(tenant.without_progress.as_secs());
        let since = if is_shown {
            format!(" (failing for {})", humantime::format_duration(seconds))
        } else {
            String::new()
        };
        let message = format!("{}: {}{since}{AGAIN}", self.effect, self.failure);
        Decision { rest: Rest::Wait { reason, due, message }, ..hold(tenant) }
    }
}

/// One more failure; what was sent is known not to have happened.
fn failed(tenant: Tenant) -> Tenant {
    Tenant { state: tenant.re_entry(), failures: tenant.failures.saturating_add(1), ..tenant }
}

/// What serves goes on serving, and what is to be removed must be.
fn is_never_parked(tenant: &Tenant) -> bool {
    match tenant.state {
        State::Ready { .. } | State::Removing(_) | State::Removed { .. } => true,
        State::Pending
        | State::Creating(_)
        | State::Minting { .. }
        | State::Created { .. }
        | State::Trusted { .. }
        | State::Proving { .. } => false,
    }
}

/// The look after a removal is worth its retries, but no vigil: a customer who left is
/// often deactivated at Qlik soon, and then nothing of his lives.
fn is_over(tenant: &Tenant, class: RetryClass, policy: &Policy) -> bool {
    let is_removed = matches!(tenant.state, State::Removed { .. });
    is_removed && (class == RetryClass::Blocked || tenant.without_progress >= policy.give_up_after)
}

#[cfg(test)]
mod tests;
