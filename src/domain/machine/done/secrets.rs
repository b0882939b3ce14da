//! Secrets: minted beside those that are there, proven, and deleted when they have served.
//!
//! The rule: what still serves a consumer is never deleted, and never more than
//! five exist; a secret is taken from consumers first and deleted at Qlik then.

use std::time::Duration;

use crate::domain::drift::DriftKind;
use crate::domain::hints::{Comparison, MintPlan, SeenSecret, Standing};
use crate::domain::ids::{ClientId, Hint, UserId};
use crate::domain::machine::decision::{
    Decision, Rest, SecretChange, advance, give_up, going_on, hold, park,
};
use crate::domain::reason::{ParkReason, WaitReason};
use crate::domain::retry::Policy;
use crate::domain::tenant::{Check, Duty, MintEntry, Series, State, Tenant};

pub(super) fn compared_before_mint(
    tenant: Tenant,
    client: ClientId,
    series: Series,
    secrets: &[SeenSecret],
    me: &UserId,
    policy: &Policy,
) -> Decision {
    let tenant = noting_unknown(tenant, secrets);
    match compare(&tenant, secrets, me).before_mint(tenant.hold.is_none()) {
        MintPlan::Delete(hint) => {
            let state = State::Minting { client, series, entry: MintEntry::Tidy(hint) };
            hold(Tenant { state, ..tenant })
        }
        MintPlan::Mint { .. } if tenant.without_progress >= policy.give_up_after => {
            give_up(tenant, policy, "mint")
        }
        MintPlan::Mint { snapshot } => hold(Tenant {
            state: State::Minting { client, series, entry: MintEntry::Cleared },
            snapshot: Some(snapshot),
            ..tenant
        }),
        // Without a current one there is no ready tenant to wait as.
        MintPlan::SlotsFull if series == Series::Rotation && has_previous(&tenant) => {
            // One of them retires by itself: rotate then.
            let state = State::Ready { client, duty: Duty::None };
            let message =
                "the client has five secrets; the next one is minted when a previous one has retired"
                    .to_owned();
            let rest = Rest::Wait { reason: WaitReason::SecretSlotsFull, due: policy.cap, message };
            Decision { rest, ..hold(Tenant { state, snapshot: None, ..tenant }) }
        }
        MintPlan::SlotsFull => park(
            tenant,
            ParkReason::SecretSlotsFull,
            "the client has five secrets, none of which is ours to delete",
        ),
    }
}

/// A client that was found by a row which is not believed: secrets that the row does not
/// know may be in use. They are shown, and nothing of ours deletes them.
fn noting_unknown(mut tenant: Tenant, secrets: &[SeenSecret]) -> Tenant {
    let knows_nothing = tenant.stored.is_empty() && tenant.snapshot.is_none() && !tenant.is_adopted;
    if knows_nothing && !secrets.is_empty() && !tenant.drift.contains(&DriftKind::SecretUnknown) {
        tenant.drift.push(DriftKind::SecretUnknown);
        tenant.drift.sort_unstable();
    }
    tenant
}

pub(super) fn minted(mut tenant: Tenant, client: ClientId, series: Series, hint: Option<Hint>) -> Decision {
    tenant.store_unproven(hint.clone());
    // What was left until there is another secret goes now.
    let check = Check::Compare;
    let state = match series {
        Series::First => State::Created { client, check },
        Series::Rotation => State::Proving { client, check },
    };
    advance(tenant, state, SecretChange::Seal { hint })
}

/// `state` is where the tenant stands, but for the check.
pub(super) fn compared_after_mint(
    mut tenant: Tenant,
    state: impl FnOnce(Check) -> State,
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
    let check = match compare(&tenant, secrets, me).after_mint() {
        // What is to go stays known, for when deletions are agreed to.
        Some(_) if tenant.hold.is_some() => Check::Passed,
        Some(hint) => Check::Tidy(hint),
        None => {
            (tenant.snapshot, tenant.is_adopted) = (None, false);
            Check::Passed
        }
    };
    let secret = identified.map_or(SecretChange::Keep, SecretChange::Identify);
    Decision { secret, ..hold(Tenant { state: state(check), ..tenant }) }
}

/// On a ready tenant: withdraws what has served, then finds the next secret to delete.
pub(super) fn compared_when_ready(
    mut tenant: Tenant,
    client: ClientId,
    secrets: &[SeenSecret],
    me: &UserId,
) -> Decision {
    // From consumers first: a crash between the two leaves a secret too many, not one too few.
    let secret = if tenant.withdraw() { SecretChange::Withdraw } else { SecretChange::Keep };
    let view = compare(&tenant, secrets, me);
    let (gone, next) = (view.discarded_and_gone(), view.after_mint());
    if let Some(hint) = next {
        let state = State::Ready { client, duty: Duty::Tidy(hint) };
        return Decision { secret, ..hold(Tenant { state, ..tenant }) };
    }
    let again = State::Ready { client: client.clone(), duty: Duty::Compare };
    if secret == SecretChange::Withdraw {
        return Decision { secret, ..hold(Tenant { state: again, ..tenant }) };
    }
    if let Some(hint) = gone {
        return tidied(tenant, again, hint);
    }
    (tenant.snapshot, tenant.is_adopted, tenant.due.leavings) = (None, false, false);
    going_on(tenant, client)
}

pub(super) fn tidied(mut tenant: Tenant, state: State, hint: Hint) -> Decision {
    tenant.forget(&hint);
    Decision { secret: SecretChange::Forget(hint), ..hold(Tenant { state, ..tenant }) }
}

pub(super) fn proven(mut tenant: Tenant, client: ClientId, policy: &Policy) -> Decision {
    tenant.promote();
    (tenant.is_afresh, tenant.refused_for, tenant.due.rotation) = (false, None, false);
    let secret = SecretChange::Promote { overlap: policy.overlap };
    Decision { secret, ..going_on(tenant, client) }
}

/// The unproven secret cannot be opened by whoever took over. After failures that
/// counts as the beginning of a refusal, so that replacing secrets ends some day.
pub(super) fn unopenable(mut tenant: Tenant, client: ClientId) -> Decision {
    if tenant.failures > 0 {
        tenant.refused_for.get_or_insert(Duration::ZERO);
    }
    Decision { secret: SecretChange::Discard, ..hold(mint_anew(tenant, client)) }
}

/// The unproven secret is of no use: discard it, and mint another on the same client.
pub(in super::super) fn mint_anew(mut tenant: Tenant, client: ClientId) -> Tenant {
    tenant.discard_unproven();
    let series = tenant.series();
    Tenant { state: State::Minting { client, series, entry: MintEntry::Compare }, ..tenant }
}

fn has_previous(tenant: &Tenant) -> bool {
    tenant.stored.iter().any(|secret| secret.standing == Standing::Previous)
}

fn compare<'a>(tenant: &'a Tenant, seen: &'a [SeenSecret], me: &'a UserId) -> Comparison<'a> {
    let snapshot = tenant.snapshot.as_deref();
    Comparison { seen, stored: &tenant.stored, snapshot, is_adopted: tenant.is_adopted, me }
}

#[cfg(test)]
mod tests;
