//! What to do next: one effect, or a rest.
//!
//! The rule: while deletions are held, nothing that deletes is ever next; while changes are,
//! nothing that changes anything; what the region is known to lack the right to is not asked.

use std::time::Duration;

use super::decision::{Next, Rest};
use super::effect::{Effect, EffectKind};
use super::waits::{held, right_missing, settling};
use crate::domain::ids::ClientId;
use crate::domain::tenant::{Check, Duty, Entry, Mend, MintEntry, Removal, State, Tenant};

/// The next thing to do for a tenant.
#[must_use]
pub fn next_effect(tenant: &Tenant) -> Next {
    if tenant.is_resting {
        return Next::Rest(Rest::Still);
    }
    match (wanted_effect(tenant), tenant.hold) {
        (Next::Do(effect), Some(hold)) if hold.stops(effect.kind()) => Next::Rest(held(hold)),
        (Next::Do(effect), _) => match tenant.rights.withheld(effect.kind()) {
            Some(withheld) => Next::Rest(right_missing(withheld.effect, &withheld.answer)),
            None => Next::Do(effect),
        },
        (rest @ Next::Rest(_), _) => rest,
    }
}

/// The same, whatever withholds it.
pub(super) fn wanted_effect(tenant: &Tenant) -> Next {
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
