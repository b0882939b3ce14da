//! Every rest and every act has its owner.

use super::*;
use crate::domain::ids::ClientId;
use crate::domain::machine::decision::hold;
use crate::domain::machine::effect::EffectKind;
use crate::domain::model::stored::{inserted, now, seen};
use crate::domain::model::{MARK, POLICY};
use crate::domain::reason::ParkReason;
use crate::domain::tenant::State;

const MINUTE: Duration = Duration::from_mins(1);

fn seen_at(after: Duration) -> Seen {
    Seen { now: now() + after, ..seen() }
}

/// What a rest of this record, a minute until it was due and three until it was taken up, adds.
fn told(record: &Record) -> [(Blame, u64); 6] {
    let rested =
        Record { rested: Some(When::At(now())), due: Some(When::At(now() + MINUTE)), ..record.clone() };
    let spent = rested.spent_until(&seen_at(3 * MINUTE), Duration::ZERO);
    spent.of(3 * MINUTE).map(|(blame, part)| (blame, part.as_secs()))
}

fn only(expected: &[(Blame, u64)]) -> [(Blame, u64); 6] {
    let of = |blame| expected.iter().filter(|(of, _)| *of == blame).map(|(_, part)| *part).sum();
    Blame::ALL.map(|blame| (blame, of(blame)))
}

fn after(rest: Rest) -> Record {
    let tenant = inserted().tenant(MARK, &seen()).unwrap();
    inserted().after(&Decision { rest, ..hold(tenant) }, None, &seen(), &POLICY).unwrap()
}

#[test]
fn a_wait_is_whose_reason_it_has_and_the_queues_from_when_it_is_due() {
    for reason in WaitReason::ALL {
        let rest = Rest::Wait { reason, due: MINUTE, message: String::new() };
        let expected = match reason {
            WaitReason::Settling
            | WaitReason::Retrying
            | WaitReason::ProofRefused
            | WaitReason::SecretSlotsFull => Blame::Backoff,
            WaitReason::Throttled => Blame::Limit,
            WaitReason::Blocked => Blame::Remote,
            WaitReason::CredentialRefused
            | WaitReason::RightMissing
            | WaitReason::DeletionsHeld
            | WaitReason::ChangesHeld => Blame::Human,
        };

        assert_eq!(told(&after(rest)), only(&[(expected, 60), (Blame::Queue, 120)]), "{reason:?}");
    }
    let parked = after(Rest::Park { reason: ParkReason::GaveUp, message: String::new() });
    assert_eq!(told(&parked), only(&[(Blame::Human, 60), (Blame::Queue, 120)]));
    assert_eq!(told(&after(Rest::Requeue)), only(&[(Blame::Queue, 180)]));
}

#[test]
fn who_is_woken_for_nothing_rests_on_for_the_same() {
    let throttled = Record { wait_reason: Some("Throttled".to_owned()), ..inserted() };
    for (awaited, expected) in [
        (Awaited::Somebody, Blame::Human),
        (Awaited::Pause(None), Blame::Human),
        (Awaited::Start(now()), Blame::Human),
        (Awaited::Budget, Blame::Limit),
        (Awaited::Backoff(When::NOW), Blame::Limit),
    ] {
        let rested = throttled.rest_on(Some(awaited), &seen());

        assert_eq!(told(&rested), only(&[(expected, 60), (Blame::Queue, 120)]), "{awaited:?}");
    }
}

#[test]
fn an_act_is_qliks_whether_it_is_written_or_not_until_the_tenant_is_ready() {
    let tenant = inserted().tenant(MARK, &seen()).unwrap();
    let tried = Tried { effect: EffectKind::Look, is_done: false, took: MINUTE };
    let mut record = inserted().after(&hold(tenant), Some(tried), &seen(), &POLICY).unwrap();
    assert_eq!(record.rested, None, "somebody works on it");

    record.note_took(MINUTE);
    assert_eq!(record.spent.of(3 * MINUTE)[2], (Blame::Remote, 2 * MINUTE));

    record.ready = Some(When::NOW);
    record.note_took(MINUTE);
    assert_eq!(
        record.spent_until(&seen_at(MINUTE), MINUTE),
        record.spent,
        "what comes later is no part of it"
    );
}

#[test]
fn a_new_life_begins_with_all_that_was_before_as_its_owners() {
    let ended = |is_present| {
        let record = Record { phase: Phase::Removing, client: Some(ClientId::new("client")), ..inserted() };
        let seen = Seen { is_present, is_admitted: true, ..seen_at(60 * MINUTE) };
        let tenant = record.tenant(MARK, &seen).unwrap();
        let tenant =
            crate::domain::tenant::Tenant { state: State::Removed { is_recheck_due: false }, ..tenant };
        record.after(&Decision { rest: Rest::Settled, ..hold(tenant) }, None, &seen, &POLICY).unwrap()
    };
    for (is_present, phase) in [(true, Phase::Pending), (false, Phase::Removed)] {
        let record = ended(is_present);

        assert_eq!((record.phase, record.rests_for), (phase, Blame::Human));
        assert_eq!(record.spent, Spent::waiting_for_people(60 * MINUTE));
    }
}
