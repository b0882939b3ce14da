//! What is written can be taken up, and nothing of it is lost on the way.

use std::time::Duration;

use super::super::machine::decision::hold;
use super::super::model::stored::{inserted, now, seen};
use super::super::model::{MARK, POLICY, Step, many_walks, walk};
use super::super::tenant::{Check, State};
use super::*;
use crate::domain::hints::Standing;
use crate::domain::ids::ClientId;
use crate::domain::place::Hold;
use crate::domain::tenant::RepairScope;

const WITHOUT_AUDITS: Policy = Policy { audit_every: None, ..POLICY };

/// How far its secrets were looked at is not kept.
fn unchecked(state: State) -> State {
    if let State::Created { client, .. } = state {
        return State::Created { client, check: Check::Compare };
    }
    if let State::Proving { client, .. } = state {
        return State::Proving { client, check: Check::Compare };
    }
    state
}

/// Where somebody goes on who knows what the decision left, and nothing of the lease.
fn expected(decided: &Tenant, taken_up: &Tenant) -> State {
    let state = unchecked(decided.re_entry());
    if let State::Ready { client, .. } = state {
        return taken_up.ready(client); // What is due by then comes first.
    }
    if let State::Removed { .. } = state {
        return State::Removed { is_recheck_due: false };
    }
    state
}

fn judge(step: &Step) {
    let decided = &step.decision.tenant;
    let is_present = !matches!(decided.state, State::Removing(_) | State::Removed { .. });
    let seen = Seen { is_present, is_admitted: !is_present, hold: decided.hold, ..seen() };

    let record =
        inserted().after(&step.decision, None, &seen, &WITHOUT_AUDITS).unwrap().written(seen.now, Some(7));
    let taken_up = record.tenant(MARK, &seen).unwrap();

    assert_eq!(unchecked(taken_up.state.clone()), expected(decided, &taken_up), "{step:?}\n{record:?}");
    let told = |tenant: &Tenant| {
        let secrets: Vec<_> = tenant.stored.iter().map(|s| (s.hint.clone(), s.standing)).collect();
        let flags = (tenant.is_adopted, tenant.is_afresh, tenant.failures);
        (secrets, tenant.snapshot.clone(), flags, tenant.drift.clone(), tenant.left.clone())
    };
    assert_eq!(told(&taken_up), told(decided), "{step:?}");
    assert_eq!(taken_up.must_look, decided.must_look || step.decision.secret == SecretChange::Shred);
    let is_parked = matches!(step.decision.rest, Rest::Park { .. });
    assert_eq!(record.parked_reason.is_some(), is_parked, "{step:?}");
    assert!(record.due.is_some() || is_parked || record.is_at_rest(), "nobody would ever go on: {record:?}");
}

impl Record {
    fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Removed)
    }
}

/// [`Record::after`] and [`Record::tenant`] are one pair: whatever is decided is taken up
/// again as it was left.
#[test]
fn what_a_decision_leaves_is_taken_up_as_it_was_left() {
    let mut judged = 0;
    for numbers in many_walks(400) {
        walk(&numbers, &mut |step| {
            judge(step);
            judged += 1;
        })
        .unwrap();
    }
    assert!(judged > 10_000, "{judged}");
}

fn ready() -> Record {
    Record {
        phase: Phase::Ready,
        client: Some(ClientId::new("client")),
        version: Some(3),
        ready: Some(When::At(now())),
        due: None,
        ..inserted()
    }
}

fn settled(record: &Record, seen: &Seen) -> Decision {
    let tenant = record.tenant(MARK, seen).unwrap();
    Decision { rest: Rest::Settled, ..hold(tenant) }
}

#[test]
fn a_ready_tenant_is_due_when_the_first_thing_is() {
    let (soon, later) = (When::At(now() + Duration::from_mins(1)), When::At(now() + Duration::from_mins(2)));
    for (record, due) in [
        (ready(), None),
        (Record { audit: Some(later), recheck: Some(soon), ..ready() }, Some(soon)),
        (Record { audit: Some(soon), recheck: Some(later), ..ready() }, Some(soon)),
        (Record { edited: Some(When::At(now())), audit: Some(soon), ..ready() }, Some(When::NOW)),
        (Record { repair: Some(RepairScope::All), ..ready() }, Some(When::NOW)),
    ] {
        let decision = settled(&record, &seen());
        assert_eq!(record.after(&decision, None, &seen(), &WITHOUT_AUDITS).unwrap().due, due, "{record:?}");
    }
    let newer = Seen { desired_version: 4, ..seen() };
    assert_eq!(
        ready().after(&settled(&ready(), &seen()), None, &newer, &WITHOUT_AUDITS).unwrap().due,
        Some(When::NOW)
    );
}

#[test]
fn what_would_delete_wakes_nobody_while_deletions_are_held() {
    let held = Seen { hold: Some(Hold::Deletions), ..seen() };
    let record = Record { recheck: Some(When::At(now())), ..ready() };

    let due = record.after(&settled(&record, &held), None, &held, &WITHOUT_AUDITS).unwrap().due;

    assert_eq!(due, Some(When::After(Duration::from_mins(15))));
    assert_eq!(ready().after(&settled(&ready(), &held), None, &held, &WITHOUT_AUDITS).unwrap().due, None);
}

#[test]
fn a_removal_waits_for_the_budget_and_goes_once_it_was_let_through() {
    let waiting = Seen { is_present: false, ..seen() };
    let admitted = Seen { is_admitted: true, ..waiting.clone() };
    let decision = settled(&ready(), &seen());

    assert_eq!(ready().after(&decision, None, &waiting, &WITHOUT_AUDITS).unwrap().due, None);
    assert_eq!(ready().after(&decision, None, &admitted, &WITHOUT_AUDITS).unwrap().due, Some(When::NOW));
}

#[test]
fn the_next_number_is_the_greatest_of_all_that_were_asked_for_or_seen() {
    let next = |version, desired_version, version_floor| {
        let record = Record { version, ..ready() };
        record.next_version(&Seen { desired_version, version_floor, ..seen() }).ok()
    };

    assert_eq!(next(None, 1, 1), Some(1));
    assert_eq!(next(Some(3), 1, 1), Some(4));
    assert_eq!(next(Some(3), 9, 1), Some(9));
    assert_eq!(next(Some(3), 1, 1000), Some(1000));
    assert_eq!(next(Some(i32::MAX), 1, 1), None);
}

#[test]
fn a_secret_that_was_replaced_retires_and_keeps_its_number() {
    let stored = |standing, version| StoredSecret {
        id: Some(i64::from(version)),
        version: Some(version),
        proven: Some(When::At(now())),
        ..StoredSecret::new(None, standing)
    };
    let overlap = Duration::from_hours(1);
    let change = SecretChange::Promote { overlap };

    let kept = |secret, change: &SecretChange| secrets::kept(&[secret], Some(4), change).remove(0);

    let previous = kept(stored(Standing::Previous, 3), &change);
    let current = kept(StoredSecret::new(None, Standing::Current), &change);
    let discarded = kept(stored(Standing::Discarded, 3), &SecretChange::Withdraw);

    assert_eq!((previous.version, previous.retires), (Some(3), Some(When::After(overlap))));
    assert_eq!((current.version, current.proven, current.retires), (Some(4), Some(When::NOW), None));
    assert_eq!((discarded.version, discarded.proven, discarded.retires), (None, None, None));
}
