//! What a failure costs, and what it does not.

use super::*;
use crate::domain::hints::{Standing, StoredSecret};
use crate::domain::ids::ClientId;
use crate::domain::model::by_hand::{serving, stored};
use crate::domain::model::{FAILURES, POLICY, Step, failed as failure, fresh, many_walks, walk};
use crate::domain::tenant::{Check, Duty, Removal, Series};
use crate::domain::token::Walk;

const DAY: Duration = Duration::from_hours(24);

fn client() -> ClientId {
    ClientId::new("made")
}

fn in_state(state: State) -> Tenant {
    Tenant { state, failures: 7, ..fresh() }
}

fn trusted(refused_for: Option<Duration>, is_afresh: bool) -> Tenant {
    let stored = vec![StoredSecret::new(None, Standing::Unproven)];
    Tenant { stored, is_afresh, refused_for, ..in_state(State::Trusted { client: client() }) }
}

fn fails(tenant: Tenant, effect: &Effect, kind: FailureKind) -> Decision {
    after_failure(tenant, effect, &failure(kind), &POLICY, Jitter::from_bits(u32::MAX))
}

#[test]
fn a_wait_that_qlik_imposed_spends_nothing_wherever_it_meets_the_tenant() {
    let mut met = 0;
    for numbers in many_walks(1000) {
        let judge = &mut |step: &Step| {
            let due = match step.failure {
                Some(FailureKind::Throttled { wait }) => wait,
                Some(FailureKind::TenantUnavailable) => Policy::BLOCKED_EVERY,
                _ => return,
            };
            if step.decision.recheck == RecheckChange::Done {
                return; // The look after a removal was given up.
            }
            met += 1;
            assert_eq!(step.decision.tenant.failures, step.before.failures, "{step:?}");
            assert_eq!(step.decision.progress, Progress::Excused(due), "{step:?}");
            assert!(matches!(step.decision.rest, Rest::Wait { due: waits, .. } if waits == due), "{step:?}");
        };
        walk(&numbers, judge).unwrap();
    }
    assert!(met > 1000, "{met}");
}

#[test]
fn every_other_failure_counts_once_but_for_a_conflict_that_has_to_be_looked_at() {
    let mut met = 0;
    for numbers in many_walks(1000) {
        let judge = &mut |step: &Step| {
            let counts = match (&step.failure, step.kind()) {
                (None | Some(FailureKind::Throttled { .. } | FailureKind::TenantUnavailable), _)
                | (Some(FailureKind::Conflict), Some(EffectKind::Create)) => return,
                // The look after a removal was given up.
                (Some(_), Some(EffectKind::Look)) if step.decision.recheck == RecheckChange::Done => return,
                // Its secret was replaced, and its patience begins anew.
                (Some(_), Some(EffectKind::Prove)) if step.decision.rest == Rest::Hold => 0,
                (Some(_), _) => 1,
            };
            met += 1;
            assert_eq!(step.decision.tenant.failures, step.before.failures + counts, "{step:?}");
        };
        walk(&numbers, judge).unwrap();
    }
    assert!(met > 1000, "{met}");
}

#[test]
fn patience_ends_exactly_when_it_was_told_to() {
    let created = State::Created { client: client(), check: Check::Passed };
    let trust = |without_progress| {
        let tenant = Tenant { without_progress, ..in_state(created.clone()) };
        fails(tenant, &Effect::Trust(client()), FailureKind::ServerError).rest
    };

    let (before, at) = (trust(DAY.saturating_sub(Duration::from_millis(1))), trust(DAY));

    assert!(matches!(before, Rest::Wait { reason: WaitReason::Retrying, .. }), "{before:?}");
    assert!(matches!(at, Rest::Park { reason: ParkReason::GaveUp, .. }), "{at:?}");
}

#[test]
fn an_unanswered_create_settles_and_plans_a_recheck() {
    let tenant = in_state(State::Creating(Entry::Cleared));

    let decision = fails(tenant, &Effect::Create, FailureKind::NoAnswer);

    let stand = decision.tenant.stand();
    assert!(stand.settle.unwrap() >= POLICY.settle);
    assert_eq!(decision.recheck, RecheckChange::After(POLICY.settle * 2));
    assert!(matches!(decision.rest, Rest::Wait { reason: WaitReason::Settling, .. }));
}

#[test]
fn a_create_that_was_refused_has_nothing_to_settle() {
    for kind in [FailureKind::NotConnected, FailureKind::NoToken, FailureKind::Forbidden] {
        let tenant = in_state(State::Creating(Entry::Cleared));

        let decision = fails(tenant, &Effect::Create, kind.clone());

        assert_eq!(decision.tenant.stand().unanswered, None, "{kind:?}");
        assert_eq!(decision.recheck, RecheckChange::Keep, "{kind:?}");
    }
}

#[test]
fn a_refused_proof_is_lag_then_one_fresh_secret_then_a_case_for_people() {
    let prove = Effect::Prove(client());
    let patience = POLICY.prove_patience;
    for kind in [FailureKind::Rejected, FailureKind::CredentialRefused, FailureKind::Forbidden] {
        let first = fails(trusted(None, false), &prove, kind.clone());
        let spent = fails(trusted(Some(patience), false), &prove, kind.clone());
        let again = fails(trusted(Some(patience), true), &prove, kind.clone());

        assert!(matches!(first.rest, Rest::Wait { reason: WaitReason::ProofRefused, .. }), "{kind:?}");
        assert_eq!(first.ailment, Some(Ailment::ProofRefused), "it counts for no breaker");
        assert_eq!((spent.secret, spent.tenant.is_afresh), (SecretChange::Discard, true), "{kind:?}");
        assert_eq!(spent.tenant.stored[0].standing, Standing::Discarded);
        assert!(matches!(again.rest, Rest::Park { reason: ParkReason::ProofRefused, .. }), "{kind:?}");
        assert_eq!(again.secret, SecretChange::Keep, "the last secret is kept to be looked into");
    }
}

#[test]
fn only_the_regions_own_refused_credential_feeds_the_breaker() {
    for (effect, kind, feeds) in [
        (Effect::Create, FailureKind::CredentialRefused, true),
        (Effect::Trust(client()), FailureKind::CredentialRefused, true),
        (Effect::Prove(client()), FailureKind::CredentialRefused, false),
        (Effect::Create, FailureKind::Forbidden, false),
        (Effect::Create, FailureKind::TenantUnavailable, false),
    ] {
        let decision = fails(in_state(State::Creating(Entry::Cleared)), &effect, kind.clone());

        assert_eq!(decision.ailment == Some(Ailment::CredentialRefused), feeds, "{effect:?} {kind:?}");
    }
}

#[test]
fn a_ready_tenant_waits_whatever_its_recheck_meets_and_for_however_long() {
    for duty in [Duty::Recheck, Duty::Surplus(vec![ClientId::new("surplus")])] {
        let state = State::Ready { client: client(), duty };
        for kind in [FailureKind::Rejected, FailureKind::NotFound, FailureKind::Forbidden] {
            let tenant = Tenant { without_progress: 30 * DAY, ..in_state(state.clone()) };

            let decision = fails(tenant, &Effect::Recheck(client()), kind.clone());

            assert!(matches!(decision.rest, Rest::Wait { .. }), "{kind:?}: {decision:?}");
        }
    }
}

#[test]
fn a_refused_proof_of_a_rotation_is_minted_afresh_once_and_the_current_secret_stays() {
    let patience = Some(POLICY.prove_patience);
    let proving = |is_afresh| {
        let secrets = stored(&[("old", Standing::Current), ("new", Standing::Unproven)]);
        let state = State::Proving { client: client(), check: Check::Passed };
        Tenant { stored: secrets, is_afresh, refused_for: patience, ..in_state(state) }
    };
    let refused = |tenant| fails(tenant, &Effect::Prove(client()), FailureKind::CredentialRefused);

    let lag = refused(Tenant { refused_for: None, ..proving(false) });
    let (afresh, again) = (refused(proving(false)), refused(proving(true)));

    assert!(matches!(lag.rest, Rest::Wait { reason: WaitReason::ProofRefused, .. }), "{lag:?}");
    let entry = MintEntry::Compare;
    let state = State::Minting { client: client(), series: Series::Rotation, entry };
    assert_eq!((afresh.tenant.state, afresh.secret, afresh.rest), (state, SecretChange::Discard, Rest::Hold));
    assert_eq!(afresh.tenant.stored, stored(&[("old", Standing::Current), ("new", Standing::Discarded)]));
    assert!(matches!(again.rest, Rest::Park { reason: ParkReason::ProofRefused, .. }), "{again:?}");
    assert_eq!(again.tenant.stored, stored(&[("old", Standing::Current), ("new", Standing::Unproven)]));
    assert_eq!(again.tenant.stand().phase, crate::domain::phase::Phase::Proving);
}

fn removals() -> [(Removal, Effect); 4] {
    [
        (Removal::Look, Effect::Look),
        (Removal::Delete(client()), Effect::Delete(client())),
        (Removal::Revoke(client(), Walk::default()), Effect::Revoke(client(), Walk::default())),
        (Removal::DeleteBot(client()), Effect::DeleteBot(client())),
    ]
}

#[test]
fn a_removal_is_never_given_up_whatever_it_meets_and_for_however_long() {
    for (removal, effect) in removals() {
        for kind in FAILURES {
            for without_progress in [Duration::ZERO, DAY, 400 * DAY] {
                let tenant = Tenant { without_progress, ..serving(State::Removing(removal.clone())) };

                let decision = fails(tenant.clone(), &effect, kind.clone());

                assert!(matches!(decision.rest, Rest::Wait { .. }), "{kind:?}: {decision:?}");
                assert_eq!(decision.tenant.state, tenant.re_entry(), "{kind:?}");
                assert_eq!(decision.tenant.stored, tenant.stored, "{kind:?}");
            }
        }
    }
}

#[test]
fn a_removal_that_fails_for_too_long_slows_down_and_says_for_how_long() {
    let removal = |without_progress| {
        let tenant = Tenant { without_progress, ..in_state(State::Removing(Removal::Delete(client()))) };
        let tenant = Tenant { failures: 30, ..tenant };
        fails(tenant, &Effect::Delete(client()), FailureKind::ServerError).rest
    };
    let waits = |rest: &Rest| {
        let Rest::Wait { due, .. } = rest else { panic!("{rest:?}") };
        *due
    };

    let (soon, late) = (removal(DAY.saturating_sub(Duration::from_millis(1))), removal(DAY));

    assert!(waits(&soon) <= POLICY.cap, "{soon:?}");
    assert!(waits(&late) > POLICY.cap && waits(&late) <= Policy::SLOW_REMOVAL, "{late:?}");
    let Rest::Wait { message, .. } = late else { panic!("it waits") };
    assert!(message.contains("failing for 1day"), "{message}");
}

#[test]
fn the_look_after_a_removal_is_dropped_when_the_tenant_is_blocked_or_when_it_fails_for_too_long() {
    for kind in FAILURES {
        for (without_progress, is_long) in [(Duration::ZERO, false), (DAY, true)] {
            let removed = State::Removed { is_recheck_due: true };
            let tenant = Tenant { without_progress, ..in_state(removed.clone()) };

            let decision = fails(tenant, &Effect::Look, kind.clone());

            let is_over = is_long || kind == FailureKind::TenantUnavailable;
            let state = State::Removed { is_recheck_due: !is_over };
            assert_eq!(decision.tenant.state, state, "{kind:?}");
            let expected = if is_over { RecheckChange::Done } else { RecheckChange::Keep };
            assert_eq!(decision.recheck, expected, "{kind:?}");
            assert_eq!(decision.rest == Rest::Settled, is_over, "{kind:?}: {decision:?}");
            assert!(!matches!(decision.rest, Rest::Park { .. }), "{kind:?}: {decision:?}");
        }
    }
}

#[test]
fn a_client_that_is_gone_at_a_repair_parks_the_ready_tenant_after_ten_minutes() {
    let mend = State::Ready { client: client(), duty: Duty::Mend(vec![crate::domain::tenant::Mend::Trust]) };
    let trust = |missing_for| {
        let tenant = Tenant { missing_for, ..in_state(mend.clone()) };
        fails(tenant, &Effect::Trust(client()), FailureKind::NotFound)
    };

    let (lag, gone) = (trust(None), trust(Some(Policy::MISSING_PATIENCE)));

    assert!(matches!(lag.rest, Rest::Wait { .. }), "{lag:?}");
    assert!(matches!(gone.rest, Rest::Park { reason: ParkReason::ClientMissing, .. }), "{gone:?}");
    for decision in [lag, gone] {
        assert_eq!(decision.ailment, Some(Ailment::ClientMissing));
        assert_eq!(decision.tenant.state, State::Ready { client: client(), duty: Duty::Audit });
    }
}
