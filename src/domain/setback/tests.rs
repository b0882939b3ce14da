//! What a failure costs, and what it does not.

use super::*;
use crate::domain::hints::{Standing, StoredSecret};
use crate::domain::ids::ClientId;
use crate::domain::tenant::Duty;
use crate::domain::walk::{POLICY, Step, failed as failure, fresh, many_walks, walk};

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
    let created = State::Created { client: client(), check: crate::domain::tenant::Check::Passed };
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
