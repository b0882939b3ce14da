//! A ready tenant: rechecked, audited and mended.
//!
//! The rules: duplicates of our own making are always resolved; anything else is
//! mended only when it was let through (`Due::repair`), when its owner changed it, or
//! when the row came out of a backup; a client that is gone is never made again here.

use std::time::Duration;

use crate::domain::drift::{Change, Drift, DriftKind, Field};
use crate::domain::hints::Standing;
use crate::domain::ids::{ClientId, Hint};
use crate::domain::look::{self, SeenClient};
use crate::domain::machine::decision::{
    Ailment, AuditChange, Decision, RecheckChange, Rest, SecretChange, advance, going_on, hold, park,
};
use crate::domain::place::Hold;
use crate::domain::reason::{ParkReason, WaitReason};
use crate::domain::retry::Policy;
use crate::domain::tenant::{Duty, Mend, RepairScope, State, Tenant};

/// How often a client that was not in the list is looked for again before it counts as gone.
const MISSING_AGAIN: Duration = Duration::from_mins(1);

pub(super) fn rechecked(mut tenant: Tenant, client: ClientId, seen: &[SeenClient]) -> Decision {
    let surplus = look::surplus(&tenant.mark, &client, seen);
    let is_any_copied = !look::copied(&tenant.mark, Some(&client), seen).is_empty();
    note_copies(&mut tenant, is_any_copied);
    // What is there beside a client that is not may be all that works.
    if surplus.is_empty() || !look::is_there(&client, seen) {
        tenant.due.audit |= !surplus.is_empty();
        return all_rechecked(tenant, client);
    }
    hold(Tenant { state: State::Ready { client, duty: Duty::Surplus(surplus) }, ..tenant })
}

pub(super) fn deduped(tenant: Tenant, client: ClientId, mut surplus: Vec<ClientId>) -> Decision {
    surplus.remove(0);
    if surplus.is_empty() {
        return all_rechecked(tenant, client);
    }
    hold(Tenant { state: State::Ready { client, duty: Duty::Surplus(surplus) }, ..tenant })
}

/// The rest of the duplicates must wait. They come last among repairs, too.
pub(in super::super) fn put_off(mut tenant: Tenant, policy: &Policy) -> Decision {
    let recheck = RecheckChange::After(Policy::BUDGET_AGAIN);
    let State::Ready { client, duty } = tenant.state.clone() else { return hold(tenant) };
    tenant.due.recheck = false;
    if !tenant.drift.contains(&DriftKind::Duplicate) {
        tenant.drift.push(DriftKind::Duplicate);
        tenant.drift.sort_unstable();
    }
    let decision = match duty {
        Duty::Mend(_) => all_mended(tenant, client, policy),
        Duty::None | Duty::Recheck | Duty::Surplus(_) | Duty::Audit | Duty::Compare | Duty::Tidy(_) => {
            going_on(tenant, client)
        }
    };
    Decision { recheck, ..decision }
}

/// Shows that somebody copied the row's mark, or no more.
fn note_copies(tenant: &mut Tenant, is_any: bool) {
    tenant.drift.retain(|kind| *kind != DriftKind::CopiedMark);
    if is_any {
        tenant.drift.push(DriftKind::CopiedMark);
        tenant.drift.sort_unstable();
    }
}

fn all_rechecked(mut tenant: Tenant, client: ClientId) -> Decision {
    tenant.due.recheck = false;
    tenant.drift.retain(|kind| *kind != DriftKind::Duplicate);
    Decision { recheck: RecheckChange::Done, ..going_on(tenant, client) }
}

pub(super) fn audited(tenant: Tenant, client: ClientId, drifts: &[Drift], policy: &Policy) -> Decision {
    let mut drift: Vec<_> = drifts.iter().map(Drift::kind).collect();
    drift.sort_unstable();
    drift.dedup();
    let is_missing = drift.contains(&DriftKind::ClientMissing);
    let tenant = Tenant { drift, ..tenant };
    if is_missing {
        let is_another_there = tenant.drift.contains(&DriftKind::Duplicate);
        return if is_another_there { outlived(tenant) } else { missing(tenant) };
    }
    let tenant = Tenant { missing_for: None, ..tenant };
    let allowed: Vec<_> = drifts.iter().filter(|drift| is_allowed(drift, &tenant)).collect();
    if let Some(hint) = lost_secret(&allowed, Standing::Previous) {
        return lost(tenant, client, hint);
    }
    let is_current_lost = lost_secret(&allowed, Standing::Current).is_some();
    let tenant = if is_current_lost { to_be_renewed(tenant) } else { tenant };
    let mends = mends(&allowed);
    if mends.is_empty() {
        return all_mended(tenant, client, policy);
    }
    hold(Tenant { state: State::Ready { client, duty: Duty::Mend(mends) }, ..tenant })
}

/// After the first of the repairs.
pub(super) fn mended(
    mut tenant: Tenant,
    client: ClientId,
    mut mends: Vec<Mend>,
    policy: &Policy,
) -> Decision {
    let done = mends.remove(0);
    let is_left = |mend: &Mend| matches!(mend, Mend::Dedupe(_));
    let healed: Vec<_> = match &done {
        Mend::Trust => vec![DriftKind::Consent],
        Mend::Amend(changes) => changes.iter().map(|change| change.field.drift()).collect(),
        Mend::Dedupe(_) if mends.iter().any(is_left) => vec![],
        Mend::Dedupe(_) => vec![DriftKind::Duplicate],
    };
    tenant.drift.retain(|kind| !healed.contains(kind));
    if mends.is_empty() {
        return all_mended(tenant, client, policy);
    }
    hold(Tenant { state: State::Ready { client, duty: Duty::Mend(mends) }, ..tenant })
}

fn all_mended(mut tenant: Tenant, client: ClientId, policy: &Policy) -> Decision {
    let due = &mut tenant.due;
    (due.audit, due.edit, due.repair) = (false, false, None);
    if tenant.must_look {
        // What was there before this look may be in use, whatever the backup says of it.
        (tenant.must_look, tenant.snapshot, tenant.is_adopted) = (false, None, false);
        tenant.due.leavings = tenant.has_leavings();
    }
    let audit = AuditChange::Done { next: policy.audit_every };
    Decision { audit, ..going_on(tenant, client) }
}

/// A row out of a backup, on its way to a proven credential, against all clients.
pub(super) fn doubted(tenant: Tenant, seen: &[SeenClient]) -> Decision {
    let Some(client) = tenant.doubted_client().cloned() else { return hold(tenant) };
    if seen.iter().any(|seen| !seen.is_deleted && seen.client_id == client) {
        // A secret that is there now may be in use: no mint of this row lost it.
        let state = tenant.re_entry();
        let (must_look, snapshot, is_adopted) = (false, None, false);
        return hold(Tenant { state, must_look, snapshot, is_adopted, missing_for: None, ..tenant });
    }
    let is_another_there = look::ours(&tenant.mark, seen).into_iter().any(look::looks_made_by_us);
    if is_another_there { outlived(tenant) } else { missing(tenant) }
}

/// The committed client is gone, and another of ours is there: the row has missed the
/// beginning of a new life. It begins that life, and finds the client.
///
/// Before that the same patience as for a client that is merely missing, but for a row out
/// of a backup: that its client is gone is what a backup looks like.
fn outlived(tenant: Tenant) -> Decision {
    if !tenant.must_look && tenant.missing_for.unwrap_or_default() < Policy::MISSING_PATIENCE {
        return missing(tenant);
    }
    let state = State::Removed { is_recheck_due: false };
    let anew = Tenant { stored: vec![], snapshot: None, is_adopted: false, drift: vec![], ..tenant };
    let begun = advance(Tenant { is_afresh: false, refused_for: None, ..anew }, state, SecretChange::Shred);
    Decision { rest: Rest::Requeue, ..begun }
}

/// May be lag of the list; after ten minutes it is a case for people.
fn missing(tenant: Tenant) -> Decision {
    let is_lag = tenant.missing_for.unwrap_or_default() < Policy::MISSING_PATIENCE;
    let decision = if is_lag {
        let message = "our client is not in the list of the tenant's clients; looked for again".to_owned();
        let state = tenant.re_entry();
        let rest = Rest::Wait { reason: WaitReason::Retrying, due: MISSING_AGAIN, message };
        Decision { rest, ..hold(Tenant { state, ..tenant }) }
    } else {
        park(tenant, ParkReason::ClientMissing, "our client is not on the tenant any more")
    };
    Decision { ailment: Some(Ailment::ClientMissing), ..decision }
}

fn lost_secret(allowed: &[&Drift], wanted: Standing) -> Option<Hint> {
    allowed.iter().find_map(|drift| match drift {
        Drift::SecretMissing { hint, standing } if *standing == wanted => Some(hint.clone()),
        Drift::SecretMissing { .. }
        | Drift::ClientMissing
        | Drift::Duplicate(_)
        | Drift::CopiedMark(_)
        | Drift::Consent
        | Drift::Disabled
        | Drift::Field { .. }
        | Drift::SecretUnknown { .. } => None,
    })
}

/// The previous secret was deleted at Qlik: it is forgotten.
fn lost(mut tenant: Tenant, client: ClientId, hint: Hint) -> Decision {
    tenant.lose_previous(&hint);
    let state = State::Ready { client, duty: Duty::Audit };
    advance(tenant, state, SecretChange::Lose(hint))
}

/// The current secret was deleted at Qlik. It is replaced as by a rotation and shown
/// until then, because what one list does not show may still work.
fn to_be_renewed(mut tenant: Tenant) -> Tenant {
    tenant.due.rotation = true;
    tenant.drift.retain(|kind| *kind != DriftKind::SecretMissing);
    tenant
}

fn is_allowed(drift: &Drift, tenant: &Tenant) -> bool {
    let is_let_through = tenant.due.repair == Some(RepairScope::All);
    match drift {
        Drift::Duplicate(_) => tenant.hold.is_none(),
        Drift::Consent => {
            tenant.due.repair.is_some() || tenant.must_look && tenant.hold != Some(Hold::Changes)
        }
        Drift::Field { wanted, .. } => is_let_through || tenant.due.edit && wanted.field.is_of_the_owner(),
        Drift::SecretMissing { .. } => {
            is_let_through || tenant.must_look && tenant.hold != Some(Hold::Changes)
        }
        Drift::ClientMissing | Drift::CopiedMark(_) | Drift::Disabled | Drift::SecretUnknown { .. } => false,
    }
}

/// Consent first, because without it no token is given; all fields in one request.
fn mends(allowed: &[&Drift]) -> Vec<Mend> {
    let mut mends = Vec::new();
    let mut changes: Vec<Change> = Vec::new();
    let mut surplus = Vec::new();
    for drift in allowed {
        match drift {
            Drift::Consent => mends.push(Mend::Trust),
            Drift::Field { wanted, .. } => changes.push(wanted.clone()),
            Drift::Duplicate(client) => surplus.push(Mend::Dedupe(client.clone())),
            Drift::ClientMissing
            | Drift::CopiedMark(_)
            | Drift::Disabled
            | Drift::SecretMissing { .. }
            | Drift::SecretUnknown { .. } => {}
        }
    }
    if !changes.is_empty() {
        mends.push(Mend::Amend(changes));
    }
    mends.extend(surplus);
    mends
}

impl Field {
    /// Whether the owner's row or profile says what it holds.
    const fn is_of_the_owner(self) -> bool {
        match self {
            Self::Name | Self::Scopes | Self::RedirectUris | Self::Origins => true,
            Self::Description | Self::Grants => false,
        }
    }
}

#[cfg(test)]
mod tests;
