//! From anywhere to nothing.

#![expect(clippy::wildcard_enum_match_arm, reason = "a Qlik of one story answers what that story asks")]

use super::*;
use crate::domain::hints::Standing;
use crate::domain::machine::effect::{Done, Effect, EffectKind as E};
use crate::domain::machine::{Next, next_effect};
use crate::domain::model::by_hand::{client, every_state, marked, next_of, run, serving, step, stored};
use crate::domain::model::row::{Circumstances, Row};
use crate::domain::model::{POLICY, fresh};
use crate::domain::place::Hold;
use crate::domain::reason::WaitReason;
use crate::domain::tenant::Unanswered;
use crate::domain::token::Walk;

use std::time::Duration;

/// A Qlik that shows these clients until they are deleted.
fn answering(clients: &[&str]) -> impl FnMut(&Effect) -> Done {
    let mut seen: Vec<_> = clients.iter().map(|id| marked(id)).collect();
    move |effect| match effect {
        Effect::Look => Done::Looked(seen.clone()),
        Effect::Delete(client) => {
            seen.retain(|seen| seen.client_id != *client);
            Done::Deleted
        }
        Effect::Revoke(..) => Done::Revoked { left: None },
        Effect::DeleteBot(_) => Done::BotDeleted,
        other => panic!("{other:?} was not to be done"),
    }
}

fn removing(removal: Removal) -> Tenant {
    serving(State::Removing(removal))
}

fn is_removed(decision: &Decision) -> bool {
    let is_shredded = decision.secret == SecretChange::Shred && decision.tenant.stored.is_empty();
    let state = &decision.tenant.state;
    is_shredded && *state == State::Removed { is_recheck_due: false } && decision.rest == Rest::Settled
}

#[test]
fn a_removal_from_wherever_ends_in_removed_with_everything_shredded() {
    let mut from = 0;
    for state in every_state() {
        let stored =
            stored(&[("a", Standing::Current), ("b", Standing::Unproven), ("c", Standing::Previous)]);
        let tenant = Tenant { stored, snapshot: Some(vec![]), is_adopted: true, ..serving(state) };
        let mut row = Row { tenant, is_wanted: false };
        if row.is_unsent() {
            continue; // Nothing was sent, or all is gone.
        }
        let may_land = row.unanswered() == Some(Unanswered::Create);
        if may_land {
            let early = row.claim(&Circumstances { is_early: true, ..Circumstances::calm() });
            let rest = next_effect(&early);
            assert!(matches!(rest, Next::Rest(Rest::Wait { reason: WaitReason::Settling, .. })), "{rest:?}");
        }
        let claimed = row.claim(&Circumstances::calm());
        let (kinds, removed) = run(claimed.clone(), answering(&["made"]));

        assert!(is_removed(&removed), "{claimed:?}: {removed:?}");
        let deleting = [E::Delete, E::Revoke, E::DeleteBot, E::Look];
        let begins_with_a_look = claimed.state == State::Removing(Removal::Look);
        assert_eq!(kinds[usize::from(begins_with_a_look)..], deleting, "{claimed:?}");
        assert!(!may_land || begins_with_a_look, "it may have landed: {claimed:?}");
        assert_eq!(removed.recheck, RecheckChange::After(POLICY.recheck_after()));
        from += 1;
    }
    assert!(from > 20, "{from}");
}

#[test]
fn every_straggler_loses_client_tokens_and_bot_user() {
    let (kinds, removed) = run(removing(Removal::Delete(client())), answering(&["made", "second", "third"]));

    let each = [E::Delete, E::Revoke, E::DeleteBot, E::Look];
    assert_eq!(kinds, [each; 3].concat());
    assert!(is_removed(&removed), "{removed:?}");
}

#[test]
fn a_list_that_lags_does_not_delete_the_same_client_twice_under_one_lease() {
    let (kinds, removed) = run(removing(Removal::Delete(client())), |effect| match effect {
        Effect::Look => Done::Looked(vec![marked("made")]),
        other => answering(&[])(other),
    });

    assert_eq!(kinds, [E::Delete, E::Revoke, E::DeleteBot, E::Look]);
    assert!(is_removed(&removed), "{removed:?}");
}

#[test]
fn tokens_are_revoked_batch_by_batch() {
    let mut batches = 3;
    let (kinds, _) = run(removing(Removal::Revoke(client(), Walk::default())), |effect| match effect {
        Effect::Revoke(..) => {
            batches -= 1;
            Done::Revoked { left: (batches > 0).then(Walk::default) }
        }
        other => answering(&[])(other),
    });

    assert_eq!(kinds, [E::Revoke, E::Revoke, E::Revoke, E::DeleteBot, E::Look]);
}

#[test]
fn whoever_takes_over_begins_with_the_deletion_again() {
    for removal in
        [Removal::Delete(client()), Removal::Revoke(client(), Walk::default()), Removal::DeleteBot(client())]
    {
        let tenant = removing(removal);
        assert_eq!(tenant.stand().client, Some(&client()), "it is not forgotten before its tokens are gone");
        assert_eq!(tenant.re_entry(), State::Removing(Removal::Delete(client())));
    }
}

#[test]
fn a_held_removal_looks_and_waits() {
    let held = |removal| Tenant { hold: Some(Hold::Deletions), ..removing(removal) };

    assert_eq!(next_of(&held(Removal::Look)), Effect::Look);
    for removal in
        [Removal::Delete(client()), Removal::Revoke(client(), Walk::default()), Removal::DeleteBot(client())]
    {
        let rest = next_effect(&held(removal));
        assert!(matches!(rest, Next::Rest(Rest::Wait { reason: WaitReason::DeletionsHeld, .. })), "{rest:?}");
    }
}

#[test]
fn the_look_after_a_removal_deletes_what_came_late_or_is_the_last_one() {
    let due = Tenant { state: State::Removed { is_recheck_due: true }, failures: 3, ..fresh() };

    let nothing = step(due.clone(), Done::Looked(vec![]));
    assert_eq!((nothing.recheck, &nothing.rest), (RecheckChange::Done, &Rest::Settled));
    assert_eq!(nothing.tenant.state, State::Removed { is_recheck_due: false });
    let (kinds, removed) = run(due, answering(&["late"]));
    assert_eq!(kinds, [E::Look, E::Delete, E::Revoke, E::DeleteBot, E::Look]);
    assert!(is_removed(&removed), "{removed:?}");
}

#[test]
fn a_new_life_does_not_inherit_what_the_old_one_ailed_from() {
    let old = Tenant {
        is_afresh: true,
        refused_for: Some(Duration::from_hours(700)),
        missing_for: Some(Duration::from_hours(700)),
        failures: 9,
        ..removing(Removal::Delete(client()))
    };

    let (_, removed) = run(old, answering(&["made"]));

    let new = removed.tenant;
    assert_eq!((new.is_afresh, new.refused_for, new.missing_for, new.failures), (false, None, None, 0));
}

#[test]
fn what_only_bears_our_mark_outlives_a_removal_and_is_shown() {
    let copy = SeenClient { app_type: Some("spa".to_owned()), ..marked("copy") };
    let (kinds, removed) = run(removing(Removal::Delete(client())), |effect| match effect {
        Effect::Look => Done::Looked(vec![copy.clone()]),
        other => answering(&[])(other),
    });

    assert_eq!(kinds, [E::Delete, E::Revoke, E::DeleteBot, E::Look]);
    assert!(is_removed(&removed), "{removed:?}");
    assert_eq!(removed.tenant.drift, [DriftKind::CopiedMark]);
    let due = Tenant { state: State::Removed { is_recheck_due: true }, ..fresh() };
    assert_eq!(step(due, Done::Looked(vec![copy.clone()])).rest, Rest::Settled);
}

#[test]
fn a_removal_goes_on_midway_only_where_it_is_of_the_same_client() {
    let again = removing(Removal::Delete(client()));
    let midway = removing(Removal::Revoke(client(), Walk::default())).midway().unwrap();
    let other = Removal::DeleteBot(ClientId::new("other"));

    assert_eq!(again.clone().resumed(midway.clone()).state, State::Removing(midway.clone()));
    assert_eq!(again.clone().resumed(other).state, again.state);
    assert_eq!(removing(Removal::Look).resumed(midway).state, State::Removing(Removal::Look));
    assert_eq!(again.midway(), None);
}
