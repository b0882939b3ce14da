//! What to write down when an effect was done.
//!
//! Total over states and outcomes; a pair that cannot occur is a typed error, not a panic and
//! not a default arm that swallows it. What each stretch of the way writes down is in a room
//! of its own.

pub(super) mod care;
mod creation;
pub(super) mod removal;
pub(super) mod secrets;

use super::decision::{Decision, SecretChange, advance};
use super::effect::{Done, Effect, EffectKind};
use crate::domain::retry::Policy;
use crate::domain::tenant::{Check, Duty, Entry, MintEntry, Removal, State, Tenant};

/// An outcome that does not belong to the state it met: a defect of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{effect} came back to a tenant whose state is {state}")]
pub struct IllegalOutcome {
    effect: EffectKind,
    state: String,
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
