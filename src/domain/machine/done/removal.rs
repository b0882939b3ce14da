//! Removal: the client, its tokens, its bot user, and then everything we stored.
//!
//! The rule: a removal ends with a look that finds no client that looks made by us. What a list
//! that lags still shows after Qlik said it was gone does not count.

use crate::domain::drift::DriftKind;
use crate::domain::ids::ClientId;
use crate::domain::look::{self, SeenClient};
use crate::domain::machine::decision::{
    self, Decision, RecheckChange, Rest, SecretChange, hold as hold_lease,
};
use crate::domain::machine::waits::held;
use crate::domain::retry::Policy;
use crate::domain::tenant::{Removal, State, Tenant};
use crate::domain::token::Walk;

pub(super) fn looked(tenant: Tenant, seen: &[SeenClient], policy: &Policy) -> Decision {
    if let Some(client) = next_of_ours(&tenant, seen).or_else(|| next_left(&tenant)) {
        return advance(tenant, State::Removing(Removal::Delete(client)), SecretChange::Keep);
    }
    // What only bears our mark is not ours to delete; that it is there is shown.
    let is_copied = !look::copied(&tenant.mark, None, seen).is_empty();
    let drift = if is_copied { vec![DriftKind::CopiedMark] } else { vec![] };
    let tenant = Tenant { stored: vec![], snapshot: None, is_adopted: false, drift, left: vec![], ..tenant };
    let removed = advance(tenant, State::Removed { is_recheck_due: false }, SecretChange::Shred);
    let recheck = RecheckChange::After(policy.recheck_after());
    Decision { recheck, rest: Rest::Settled, ..removed }
}

pub(super) fn deleted(mut tenant: Tenant, client: ClientId) -> Decision {
    tenant.gone.push(client.clone());
    advance(tenant, State::Removing(Removal::Revoke(client, Walk::default())), SecretChange::Keep)
}

pub(super) fn revoked(tenant: Tenant, client: ClientId, left: Option<Walk>) -> Decision {
    let next = match left {
        Some(walk) => Removal::Revoke(client, walk),
        None => Removal::DeleteBot(client),
    };
    advance(tenant, State::Removing(next), SecretChange::Keep)
}

/// Nothing of the client is left: on to the next, if a look finds one.
pub(super) fn ended(mut tenant: Tenant, client: &ClientId) -> Decision {
    tenant.left.retain(|left| left != client);
    advance(tenant, State::Removing(Removal::Look), SecretChange::Keep)
}

/// Once more, some time after the removal: a create that went unanswered, or was sent
/// by a worker that had been taken over, may have landed since.
pub(super) fn rechecked(tenant: Tenant, seen: &[SeenClient]) -> Decision {
    let Some(client) = next_of_ours(&tenant, seen) else { return nothing_came(tenant) };
    if let Some(hold) = tenant.hold {
        // It may be in use: its owner may still take it back, for which the row stays removed.
        let removed = Tenant { state: State::Removed { is_recheck_due: false }, ..tenant };
        return Decision { rest: held(hold), ..hold_lease(removed) };
    }
    advance(tenant, State::Removing(Removal::Delete(client)), SecretChange::Keep)
}

/// The removed tenant needs no further look.
pub(in super::super) fn nothing_came(tenant: Tenant) -> Decision {
    let tenant = Tenant { state: State::Removed { is_recheck_due: false }, failures: 0, ..tenant };
    Decision { recheck: RecheckChange::Done, rest: Rest::Settled, ..hold_lease(tenant) }
}

/// Nobody waits for a proof any more: a new life begins with all its patience.
fn advance(tenant: Tenant, state: State, secret: SecretChange) -> Decision {
    decision::advance(Tenant { is_afresh: false, refused_for: None, ..tenant }, state, secret)
}

fn next_of_ours(tenant: &Tenant, seen: &[SeenClient]) -> Option<ClientId> {
    let ours = look::ours(&tenant.mark, seen).into_iter().filter(|client| look::looks_made_by_us(client));
    let mut ours = ours.map(|client| &client.client_id);
    ours.find(|id| !tenant.gone.contains(id)).cloned()
}

/// One that somebody else deleted: that it is gone is found out by deleting it, and what it
/// left behind goes as with any other.
fn next_left(tenant: &Tenant) -> Option<ClientId> {
    tenant.left.iter().find(|id| !tenant.gone.contains(id)).cloned()
}

#[cfg(test)]
mod tests;
