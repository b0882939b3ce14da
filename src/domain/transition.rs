//! The state machine: what to do next, and what to write down when it was done.
//! What to write down when it failed is in [`super::setback`].
//!
//! Total over states and outcomes; a pair that cannot occur is a typed error, not
//! a panic and not a default arm that swallows it. What each stretch of the way
//! writes down is in a room of its own: `creation`, `secrets`, `care`, `removal`.
//!
//! The rules every change must keep:
//! * only [`Entry::Cleared`] creates and only [`MintEntry::Cleared`] mints, and
//!   both are left by whatever happens next: an act that cannot be repeated is
//!   never repeated without a look;
//! * a look that finds nothing and a comparison are no progress, so a tenant whose
//!   creates or mints keep failing is parked in the end;
//! * while deletions are held, nothing that deletes is ever next; while changes are, nothing
//!   that changes anything;
//! * a row that came out of a backup is looked at before anything is done about it.

mod care;
mod creation;
mod removal;
mod secrets;

pub(super) use removal::nothing_came;
pub(super) use secrets::mint_anew;

use std::time::Duration;

use super::effect::{Done, Effect, EffectKind};
use super::ids::{ClientId, Hint};
use super::place::Hold;
use super::reason::{ParkReason, WaitReason};
use super::retry::Policy;
use super::rights;
use super::tenant::{Check, Duty, Entry, Mend, MintEntry, Removal, State, Tenant};

/// What a worker that holds the row should do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This.
    Do(Effect),
    /// Give the lease back, and write this down.
    Rest(Rest),
}

/// What is written down after an effect, apart from where the row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The tenant as it stands now.
    pub tenant: Tenant,
    /// What becomes of its stored secrets.
    pub secret: SecretChange,
    /// Whether the clock of `retry.give_up_after` starts anew.
    pub progress: Progress,
    /// What the failure, if it was one, starts to measure.
    pub ailment: Option<Ailment>,
    /// When to look for a second client of ours.
    pub recheck: RecheckChange,
    /// When to compare with Qlik again.
    pub audit: AuditChange,
    /// Whether to go on.
    pub rest: Rest,
}

impl Decision {
    /// Whether it may wait for the next commit: what it says may be done again, and nothing
    /// of it is lost with the process.
    #[must_use]
    pub fn may_ride(&self) -> bool {
        let is_plain = (self.ailment, self.recheck, self.audit)
            == (None, RecheckChange::Keep, AuditChange::Keep)
            && self.secret == SecretChange::Keep;
        is_plain && self.rest == Rest::Hold && matches!(self.tenant.state, State::Trusted { .. })
    }
}

/// What becomes of the stored secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretChange {
    /// Nothing.
    Keep,
    /// The secret in hand is stored as unproven.
    Seal {
        /// Its hint, where known.
        hint: Option<Hint>,
    },
    /// The unproven secret's hint became known.
    Identify(Hint),
    /// The unproven secret is proven: it becomes current, under `desired_version` or
    /// the next number; what was current is the previous one for so long.
    Promote {
        /// `rotation.overlap`
        overlap: Duration,
    },
    /// The unproven secret is no good: it becomes discarded.
    Discard,
    /// Previous secrets whose time is over are taken from consumers: they become discarded.
    Withdraw,
    /// The discarded secret with this hint is gone at Qlik.
    Forget(Hint),
    /// The previous secret with this hint is gone at Qlik, and not by our doing.
    Lose(Hint),
    /// All of them, in whatever standing.
    Shred,
}

/// Whether the row came forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It did.
    Made,
    /// It did not.
    None,
    /// It did not, and this much waiting is not held against it.
    Excused(Duration),
}

/// Failures whose age is measured from the first of their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// The new credential is refused.
    ProofRefused,
    /// Our client is not to be seen.
    ClientMissing,
    /// The region's credential is refused.
    CredentialRefused,
    /// The region's OAuth client was refused this.
    RightRefused(EffectKind),
    /// This was not tried, because the region is known to lack the right to it.
    RightAwaited(EffectKind),
}

/// When to look for a second client of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecheckChange {
    /// As before.
    Keep,
    /// After this long, or later if that was planned before.
    After(Duration),
    /// It was done.
    Done,
}

/// When to compare with Qlik again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditChange {
    /// As before.
    Keep,
    /// It was done.
    Done {
        /// When it is due again; `None` for never.
        next: Option<Duration>,
    },
}

/// Whether the worker goes on, and if not, when somebody should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// It keeps the lease: there is more to do at once.
    Hold,
    /// The row is due again at once, for anybody.
    Requeue,
    /// The row is due by itself after a while.
    Wait {
        /// Why.
        reason: WaitReason,
        /// How long.
        due: Duration,
        /// For people.
        message: String,
    },
    /// The row waits for somebody to act.
    Park {
        /// Why.
        reason: ParkReason,
        /// For people, with the remedy.
        message: String,
    },
    /// All is done, until something is due again.
    Settled,
    /// It was woken for nothing: what it waits for is not over, and stays its story.
    Still,
}

/// An outcome that does not belong to the state it met: a defect of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{effect} came back to a tenant whose state is {state}")]
pub struct IllegalOutcome {
    effect: EffectKind,
    state: String,
}

/// The next thing to do for a tenant.
#[must_use]
pub fn next_effect(tenant: &Tenant) -> Next {
    if tenant.is_resting {
        return Next::Rest(Rest::Still);
    }
    match (wanted_effect(tenant), tenant.hold) {
        (Next::Do(effect), Some(hold)) if hold.stops(effect.kind()) => Next::Rest(held(hold)),
        (Next::Do(effect), _) => match tenant.rights.withheld(effect.kind()) {
            Some(withheld) => Next::Rest(rights::waiting(withheld.effect, &withheld.answer)),
            None => Next::Do(effect),
        },
        (rest @ Next::Rest(_), _) => rest,
    }
}

fn wanted_effect(tenant: &Tenant) -> Next {
    let settling = |left: Duration, what: EffectKind| Next::Rest(settling(what, left));
    if tenant.doubted_client().is_some() {
        return Next::Do(Effect::Look);
    }
    match &tenant.state {
        State::Pending => Next::Rest(Rest::Requeue),
        State::Creating(Entry::Cleared) => Next::Do(Effect::Create),
        State::Creating(Entry::Settling { left }) => settling(*left, EffectKind::Create),
        State::Creating(Entry::Look { .. }) | State::Removed { is_recheck_due: true } => {
            Next::Do(Effect::Look)
        }
        State::Minting { client, series: _, entry } => match entry {
            MintEntry::Cleared => Next::Do(Effect::Mint(client.clone())),
            MintEntry::Settling { left } => settling(*left, EffectKind::Mint),
            MintEntry::Compare => Next::Do(Effect::Compare(client.clone())),
            MintEntry::Tidy(hint) => Next::Do(Effect::Tidy(client.clone(), hint.clone())),
        },
        State::Created { client, check } => checked(client, check, Effect::Trust),
        State::Trusted { client } => Next::Do(Effect::Prove(client.clone())),
        State::Proving { client, check } => checked(client, check, Effect::Prove),
        State::Ready { client, duty } => care_for(client, duty),
        State::Removing(removal) => match removal {
            Removal::Settling { left } => settling(*left, EffectKind::Create),
            Removal::Look => Next::Do(Effect::Look),
            Removal::Delete(client) => Next::Do(Effect::Delete(client.clone())),
            Removal::Revoke(client, walk) => Next::Do(Effect::Revoke(client.clone(), walk.clone())),
            Removal::DeleteBot(client) => Next::Do(Effect::DeleteBot(client.clone())),
        },
        State::Removed { is_recheck_due: false } => Next::Rest(Rest::Settled),
    }
}

fn checked(client: &ClientId, check: &Check, passed: fn(ClientId) -> Effect) -> Next {
    Next::Do(match check {
        Check::Passed => passed(client.clone()),
        Check::Compare => Effect::Compare(client.clone()),
        Check::Tidy(hint) => Effect::Tidy(client.clone(), hint.clone()),
    })
}

fn care_for(client: &ClientId, duty: &Duty) -> Next {
    let effect = match duty {
        Duty::None => None,
        Duty::Recheck => Some(Effect::Recheck(client.clone())),
        Duty::Surplus(surplus) => surplus.first().cloned().map(Effect::Dedupe),
        Duty::Audit => Some(Effect::Audit(client.clone())),
        Duty::Mend(mends) => mends.first().map(|mend| match mend {
            Mend::Trust => Effect::Trust(client.clone()),
            Mend::Amend(changes) => Effect::Amend(client.clone(), changes.clone()),
            Mend::Dedupe(surplus) => Effect::Dedupe(surplus.clone()),
        }),
        Duty::Compare => Some(Effect::Compare(client.clone())),
        Duty::Tidy(hint) => Some(Effect::Tidy(client.clone(), hint.clone())),
    };
    effect.map_or(Next::Rest(Rest::Settled), Next::Do)
}

/// What to write down after an effect succeeded.
///
/// # Errors
///
/// [`IllegalOutcome`] when the outcome does not belong to the tenant's state.
#[expect(clippy::too_many_lines, reason = "one table, a line for each pair that can occur")]
pub fn after(
    tenant: Tenant,
    effect: &Effect,
    done: Done,
    policy: &Policy,
) -> Result<Decision, IllegalOutcome> {
    let state = tenant.state.clone();
    let decision = match (state, done) {
        (State::Creating(Entry::Cleared), Done::Created { client, hint }) => {
            creation::created(tenant, client, hint)
        }
        (State::Creating(Entry::Look { after_conflict }), Done::Looked(seen)) => {
            creation::looked(tenant, &seen, after_conflict, policy)
        }
        (
            State::Minting { .. } | State::Created { .. } | State::Trusted { .. } | State::Proving { .. },
            Done::Looked(seen),
        ) if tenant.doubted_client().is_some() => care::doubted(tenant, &seen),
        (State::Created { client, check: Check::Passed }, Done::Trusted) => {
            advance(tenant, State::Trusted { client }, SecretChange::Keep)
        }
        (State::Minting { client, series, entry: MintEntry::Compare }, Done::Compared { secrets, me }) => {
            secrets::compared_before_mint(tenant, client, series, &secrets, &me, policy)
        }
        (State::Minting { client, series, entry: MintEntry::Tidy(hint) }, Done::Tidied) => {
            let state = State::Minting { client, series, entry: MintEntry::Compare };
            secrets::tidied(tenant, state, hint)
        }
        (State::Minting { client, series, entry: MintEntry::Cleared }, Done::Minted { hint }) => {
            secrets::minted(tenant, client, series, hint)
        }
        (State::Created { client, check: Check::Compare }, Done::Compared { secrets, me }) => {
            let state = |check| State::Created { client, check };
            secrets::compared_after_mint(tenant, state, &secrets, &me)
        }
        (State::Created { client, check: Check::Tidy(hint) }, Done::Tidied) => {
            secrets::tidied(tenant, State::Created { client, check: Check::Compare }, hint)
        }
        (State::Proving { client, check: Check::Compare }, Done::Compared { secrets, me }) => {
            let state = |check| State::Proving { client, check };
            secrets::compared_after_mint(tenant, state, &secrets, &me)
        }
        (State::Proving { client, check: Check::Tidy(hint) }, Done::Tidied) => {
            secrets::tidied(tenant, State::Proving { client, check: Check::Compare }, hint)
        }
        (State::Trusted { client } | State::Proving { client, check: Check::Passed }, Done::Proven) => {
            secrets::proven(tenant, client, policy)
        }
        (State::Trusted { client } | State::Proving { client, check: Check::Passed }, Done::Unopenable) => {
            secrets::unopenable(tenant, client)
        }
        (State::Ready { client, duty: Duty::Recheck }, Done::Rechecked(seen)) => {
            care::rechecked(tenant, client, &seen)
        }
        (State::Ready { client, duty: Duty::Surplus(rest) }, Done::Deduped) => {
            care::deduped(tenant, client, rest)
        }
        (State::Ready { client, duty: Duty::Audit }, Done::Audited(drifts)) => {
            care::audited(tenant, client, &drifts, policy)
        }
        (State::Ready { client, duty: Duty::Mend(mends) }, Done::Trusted | Done::Amended | Done::Deduped) => {
            care::mended(tenant, client, mends, policy)
        }
        (State::Ready { client, duty: Duty::Compare }, Done::Compared { secrets, me }) => {
            secrets::compared_when_ready(tenant, client, &secrets, &me)
        }
        (State::Ready { client, duty: Duty::Tidy(hint) }, Done::Tidied) => {
            secrets::tidied(tenant, State::Ready { client, duty: Duty::Compare }, hint)
        }
        (State::Removing(Removal::Look), Done::Looked(seen)) => removal::looked(tenant, &seen, policy),
        (State::Removing(Removal::Delete(client)), Done::Deleted) => removal::deleted(tenant, client),
        (State::Removing(Removal::Revoke(client, _)), Done::Revoked { left }) => {
            removal::revoked(tenant, client, left)
        }
        (State::Removing(Removal::DeleteBot(client)), Done::BotDeleted) => removal::ended(tenant, &client),
        (State::Removed { is_recheck_due: true }, Done::Looked(seen)) => removal::rechecked(tenant, &seen),
        (state, _) => {
            return Err(IllegalOutcome { effect: effect.kind(), state: format!("{state:?}") });
        }
    };
    Ok(decision)
}

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
fn held(hold: Hold) -> Rest {
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

/// What failed last is what somebody has to mend: it is said.
fn give_up(tenant: Tenant, policy: &Policy, what: &str) -> Decision {
    let since = humantime::format_duration(policy.give_up_after);
    let last = tenant.last_failure.as_ref().map_or_else(String::new, |last| format!("; last: {last}"));
    park(tenant, ParkReason::GaveUp, &format!("no {what} succeeded within {since}{last}"))
}

pub(super) fn hold(tenant: Tenant) -> Decision {
    Decision {
        tenant,
        secret: SecretChange::Keep,
        progress: Progress::None,
        ailment: None,
        recheck: RecheckChange::Keep,
        audit: AuditChange::Keep,
        rest: Rest::Hold,
    }
}

/// A ready tenant's duty is done: on to the next one it is due for.
fn going_on(tenant: Tenant, client: ClientId) -> Decision {
    let state = tenant.ready(client);
    let is_done = matches!(state, State::Ready { duty: Duty::None, .. });
    let rest = if is_done { Rest::Settled } else { Rest::Hold };
    Decision { rest, ..advance(tenant, state, SecretChange::Keep) }
}

/// The row came forward. While proofs are being refused only a proof is progress:
/// replacing the secret, which a daemon that only seals must do, is none.
fn advance(tenant: Tenant, state: State, secret: SecretChange) -> Decision {
    let tenant = Tenant { state, missing_for: None, ..tenant };
    if tenant.refused_for.is_some() {
        return Decision { secret, ..hold(tenant) };
    }
    let tenant = Tenant { failures: 0, without_progress: Duration::ZERO, last_failure: None, ..tenant };
    Decision { secret, progress: Progress::Made, ..hold(tenant) }
}

pub(super) fn park(tenant: Tenant, reason: ParkReason, what: &str) -> Decision {
    let state = tenant.re_entry();
    let message = format!("{what}; {}", reason.remedy());
    Decision { rest: Rest::Park { reason, message }, ..hold(Tenant { state, ..tenant }) }
}

#[cfg(test)]
mod tests;
