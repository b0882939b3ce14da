//! Where a worker stands that takes a record up, knowing nothing of the lease before.
//!
//! The rule: total over what can be stored. What the schema makes impossible is still not
//! taken on faith: it is an error that names itself.

use super::super::phase::Phase;
use super::super::tenant::{Check, Entry, MintEntry, Removal, Series, State, Tenant};
use super::columns::{Record, Seen, Unreadable};
use crate::domain::ids::ClientId;

impl Record {
    /// `tenant` is the rest of what the record says.
    pub(in crate::domain) fn state(&self, seen: &Seen, tenant: &Tenant) -> Result<State, Unreadable> {
        let settling = self.settles.map(|when| when.left(seen.now)).filter(|left| !left.is_zero());
        if self.phase == Phase::Removed {
            return Ok(State::Removed { is_recheck_due: tenant.due.recheck });
        }
        if !seen.is_present || self.phase == Phase::Removing {
            return Ok(State::Removing(match (self.client.clone(), settling) {
                (Some(client), _) => Removal::Delete(client),
                (None, Some(left)) => Removal::Settling { left },
                (None, None) => Removal::Look,
            }));
        }
        let entry = settling.map_or(MintEntry::Compare, |left| MintEntry::Settling { left });
        match (self.phase, self.client.clone()) {
            (Phase::Pending, _) => Ok(State::Pending),
            (Phase::Creating, None) => Ok(State::Creating(match settling {
                _ if seen.is_fresh_intent => Entry::Cleared,
                Some(left) => Entry::Settling { left },
                None => Entry::Look { after_conflict: false },
            })),
            (Phase::Creating, Some(client)) => Ok(State::Minting { client, series: Series::First, entry }),
            (Phase::Rotating, Some(client)) => Ok(State::Minting { client, series: Series::Rotation, entry }),
            (Phase::Created | Phase::Trusted | Phase::Proving, Some(client)) => {
                Ok(with_secret(self.phase, client, tenant))
            }
            (Phase::Ready, Some(client)) => Ok(tenant.ready(client)),
            (
                Phase::Created
                | Phase::Trusted
                | Phase::Ready
                | Phase::Rotating
                | Phase::Proving
                | Phase::Removing
                | Phase::Removed,
                _,
            ) => Err(Unreadable(self.phase)),
        }
    }
}

fn with_secret(phase: Phase, client: ClientId, tenant: &Tenant) -> State {
    let Some(secret) = tenant.unproven() else {
        // Its sealed text is gone: only a new secret helps.
        return State::Minting { client, series: tenant.series(), entry: MintEntry::Compare };
    };
    let is_open = secret.hint.is_none() || tenant.snapshot.is_some();
    let check = if is_open { Check::Compare } else { Check::Passed };
    match phase {
        Phase::Trusted => State::Trusted { client },
        Phase::Proving => State::Proving { client, check },
        Phase::Created
        | Phase::Pending
        | Phase::Creating
        | Phase::Ready
        | Phase::Rotating
        | Phase::Removing
        | Phase::Removed => State::Created { client, check },
    }
}
