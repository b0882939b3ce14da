//! Single steps, for tests that tell one story.
//!
//! The rule: what comes back is always asked for: [`step`] does what is next and nothing else.

use chrono::DateTime;

use super::{MARK, POLICY, fresh};
use crate::domain::drift::{Change, Field, Value};
use crate::domain::hints::{SeenSecret, Standing, StoredSecret};
use crate::domain::ids::{ClientId, Hint, UserId};
use crate::domain::look::{Maker, SeenClient};
use crate::domain::machine::effect::{Done, Effect, EffectKind};
use crate::domain::machine::{Decision, Next, Rest, after, next_effect};
use crate::domain::profile::{APP_TYPE, GRANTS};
use crate::domain::tenant::{Check, Duty, Entry, Mend, MintEntry, Removal, Series, State, Tenant};
use crate::domain::token::Walk;

const ALONE: [(&str, Standing); 1] = [("live", Standing::Current)];

pub(in crate::domain) fn client() -> ClientId {
    ClientId::new("made")
}

pub(in crate::domain) fn hint(text: &str) -> Hint {
    Hint::new(text)
}

/// Secrets that we made, as Qlik shows them to us.
pub(in crate::domain) fn compared(hints: &[&str]) -> Done {
    let me = UserId::new("me");
    let seen = |text: &&str| SeenSecret { hint: hint(text), created_by: Some(me.clone()) };
    Done::Compared { secrets: hints.iter().map(seen).collect(), me: me.clone() }
}

/// Five secrets: `ours`, and the rest an administrator's.
pub(in crate::domain) fn compared_full(ours: &[&str]) -> Done {
    let Done::Compared { mut secrets, me } = compared(ours) else { panic!("it is a comparison") };
    for text in &["adm1", "adm2", "adm3", "adm4", "adm5"][ours.len()..] {
        secrets.push(SeenSecret { hint: hint(text), created_by: Some(UserId::new("admin")) });
    }
    Done::Compared { secrets, me }
}

pub(in crate::domain) fn stored(secrets: &[(&str, Standing)]) -> Vec<StoredSecret> {
    secrets.iter().map(|(text, standing)| StoredSecret::new(Some(hint(text)), *standing)).collect()
}

/// A tenant with these secrets that is ready and due for nothing.
pub(in crate::domain) fn ready(secrets: &[(&str, Standing)]) -> Tenant {
    let state = State::Ready { client: client(), duty: Duty::None };
    Tenant { state, stored: stored(secrets), ..fresh() }
}

/// A tenant with a proven secret, in this state.
pub(in crate::domain) fn serving(state: State) -> Tenant {
    Tenant { state, stored: stored(&ALONE), ..fresh() }
}

/// As a claim finds it: with what is left behind, and on its way to the first duty.
pub(in crate::domain) fn at_its_duty(mut tenant: Tenant) -> Tenant {
    tenant.due.leavings = tenant.has_leavings();
    tenant.state = tenant.ready(client());
    tenant
}

pub(in crate::domain) fn next_of(tenant: &Tenant) -> Effect {
    match next_effect(tenant) {
        Next::Do(effect) => effect,
        Next::Rest(rest) => panic!("nothing is next: {rest:?}"),
    }
}

pub(in crate::domain) fn step(tenant: Tenant, done: Done) -> Decision {
    let effect = next_of(&tenant);
    after(tenant, &effect, done, &POLICY).unwrap()
}

/// Goes on until the tenant rests; `answer` is Qlik.
pub(in crate::domain) fn run(
    mut tenant: Tenant,
    mut answer: impl FnMut(&Effect) -> Done,
) -> (Vec<EffectKind>, Decision) {
    let mut kinds = Vec::new();
    loop {
        let effect = next_of(&tenant);
        kinds.push(effect.kind());
        assert!(kinds.len() < 50, "it goes round and round: {kinds:?}");
        let decision = after(tenant, &effect, answer(&effect), &POLICY).unwrap();
        if decision.rest != Rest::Hold {
            return (kinds, decision);
        }
        tenant = decision.tenant;
    }
}

/// A client with our mark.
pub(in crate::domain) fn marked(id: &str) -> SeenClient {
    SeenClient {
        app_type: Some(APP_TYPE.to_owned()),
        made_by: Maker::Untold,
        fault: None,
        client_id: ClientId::new(id),
        name: String::new(),
        description: MARK.to_string(),
        scopes: vec![],
        grants: GRANTS.map(str::to_owned).to_vec(),
        redirect_uris: vec![],
        allowed_origins: vec![],
        created_at: Some(DateTime::UNIX_EPOCH),
        is_deleted: false,
        is_disabled: false,
        is_trusted: Some(true),
        secrets: vec![],
    }
}

pub(in crate::domain) fn change(field: Field) -> Change {
    Change { field, value: Value::Text("wanted".to_owned()) }
}

/// A state of every kind, with all that a worker may remember.
pub(in crate::domain) fn every_state() -> Vec<State> {
    let left = POLICY.settle;
    let mut states = vec![State::Pending, State::Trusted { client: client() }];
    states.extend(
        [Entry::Cleared, Entry::Settling { left }, Entry::Look { after_conflict: false }]
            .map(State::Creating),
    );
    for series in [Series::First, Series::Rotation] {
        let entries = [
            MintEntry::Cleared,
            MintEntry::Settling { left },
            MintEntry::Compare,
            MintEntry::Tidy(hint("x")),
        ];
        states.extend(entries.map(|entry| State::Minting { client: client(), series, entry }));
    }
    let checks = [Check::Passed, Check::Compare, Check::Tidy(hint("x"))];
    states.extend(checks.clone().map(|check| State::Created { client: client(), check }));
    states.extend(checks.map(|check| State::Proving { client: client(), check }));
    states.extend(
        [
            Duty::None,
            Duty::Recheck,
            Duty::Surplus(vec![ClientId::new("other")]),
            Duty::Audit,
            Duty::Mend(vec![Mend::Trust]),
            Duty::Mend(vec![Mend::Amend(vec![change(Field::Name)])]),
            Duty::Mend(vec![Mend::Dedupe(ClientId::new("other"))]),
            Duty::Compare,
            Duty::Tidy(hint("x")),
        ]
        .map(|duty| State::Ready { client: client(), duty }),
    );
    states.extend(
        [
            Removal::Settling { left },
            Removal::Look,
            Removal::Delete(client()),
            Removal::Revoke(client(), Walk::default()),
            Removal::DeleteBot(client()),
        ]
        .map(State::Removing),
    );
    states.extend([true, false].map(|is_recheck_due| State::Removed { is_recheck_due }));
    states
}
