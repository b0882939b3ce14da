//! The first stretch: from no client to one with a sealed secret.
//!
//! The rule: a client that was found is adopted and never made a second time.

use crate::domain::ids::{ClientId, Hint};
use crate::domain::look::{self, Finding, SeenClient};
use crate::domain::machine::decision::{Decision, RecheckChange, SecretChange, advance, give_up, hold, park};
use crate::domain::reason::ParkReason;
use crate::domain::retry::Policy;
use crate::domain::tenant::{Check, Entry, MintEntry, Series, State, Tenant};

pub(super) fn created(mut tenant: Tenant, client: ClientId, hint: Option<Hint>) -> Decision {
    tenant.store_unproven(hint.clone());
    let check = if hint.is_some() { Check::Passed } else { Check::Compare };
    advance(tenant, State::Created { client, check }, SecretChange::Seal { hint })
}

pub(super) fn looked(tenant: Tenant, seen: &[SeenClient], after_conflict: bool, policy: &Policy) -> Decision {
    // Where the row is not believed, a client that it does not know may be in use, and so may
    // secrets that it does not know: they stay.
    let is_lost = !tenant.must_look;
    let tenant = Tenant { must_look: false, ..tenant };
    match look::find(&tenant.mark, seen) {
        Finding::Ours(client) => {
            let entry = MintEntry::Compare;
            let state = State::Minting { client, series: Series::First, entry };
            let found = advance(Tenant { is_adopted: is_lost, ..tenant }, state, SecretChange::Keep);
            Decision { recheck: RecheckChange::After(policy.recheck_after()), ..found }
        }
        Finding::EarlierRow(earlier) => {
            let what = format!("the client of tenant {earlier} is still on this host");
            park(tenant, ParkReason::EarlierClientFound, &what)
        }
        Finding::Copied(client) => {
            let what = format!("client {client} bears the mark of this tenant, and does not look made by us");
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
