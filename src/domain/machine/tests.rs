//! What holds wherever a tenant comes from and whatever happens to it.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::effect::{Done, Effect};
use super::*;
use crate::domain::hints::Standing;
use crate::domain::ids::{ClientId, TenantId};
use crate::domain::look::SeenClient;
use crate::domain::model::by_hand::{every_state, serving};
use crate::domain::model::{MARK, NEVER_SHOWN, POLICY, Step, fresh, reasons_met, walk};
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::reason::{ParkReason, WaitReason};
use crate::domain::tenant::{Entry, State, Tenant, Unanswered};

fn numbers() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 1..800)
}

/// The constraints of `tenantd.tenants` and `tenantd.secrets`, by their names.
fn broken_constraint(tenant: &Tenant, rest: &Rest) -> Option<&'static str> {
    let stand = tenant.stand();
    let count = |standing| tenant.stored.iter().filter(|secret| secret.standing == standing).count();
    let is_held = *rest == Rest::Hold;
    let rules = [
        (
            "client_is_known_once_created",
            match stand.phase {
                Phase::Pending | Phase::Removed => stand.client.is_none(),
                Phase::Creating | Phase::Removing => true,
                Phase::Created | Phase::Trusted | Phase::Ready | Phase::Rotating | Phase::Proving => {
                    stand.client.is_some()
                }
            },
        ),
        (
            "unanswered_fits_the_phase",
            match stand.unanswered {
                None => true,
                Some(Unanswered::Create) => {
                    matches!(stand.phase, Phase::Creating | Phase::Removing) && stand.client.is_none()
                }
                Some(Unanswered::Mint) => {
                    let is_minting = matches!(stand.phase, Phase::Creating | Phase::Rotating);
                    is_minting && stand.client.is_some() && tenant.snapshot.is_some()
                }
            },
        ),
        ("only_the_unanswered_settles", stand.settle.is_none() || stand.unanswered.is_some()),
        (
            "ready_has_a_proven_version",
            !matches!(stand.phase, Phase::Ready | Phase::Rotating | Phase::Proving)
                || count(Standing::Current) == 1,
        ),
        ("removed_keeps_nothing", stand.phase != Phase::Removed || tenant.stored.is_empty()),
        ("one_current_one_unproven", count(Standing::Current) <= 1 && count(Standing::Unproven) <= 1),
        ("what nobody holds settles", is_held || stand.unanswered.is_none() || stand.settle.is_some()),
    ];
    rules.into_iter().find(|(_, holds)| !holds).map(|(name, _)| name)
}

fn message_of(rest: &Rest) -> Option<&str> {
    match rest {
        Rest::Wait { message, .. } | Rest::Park { message, .. } => Some(message),
        Rest::Hold | Rest::Requeue | Rest::Settled | Rest::Still => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Also: no act that cannot be repeated is, unless it was looked at; [`walk`] asserts it.
    #[test]
    fn every_outcome_that_fits_is_legal(numbers in numbers()) {
        prop_assert_eq!(walk(&numbers, &mut |_| {}), Ok(()));
    }

    #[test]
    fn every_decision_is_a_row_that_the_schema_accepts(numbers in numbers()) {
        let judge = &mut |step: &Step| {
            let (tenant, rest) = (&step.decision.tenant, &step.decision.rest);
            assert_eq!(broken_constraint(tenant, rest), None, "{step:?}");
        };

        walk(&numbers, judge).unwrap();
    }

    #[test]
    fn a_known_client_is_never_forgotten(numbers in numbers()) {
        let judge = &mut |step: &Step| {
            let (before, after) = (step.before.stand().client, step.decision.tenant.stand().client);
            let is_removed = step.done == Some(Done::BotDeleted);
            // It is gone, and the row begins anew with another that bears its mark.
            let is_outlived = (&step.decision.secret, &step.decision.rest) == (&SecretChange::Shred, &Rest::Requeue);
            let may_go = (is_removed || is_outlived) && after.is_none();
            assert!(before.is_none() || before == after || may_go, "{step:?}");
        };

        walk(&numbers, judge).unwrap();
    }

    #[test]
    fn a_failure_never_moves_the_phase_forward(numbers in numbers()) {
        let place = |tenant: &Tenant| Phase::ALL.iter().position(|phase| *phase == tenant.stand().phase);
        let judge = &mut |step: &Step| {
            let (before, after) = (place(&step.before), place(&step.decision.tenant));
            assert!(step.failure.is_none() || after <= before, "{step:?}");
            assert!(step.failure.is_none() || step.decision.progress != Progress::Made, "{step:?}");
        };

        walk(&numbers, judge).unwrap();
    }

    #[test]
    fn no_failure_moves_a_ready_tenant_and_only_a_lost_client_parks_it(numbers in numbers()) {
        let judge = &mut |step: &Step| {
            if step.before.stand().phase != Phase::Ready {
                return;
            }
            let phase = step.decision.tenant.stand().phase;
            assert!(step.failure.is_none() || phase == Phase::Ready, "{step:?}");
            if let Rest::Park { reason, .. } = &step.decision.rest {
                assert!(matches!(reason, ParkReason::ClientMissing | ParkReason::SecretSlotsFull), "{step:?}");
            }
        };

        walk(&numbers, judge).unwrap();
    }

    #[test]
    fn what_is_handed_out_goes_only_by_withdrawal_loss_or_removal(numbers in numbers()) {
        let handed_out = |tenant: &Tenant| {
            let is_out = |standing| matches!(standing, Standing::Current | Standing::Previous);
            tenant.stored.iter().filter(|secret| is_out(secret.standing)).count()
        };
        let judge = &mut |step: &Step| {
            let (before, after) = (handed_out(&step.before), handed_out(&step.decision.tenant));
            let may_shrink = match &step.decision.secret {
                SecretChange::Withdraw | SecretChange::Lose(_) | SecretChange::Shred => true,
                SecretChange::Keep
                | SecretChange::Seal { .. }
                | SecretChange::Identify(_)
                | SecretChange::Promote { .. }
                | SecretChange::Discard
                | SecretChange::Forget(_) => false,
            };
            assert!(after >= before || may_shrink, "{step:?}");
        };

        walk(&numbers, judge).unwrap();
    }

    #[test]
    fn a_removal_is_never_parked_and_ends_in_removed_alone(numbers in numbers()) {
        let judge = &mut |step: &Step| {
            if step.before.stand().phase == Phase::Removing {
                assert!(!matches!(step.decision.rest, Rest::Park { .. }), "{step:?}");
                let phase = step.decision.tenant.stand().phase;
                assert!(matches!(phase, Phase::Removing | Phase::Removed), "{step:?}");
                assert_eq!(phase == Phase::Removed, step.decision.secret == SecretChange::Shred, "{step:?}");
            }
        };

        walk(&numbers, judge).unwrap();
    }

    #[test]
    fn messages_name_the_remedy_and_nothing_of_an_answer_but_status_and_code(numbers in numbers()) {
        let judge = &mut |step: &Step| {
            let message = message_of(&step.decision.rest);
            assert!(message.is_none_or(|text| NEVER_SHOWN.iter().all(|secret| !text.contains(secret))));
            if let Rest::Park { reason, message } = &step.decision.rest {
                assert!(message.ends_with(reason.remedy()), "{message}");
            }
        };

        walk(&numbers, judge).unwrap();
    }

    #[test]
    fn giving_a_lease_back_says_that_nothing_is_in_flight(numbers in numbers()) {
        let judge = &mut |step: &Step| {
            let back = checkpoint(step.decision.tenant.clone());
            assert_eq!(broken_constraint(&back.tenant, &back.rest), None, "{step:?}");
            assert_eq!(checkpoint(back.tenant.clone()).tenant, back.tenant, "once is enough");
            assert!(!matches!(next_effect(&back.tenant), Next::Do(Effect::Create | Effect::Mint(_))));
        };

        walk(&numbers, judge).unwrap();
    }
}

#[test]
fn while_deletions_are_held_no_deletion_is_ever_next() {
    for state in every_state() {
        let held = next_effect(&Tenant { hold: Some(Hold::Deletions), ..serving(state.clone()) });
        let free = next_effect(&serving(state));
        let deletes = |next: &Next| match next {
            Next::Do(effect) => match effect {
                Effect::Tidy(..)
                | Effect::Dedupe(_)
                | Effect::Delete(_)
                | Effect::Revoke(..)
                | Effect::DeleteBot(_) => true,
                Effect::Create
                | Effect::Look
                | Effect::Compare(_)
                | Effect::Mint(_)
                | Effect::Trust(_)
                | Effect::Prove(_)
                | Effect::Recheck(_)
                | Effect::Audit(_)
                | Effect::Amend(..) => false,
            },
            Next::Rest(_) => false,
        };
        assert!(!deletes(&held), "{held:?}");
        if deletes(&free) {
            assert!(matches!(held, Next::Rest(Rest::Wait { reason: WaitReason::DeletionsHeld, .. })));
        } else {
            assert_eq!(held, free, "nothing else waits");
        }
    }
}

#[test]
fn every_reason_of_the_contract_can_be_met() {
    let (waits, parks) = reasons_met(4000);

    assert_eq!(waits, WaitReason::ALL.iter().map(|reason| reason.as_str()).collect());
    // Two are judged at admission, before there is anything to decide, and one where nothing can be.
    let elsewhere = [ParkReason::HostNotAllowed, ParkReason::UnknownProfile, ParkReason::Defect];
    let decided = ParkReason::ALL.into_iter().filter(|reason| !elsewhere.contains(reason));
    assert_eq!(parks, decided.map(ParkReason::as_str).collect::<BTreeSet<_>>());
}

/// What a copy may ask of Qlik, whatever its rows say.
#[test]
fn while_changes_are_held_nothing_but_reading_is_ever_next() {
    for state in every_state() {
        for must_look in [false, true] {
            let tenant = Tenant { hold: Some(Hold::Changes), must_look, ..serving(state.clone()) };
            match next_effect(&tenant) {
                Next::Do(effect) => assert!(
                    matches!(
                        effect,
                        Effect::Look | Effect::Compare(_) | Effect::Recheck(_) | Effect::Audit(_)
                    ),
                    "{state:?}: {effect:?}"
                ),
                Next::Rest(Rest::Wait { reason, .. }) => {
                    assert!(matches!(reason, WaitReason::ChangesHeld | WaitReason::Settling), "{state:?}");
                }
                Next::Rest(rest) => {
                    assert!(matches!(rest, Rest::Settled | Rest::Requeue), "{state:?}: {rest:?}");
                }
            }
        }
    }
}

#[test]
fn an_outcome_of_another_effect_is_a_typed_error() {
    let tenant = Tenant { state: State::Creating(Entry::Cleared), ..fresh() };

    let refused = after(tenant, &Effect::Create, Done::Proven, &POLICY).unwrap_err();

    assert!(refused.to_string().contains("create came back"), "{refused}");
}

#[test]
fn a_look_that_finds_nothing_allows_a_create_only_while_there_is_patience() {
    let state = State::Creating(Entry::Look { after_conflict: false });
    let look = |without_progress| {
        let tenant = Tenant { state: state.clone(), without_progress, ..fresh() };
        after(tenant, &Effect::Look, Done::Looked(vec![]), &POLICY).unwrap()
    };

    let (patient, spent) = (look(Duration::ZERO), look(POLICY.give_up_after));

    assert_eq!(next_effect(&patient.tenant), Next::Do(Effect::Create));
    assert!(matches!(spent.rest, Rest::Park { reason: ParkReason::GaveUp, .. }), "{spent:?}");
    assert_eq!(spent.tenant.stand().unanswered, None);
}

#[test]
fn the_client_of_another_row_is_named_in_the_message() {
    let other = crate::domain::mark::Mark { tenant: TenantId(uuid::Uuid::from_u128(77)), ..MARK };
    let seen = SeenClient {
        app_type: Some(crate::domain::profile::APP_TYPE.to_owned()),
        made_by: crate::domain::look::Maker::Untold,
        fault: None,
        client_id: ClientId::new("left"),
        name: String::new(),
        scopes: vec![],
        grants: crate::domain::profile::GRANTS.map(str::to_owned).to_vec(),
        redirect_uris: vec![],
        allowed_origins: vec![],
        is_disabled: false,
        is_trusted: None,
        description: other.to_string(),
        created_at: Some(chrono::DateTime::UNIX_EPOCH),
        is_deleted: false,
        secrets: vec![],
    };
    let state = State::Creating(Entry::Look { after_conflict: true });

    let parked =
        after(Tenant { state, ..fresh() }, &Effect::Look, Done::Looked(vec![seen]), &POLICY).unwrap();

    let Rest::Park { reason, message } = parked.rest else { panic!("it is parked") };
    assert_eq!(reason, ParkReason::EarlierClientFound);
    assert!(message.contains(&other.tenant.to_string()), "{message}");
}
