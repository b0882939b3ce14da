//! The state machine: what to do next, and what to write down when it was done.
//! What to write down when it failed is in [`super::setback`].
//!
//! Total over states and outcomes; a pair that cannot occur is a typed error, not
//! a panic and not a default arm that swallows it.
//!
//! The rules every change must keep:
//! * only [`Entry::Cleared`] creates and only [`MintEntry::Cleared`] mints, and
//!   both are left by whatever happens next: an act that cannot be repeated is
//!   never repeated without a look;
//! * a look that finds nothing and a comparison are no progress, so a tenant whose
//!   creates or mints keep failing is parked in the end.

use std::time::Duration;

use super::effect::{Done, Effect, EffectKind};
use super::hints::{Comparison, MintPlan, SeenSecret, Standing};
use super::ids::{ClientId, Hint, UserId};
use super::look::{self, Finding, SeenClient};
use super::reason::{ParkReason, WaitReason};
use super::retry::RetryPolicy;
use super::tenant::{Check, Entry, MintEntry, Recheck, State, Tenant};

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
    /// Whether to go on.
    pub rest: Rest,
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
    /// The unproven secret is proven: it becomes current under `desired_version`.
    Promote,
    /// The unproven secret is no good: it becomes discarded.
    Discard,
    /// The discarded secret with this hint is gone at Qlik.
    Forget(Hint),
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
    /// All is done, until a recheck is due.
    Settled,
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
    let settling = |left: Duration, what: EffectKind| Next::Rest(settling(what, left));
    match &tenant.state {
        State::Pending => Next::Rest(Rest::Requeue),
        State::Creating(Entry::Cleared) => Next::Do(Effect::Create),
        State::Creating(Entry::Settling { left }) => settling(*left, EffectKind::Create),
        State::Creating(Entry::Look { .. }) => Next::Do(Effect::Look),
        State::Adopting { client, entry } => match entry {
            MintEntry::Cleared => Next::Do(Effect::Mint(client.clone())),
            MintEntry::Settling { left } => settling(*left, EffectKind::Mint),
            MintEntry::Compare => Next::Do(Effect::Compare(client.clone())),
            MintEntry::Tidy(hint) => Next::Do(Effect::Tidy(client.clone(), hint.clone())),
        },
        State::Created { client, check } => Next::Do(match check {
            Check::Passed => Effect::Trust(client.clone()),
            Check::Compare => Effect::Compare(client.clone()),
            Check::Tidy(hint) => Effect::Tidy(client.clone(), hint.clone()),
        }),
        State::Trusted { client } => Next::Do(Effect::Prove(client.clone())),
        State::Ready { client, recheck } => match recheck {
            Recheck::Passed => Next::Rest(Rest::Settled),
            Recheck::Due => Next::Do(Effect::Recheck(client.clone())),
            Recheck::Surplus(surplus) => match surplus.first() {
                Some(surplus) => Next::Do(Effect::Dedupe(surplus.clone())),
                None => Next::Rest(Rest::Settled),
            },
        },
    }
}

/// What to write down after an effect succeeded.
///
/// # Errors
///
/// [`IllegalOutcome`] when the outcome does not belong to the tenant's state.
pub fn after(
    tenant: Tenant,
    effect: &Effect,
    done: Done,
    policy: &RetryPolicy,
) -> Result<Decision, IllegalOutcome> {
    match (tenant.state.clone(), done) {
        (State::Creating(Entry::Cleared), Done::Created { client, hint }) => {
            Ok(created(tenant, client, hint))
        }
        (State::Creating(Entry::Look { after_conflict }), Done::Looked(seen)) => {
            Ok(looked(tenant, &seen, after_conflict, policy))
        }
        (State::Adopting { client, entry: MintEntry::Compare }, Done::Compared { secrets, me }) => {
            Ok(compared_before_mint(tenant, client, &secrets, &me, policy))
        }
        (State::Adopting { client, entry: MintEntry::Tidy(hint) }, Done::Tidied) => {
            Ok(tidied(tenant, State::Adopting { client, entry: MintEntry::Compare }, hint))
        }
        (State::Adopting { client, entry: MintEntry::Cleared }, Done::Minted { hint }) => {
            Ok(minted(tenant, client, hint))
        }
        (State::Created { client, check: Check::Compare }, Done::Compared { secrets, me }) => {
            Ok(compared_after_mint(tenant, client, &secrets, &me))
        }
        (State::Created { client, check: Check::Tidy(hint) }, Done::Tidied) => {
            Ok(tidied(tenant, State::Created { client, check: Check::Compare }, hint))
        }
        (State::Created { client, check: Check::Passed }, Done::Trusted) => {
            Ok(advance(tenant, State::Trusted { client }, SecretChange::Keep))
        }
        (State::Trusted { client }, Done::Proven) => Ok(proven(tenant, client)),
        (State::Trusted { client }, Done::Unopenable) => {
            Ok(Decision { secret: SecretChange::Discard, ..hold(replaced(tenant, client)) })
        }
        (State::Ready { client, recheck: Recheck::Due }, Done::Rechecked(seen)) => {
            Ok(rechecked(tenant, client, &seen))
        }
        (State::Ready { client, recheck: Recheck::Surplus(rest) }, Done::Deduped) => {
            Ok(deduped(tenant, client, rest))
        }
        (state, _) => Err(IllegalOutcome { effect: effect.kind(), state: format!("{state:?}") }),
    }
}

/// What to write down when a worker stops before the next effect: nothing is in
/// flight, anybody may go on.
#[must_use]
pub fn checkpoint(tenant: Tenant) -> Decision {
    let state = tenant.re_entry();
    Decision { rest: Rest::Requeue, ..hold(Tenant { state, ..tenant }) }
}

fn created(mut tenant: Tenant, client: ClientId, hint: Option<Hint>) -> Decision {
    tenant.store_unproven(hint.clone());
    let check = if hint.is_some() { Check::Passed } else { Check::Compare };
    advance(tenant, State::Created { client, check }, SecretChange::Seal { hint })
}

fn looked(tenant: Tenant, seen: &[SeenClient], after_conflict: bool, policy: &RetryPolicy) -> Decision {
    match look::find(&tenant.mark, seen) {
        Finding::Ours(client) => {
            let state = State::Adopting { client: client.client_id, entry: MintEntry::Compare };
            let found = advance(Tenant { is_adopted: true, ..tenant }, state, SecretChange::Keep);
            Decision { recheck: RecheckChange::After(policy.recheck_after()), ..found }
        }
        Finding::EarlierRow(earlier) => {
            let what = format!("the client of tenant {earlier} is still on this host");
            park(tenant, ParkReason::EarlierClientFound, &what)
        }
        Finding::Nothing if after_conflict => {
            park(tenant, ParkReason::NameTaken, "another client has this name, and it is not ours")
        }
        Finding::Nothing if tenant.without_progress >= policy.give_up_after => {
            give_up(tenant, policy, "create")
        }
        Finding::Nothing => hold(Tenant { state: State::Creating(Entry::Cleared), ..tenant }),
    }
}

fn compared_before_mint(
    tenant: Tenant,
    client: ClientId,
    secrets: &[SeenSecret],
    me: &UserId,
    policy: &RetryPolicy,
) -> Decision {
    match compare(&tenant, secrets, me).before_mint() {
        MintPlan::Delete(hint) => {
            hold(Tenant { state: State::Adopting { client, entry: MintEntry::Tidy(hint) }, ..tenant })
        }
        MintPlan::Mint { .. } if tenant.without_progress >= policy.give_up_after => {
            give_up(tenant, policy, "mint")
        }
        MintPlan::Mint { snapshot } => hold(Tenant {
            state: State::Adopting { client, entry: MintEntry::Cleared },
            snapshot: Some(snapshot),
            ..tenant
        }),
        MintPlan::SlotsFull => park(
            tenant,
            ParkReason::SecretSlotsFull,
            "the client has five secrets, none of which is ours to delete",
        ),
    }
}

fn minted(mut tenant: Tenant, client: ClientId, hint: Option<Hint>) -> Decision {
    tenant.store_unproven(hint.clone());
    // What was left until there is another secret goes now.
    let state = State::Created { client, check: Check::Compare };
    advance(tenant, state, SecretChange::Seal { hint })
}

fn compared_after_mint(
    mut tenant: Tenant,
    client: ClientId,
    secrets: &[SeenSecret],
    me: &UserId,
) -> Decision {
    let identified = match tenant.unproven() {
        Some(unproven) if unproven.hint.is_none() => compare(&tenant, secrets, me).missing_hint(),
        Some(_) | None => None,
    };
    if let Some(hint) = &identified {
        for stored in tenant.stored.iter_mut().filter(|s| s.standing == Standing::Unproven) {
            stored.hint = Some(hint.clone());
        }
    }
    let check = if let Some(hint) = compare(&tenant, secrets, me).after_mint() {
        Check::Tidy(hint)
    } else {
        (tenant.snapshot, tenant.is_adopted) = (None, false);
        Check::Passed
    };
    let secret = identified.map_or(SecretChange::Keep, SecretChange::Identify);
    Decision { secret, ..hold(Tenant { state: State::Created { client, check }, ..tenant }) }
}

fn tidied(mut tenant: Tenant, state: State, hint: Hint) -> Decision {
    tenant.forget(&hint);
    Decision { secret: SecretChange::Forget(hint), ..hold(Tenant { state, ..tenant }) }
}

fn proven(mut tenant: Tenant, client: ClientId) -> Decision {
    tenant.restand_unproven(Standing::Current);
    tenant.is_afresh = false;
    tenant.refused_for = None;
    let state = State::Ready { client, recheck: Recheck::Passed };
    Decision { rest: Rest::Settled, ..advance(tenant, state, SecretChange::Promote) }
}

fn rechecked(tenant: Tenant, client: ClientId, seen: &[SeenClient]) -> Decision {
    let surplus = look::surplus(&tenant.mark, &client, seen);
    if surplus.is_empty() {
        return all_rechecked(tenant, client);
    }
    hold(Tenant { state: State::Ready { client, recheck: Recheck::Surplus(surplus) }, ..tenant })
}

fn deduped(tenant: Tenant, client: ClientId, mut surplus: Vec<ClientId>) -> Decision {
    surplus.remove(0);
    if surplus.is_empty() {
        return all_rechecked(tenant, client);
    }
    hold(Tenant { state: State::Ready { client, recheck: Recheck::Surplus(surplus) }, ..tenant })
}

fn all_rechecked(tenant: Tenant, client: ClientId) -> Decision {
    let state = State::Ready { client, recheck: Recheck::Passed };
    let done = advance(tenant, state, SecretChange::Keep);
    Decision { recheck: RecheckChange::Done, rest: Rest::Settled, ..done }
}

/// The unproven secret cannot be opened by whoever took over. After failures that
/// counts as the beginning of a refusal, so that replacing secrets ends some day.
fn replaced(mut tenant: Tenant, client: ClientId) -> Tenant {
    if tenant.failures > 0 {
        tenant.refused_for.get_or_insert(Duration::ZERO);
    }
    mint_anew(tenant, client)
}

/// The unproven secret is of no use: discard it, and mint another on the same client.
pub(super) fn mint_anew(mut tenant: Tenant, client: ClientId) -> Tenant {
    tenant.restand_unproven(Standing::Discarded);
    Tenant { state: State::Adopting { client, entry: MintEntry::Compare }, ..tenant }
}

fn compare<'a>(tenant: &'a Tenant, seen: &'a [SeenSecret], me: &'a UserId) -> Comparison<'a> {
    let snapshot = tenant.snapshot.as_deref();
    Comparison { seen, stored: &tenant.stored, snapshot, is_adopted: tenant.is_adopted, me }
}

pub(super) fn settling(what: EffectKind, left: Duration) -> Rest {
    let message = format!("a {what} went unanswered and may still land; looked at when it has settled");
    Rest::Wait { reason: WaitReason::Settling, due: left, message }
}

fn give_up(tenant: Tenant, policy: &RetryPolicy, what: &str) -> Decision {
    let since = humantime::format_duration(policy.give_up_after);
    park(tenant, ParkReason::GaveUp, &format!("no {what} succeeded within {since}"))
}

pub(super) fn hold(tenant: Tenant) -> Decision {
    Decision {
        tenant,
        secret: SecretChange::Keep,
        progress: Progress::None,
        ailment: None,
        recheck: RecheckChange::Keep,
        rest: Rest::Hold,
    }
}

/// The row came forward. While proofs are being refused only a proof is progress:
/// replacing the secret, which a daemon that only seals must do, is none.
fn advance(tenant: Tenant, state: State, secret: SecretChange) -> Decision {
    let tenant = Tenant { state, missing_for: None, ..tenant };
    if tenant.refused_for.is_some() {
        return Decision { secret, ..hold(tenant) };
    }
    let tenant = Tenant { failures: 0, without_progress: Duration::ZERO, ..tenant };
    Decision { secret, progress: Progress::Made, ..hold(tenant) }
}

pub(super) fn park(tenant: Tenant, reason: ParkReason, what: &str) -> Decision {
    let state = tenant.re_entry();
    let message = format!("{what}; {}", reason.remedy());
    Decision { rest: Rest::Park { reason, message }, ..hold(Tenant { state, ..tenant }) }
}

#[cfg(test)]
mod tests;
