//! Rotation and retirement, story by story.

#![expect(clippy::wildcard_enum_match_arm, reason = "a Qlik of one story answers what that story asks")]

use super::*;
use crate::domain::machine::effect::{Done, Effect, EffectKind as E};
use crate::domain::machine::{Next, next_effect};
use crate::domain::model::POLICY;
use crate::domain::model::by_hand::{
    at_its_duty, client, compared, compared_full, hint, next_of, ready, run, serving, step, stored,
};
use crate::domain::place::Hold;
use crate::domain::tenant::Due;

const NEW: &str = "new";
const OLD: &str = "old";

fn to_rotate(secrets: &[(&str, Standing)]) -> Tenant {
    let due = Due { rotation: true, ..Due::default() };
    at_its_duty(Tenant { due, ..ready(secrets) })
}

fn minted(hint: Option<&str>) -> Done {
    Done::Minted { hint: hint.map(Hint::new) }
}

fn retiring(secrets: &[(&str, Standing)]) -> Tenant {
    let mut tenant = ready(secrets);
    for secret in &mut tenant.stored {
        secret.is_retiring = secret.standing == Standing::Previous;
    }
    at_its_duty(tenant)
}

#[test]
fn a_rotation_compares_mints_seals_compares_proves_and_promotes() {
    let rotating = to_rotate(&[(OLD, Standing::Current)]);
    assert_eq!(next_of(&rotating), Effect::Compare(client()));
    let cleared = step(rotating, compared(&[OLD])).tenant;
    assert_eq!((next_of(&cleared), &cleared.snapshot), (Effect::Mint(client()), &Some(vec![hint(OLD)])));
    let sealed = step(cleared, minted(Some(NEW)));
    assert_eq!(sealed.secret, SecretChange::Seal { hint: Some(hint(NEW)) });
    assert_eq!(next_of(&sealed.tenant), Effect::Compare(client()));
    let checked = step(sealed.tenant, compared(&[OLD, NEW]));
    assert_eq!(checked.tenant.stored, stored(&[(OLD, Standing::Current), (NEW, Standing::Unproven)]));
    assert_eq!((next_of(&checked.tenant), &checked.tenant.snapshot), (Effect::Prove(client()), &None));
    let promoted = step(checked.tenant, Done::Proven);
    assert_eq!(promoted.secret, SecretChange::Promote { overlap: POLICY.overlap });
    assert_eq!(promoted.tenant.stored, stored(&[(OLD, Standing::Previous), (NEW, Standing::Current)]));
    assert_eq!((promoted.rest, promoted.tenant.due.rotation), (Rest::Settled, false));
}

#[test]
fn a_retired_secret_is_withdrawn_before_it_is_deleted_and_the_current_one_stays() {
    let tenant = retiring(&[(OLD, Standing::Previous), (NEW, Standing::Current)]);

    let withdrawn = step(tenant, compared(&[OLD, NEW]));
    assert_eq!((&withdrawn.secret, &withdrawn.rest), (&SecretChange::Withdraw, &Rest::Hold));
    assert_eq!(withdrawn.tenant.stored, stored(&[(OLD, Standing::Discarded), (NEW, Standing::Current)]));
    assert_eq!(next_of(&withdrawn.tenant), Effect::Tidy(client(), hint(OLD)));
    let tidied = step(withdrawn.tenant, Done::Tidied);
    assert_eq!(tidied.secret, SecretChange::Forget(hint(OLD)));
    let (kinds, settled) = run(tidied.tenant, |_| compared(&[NEW]));
    assert_eq!((kinds, settled.rest), (vec![E::Compare], Rest::Settled));
    assert_eq!(settled.tenant.stored, stored(&[(NEW, Standing::Current)]));
    assert!(!settled.tenant.due.leavings);
}

#[test]
fn a_previous_secret_whose_time_is_not_over_is_left_alone() {
    let mut tenant = ready(&[(OLD, Standing::Previous), (NEW, Standing::Current)]);
    tenant.stored.extend(stored(&[("bad", Standing::Discarded)]));

    let (kinds, settled) = run(at_its_duty(tenant), |effect| match effect {
        Effect::Tidy(_, gone) => {
            assert_eq!(*gone, hint("bad"));
            Done::Tidied
        }
        _ => compared(&[OLD, NEW, "bad"]),
    });

    assert_eq!(kinds, [E::Compare, E::Tidy, E::Compare]);
    assert_eq!(settled.tenant.stored, stored(&[(OLD, Standing::Previous), (NEW, Standing::Current)]));
}

#[test]
fn a_discarded_secret_that_qlik_does_not_show_any_more_is_forgotten() {
    let left = at_its_duty(ready(&[(NEW, Standing::Current), (OLD, Standing::Discarded)]));

    let forgotten = step(left, compared(&[NEW]));

    assert_eq!(forgotten.secret, SecretChange::Forget(hint(OLD)));
    assert_eq!(forgotten.tenant.stored, stored(&[(NEW, Standing::Current)]));
    assert_eq!(step(forgotten.tenant, compared(&[NEW])).rest, Rest::Settled);
}

#[test]
fn full_slots_wait_for_a_previous_secret_and_park_without_one() {
    let with =
        step(to_rotate(&[(OLD, Standing::Previous), (NEW, Standing::Current)]), compared_full(&[OLD, NEW]));
    let without = step(to_rotate(&[(NEW, Standing::Current)]), compared_full(&[NEW]));

    assert!(
        matches!(with.rest, Rest::Wait { reason: WaitReason::SecretSlotsFull, due, .. } if due == POLICY.cap)
    );
    assert_eq!(with.tenant.state, State::Ready { client: client(), duty: Duty::None });
    assert!(matches!(without.rest, Rest::Park { reason: ParkReason::SecretSlotsFull, .. }), "{without:?}");
}

#[test]
fn full_slots_park_a_tenant_whose_current_secret_was_lost() {
    let state = State::Minting { client: client(), series: Series::First, entry: MintEntry::Compare };
    let tenant = Tenant { stored: stored(&[(OLD, Standing::Previous)]), ..serving(state) };

    let full = step(tenant, compared_full(&[OLD]));

    assert!(matches!(full.rest, Rest::Park { reason: ParkReason::SecretSlotsFull, .. }), "{full:?}");
}

#[test]
fn what_was_lost_on_the_way_is_deleted_before_and_after_the_next_mint() {
    let mut rotating = to_rotate(&[(OLD, Standing::Current)]);
    rotating.snapshot = Some(vec![hint(OLD)]);

    let tidy = step(rotating, compared(&[OLD, "lost"])).tenant;
    assert_eq!(next_of(&tidy), Effect::Tidy(client(), hint("lost")));
    let again = step(tidy, Done::Tidied).tenant;
    let sealed = step(step(again, compared(&[OLD])).tenant, minted(Some(NEW))).tenant;
    let late = step(sealed, compared(&[OLD, NEW, "late"])).tenant;
    assert_eq!(next_of(&late), Effect::Tidy(client(), hint("late")));
    let checked = step(step(late, Done::Tidied).tenant, compared(&[OLD, NEW])).tenant;
    assert_eq!(next_of(&checked), Effect::Prove(client()));
}

#[test]
fn a_secret_that_cannot_be_opened_is_replaced_within_the_rotation() {
    let state = State::Proving { client: client(), check: Check::Passed };
    let secrets = stored(&[(OLD, Standing::Current), (NEW, Standing::Unproven)]);

    let replaced = step(Tenant { stored: secrets, ..serving(state) }, Done::Unopenable);

    assert_eq!(replaced.secret, SecretChange::Discard);
    assert_eq!(replaced.tenant.stored, stored(&[(OLD, Standing::Current), (NEW, Standing::Discarded)]));
    let series = Series::Rotation;
    let state = State::Minting { client: client(), series, entry: MintEntry::Compare };
    assert_eq!(replaced.tenant.state, state);
}

#[test]
fn a_hint_that_came_without_is_told_by_the_comparison() {
    let cleared = step(to_rotate(&[(OLD, Standing::Current)]), compared(&[OLD])).tenant;
    let sealed = step(cleared, minted(None));

    let told = step(sealed.tenant, compared(&[OLD, NEW]));

    assert_eq!(told.secret, SecretChange::Identify(hint(NEW)));
    assert_eq!(told.tenant.stored, stored(&[(OLD, Standing::Current), (NEW, Standing::Unproven)]));
}

#[test]
fn while_deletions_are_held_a_rotation_mints_beside_what_should_go() {
    let mut rotating = to_rotate(&[(OLD, Standing::Current)]);
    (rotating.hold, rotating.snapshot) = (Some(Hold::Deletions), Some(vec![hint(OLD)]));

    let roomy = step(rotating.clone(), compared(&[OLD, "lost"])).tenant;
    let full = step(rotating, compared(&[OLD, "lost", "l2", "l3", "l4"])).tenant;

    assert_eq!(next_of(&roomy), Effect::Mint(client()));
    let rest = next_effect(&full);
    assert!(matches!(rest, Next::Rest(Rest::Wait { reason: WaitReason::DeletionsHeld, .. })), "{rest:?}");
    // What is to go stays known, for when deletions are agreed to.
    let sealed = step(roomy, minted(Some(NEW))).tenant;
    let proving = step(sealed, compared(&[OLD, "lost", NEW])).tenant;
    assert_eq!((next_of(&proving), proving.snapshot.is_some()), (Effect::Prove(client()), true));
}

#[test]
fn held_leavings_stand_back_for_what_may_be_done() {
    let due = Due { rotation: true, ..Due::default() };
    let left = Tenant { due, ..ready(&[(OLD, Standing::Discarded), (NEW, Standing::Current)]) };

    let free = at_its_duty(left.clone());
    let held = at_its_duty(Tenant { hold: Some(Hold::Deletions), ..left });

    assert_eq!(free.state, State::Ready { client: client(), duty: Duty::Compare });
    assert!(matches!(held.state, State::Minting { series: Series::Rotation, .. }), "{held:?}");
}
