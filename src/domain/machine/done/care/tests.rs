//! What a ready tenant is due for, and what of its drift is mended.

#![expect(clippy::wildcard_enum_match_arm, reason = "a Qlik of one story answers what that story asks")]

use super::*;
use crate::domain::drift::Value;
use crate::domain::ids::Hint;
use crate::domain::machine::effect::{Done, Effect, EffectKind as E};
use crate::domain::machine::{Next, next_effect};
use crate::domain::model::POLICY;
use crate::domain::model::by_hand::{
    at_its_duty, change, client, compared, hint, marked, next_of, ready, run, step, stored,
};
use crate::domain::tenant::Due;

const LIVE: (&str, Standing) = ("live", Standing::Current);

/// A Qlik on which nothing is wrong.
fn healthy(effect: &Effect) -> Done {
    match effect {
        Effect::Recheck(_) => Done::Rechecked(vec![marked("made")]),
        Effect::Audit(_) => Done::Audited(vec![]),
        Effect::Compare(_) => compared(&["live"]),
        Effect::Mint(_) => Done::Minted { hint: Some(hint("next")) },
        Effect::Prove(_) => Done::Proven,
        other => panic!("{other:?} was not to be done"),
    }
}

fn duties(due: Due, must_look: bool) -> Vec<E> {
    let tenant = Tenant { must_look, due, ..ready(&[LIVE]) };
    let (kinds, decision) = run(Tenant { state: tenant.ready(client()), ..tenant }, healthy);
    assert_eq!((decision.rest, decision.tenant.due), (Rest::Settled, Due::default()), "{due:?}");
    assert!(!decision.tenant.must_look, "{due:?}");
    kinds
}

#[test]
fn duties_are_taken_in_order_and_each_clears_itself() {
    const ROTATION: [E; 4] = [E::Compare, E::Mint, E::Compare, E::Prove];
    let none = Due::default();
    let all = Due {
        recheck: true,
        edit: true,
        repair: Some(RepairScope::All),
        rotation: true,
        audit: true,
        leavings: true,
    };

    assert_eq!(duties(Due { recheck: true, ..none }, false), [E::Recheck]);
    assert_eq!(duties(Due { edit: true, ..none }, false), [E::Audit]);
    assert_eq!(duties(Due { repair: Some(RepairScope::Consent), ..none }, false), [E::Audit]);
    assert_eq!(duties(Due { audit: true, ..none }, false), [E::Audit]);
    assert_eq!(duties(none, true), [E::Audit]);
    assert_eq!(duties(Due { leavings: true, ..none }, false), [E::Compare]);
    assert_eq!(duties(Due { rotation: true, ..none }, false), ROTATION);
    // What the row says is looked at before anything is done on its word.
    // Leftovers of mints that it tells of may be in use: none is compared for them.
    assert_eq!(duties(all, true), [&[E::Audit, E::Recheck], &ROTATION[..]].concat());
    // What may be refused for ever comes last.
    assert_eq!(duties(all, false), [&[E::Recheck, E::Compare], &ROTATION[..], &[E::Audit]].concat());
}

fn drift(kind: DriftKind) -> Drift {
    let field = |field| Drift::Field { wanted: change(field), found: Value::Text("found".to_owned()) };
    match kind {
        DriftKind::ClientMissing => Drift::ClientMissing,
        DriftKind::Duplicate => Drift::Duplicate(ClientId::new("other")),
        DriftKind::CopiedMark => Drift::CopiedMark(ClientId::new("copy")),
        DriftKind::Consent => Drift::Consent,
        DriftKind::Disabled => Drift::Disabled,
        DriftKind::Name => field(Field::Name),
        DriftKind::Mark => field(Field::Description),
        DriftKind::Scopes => field(Field::Scopes),
        DriftKind::Grants => field(Field::Grants),
        DriftKind::RedirectUris => field(Field::RedirectUris),
        DriftKind::Origins => field(Field::Origins),
        DriftKind::SecretMissing => lost_secret("live", Standing::Current),
        DriftKind::SecretUnknown => Drift::SecretUnknown { hint: hint("whose"), created_by: None },
    }
}

fn lost_secret(text: &str, standing: Standing) -> Drift {
    Drift::SecretMissing { hint: Hint::new(text), standing }
}

/// Audits a ready tenant that differs so, under one of the five allowances.
fn audit(drifts: Vec<Drift>, allowance: usize) -> Decision {
    let none = Due { audit: true, ..Due::default() };
    let due = match allowance {
        1 => Due { repair: Some(RepairScope::Consent), ..none },
        2 => Due { repair: Some(RepairScope::All), ..none },
        3 => Due { edit: true, ..none },
        _ => none,
    };
    let tenant = Tenant { due, must_look: allowance == 4, ..ready(&[LIVE, ("prev", Standing::Previous)]) };
    step(at_its_duty(tenant), Done::Audited(drifts))
}

/// What follows an audit at once, by difference and allowance.
#[test]
fn only_what_was_let_through_is_mended() {
    let (no, trust, amend) = (None, Some(E::Trust), Some(E::Amend));
    // nothing, repair_scope consent, all, an owner's edit, must_look
    let table = |kind| match kind {
        DriftKind::Duplicate => [Some(E::Dedupe); 5],
        DriftKind::Consent => [no, trust, trust, no, trust],
        DriftKind::Name | DriftKind::Scopes | DriftKind::RedirectUris | DriftKind::Origins => {
            [no, no, amend, amend, no]
        }
        DriftKind::Mark | DriftKind::Grants => [no, no, amend, no, no],
        // Rotates, and looks at the secrets before.
        DriftKind::SecretMissing => [no, no, Some(E::Compare), no, Some(E::Compare)],
        DriftKind::ClientMissing | DriftKind::CopiedMark | DriftKind::Disabled | DriftKind::SecretUnknown => {
            [no; 5]
        }
    };
    for kind in DriftKind::ALL {
        for (allowance, expected) in table(kind).into_iter().enumerate() {
            let decision = audit(vec![drift(kind)], allowance);

            let next = match (&decision.rest, next_effect(&decision.tenant)) {
                (Rest::Hold, Next::Do(effect)) => Some(effect.kind()),
                (_, _) => None,
            };
            assert_eq!(next, expected, "{kind}, allowance {allowance}");
            // The rotation is the repair; everything else stays known until it is mended.
            let is_rotation = kind == DriftKind::SecretMissing && expected.is_some();
            let kept = if is_rotation { vec![] } else { vec![kind] };
            assert_eq!(decision.tenant.drift, kept, "{kind}: what was found is kept");
            let is_done = matches!(decision.audit, AuditChange::Done { next } if next == POLICY.audit_every);
            let is_mended = expected.is_none() || is_rotation;
            assert_eq!(is_done, is_mended && kind != DriftKind::ClientMissing, "{kind}");
        }
    }
}

#[test]
fn consent_is_mended_first_all_fields_at_once_and_duplicates_last() {
    use DriftKind as K;
    let found = [K::Duplicate, K::Name, K::Scopes, K::Consent, K::Disabled].map(drift);
    let audited = audit([&found[..], &[Drift::Duplicate(ClientId::new("third"))]].concat(), 2);

    let trust = audited.tenant;
    assert_eq!(next_of(&trust), Effect::Trust(client()));
    let amend = step(trust, Done::Trusted).tenant;
    assert_eq!(next_of(&amend), Effect::Amend(client(), vec![change(Field::Name), change(Field::Scopes)]));
    assert_eq!(amend.drift, [K::Duplicate, K::Disabled, K::Name, K::Scopes]);
    let dedupe = step(amend, Done::Amended).tenant;
    assert_eq!(next_of(&dedupe), Effect::Dedupe(ClientId::new("other")));
    let another = step(dedupe, Done::Deduped).tenant;
    assert_eq!(next_of(&another), Effect::Dedupe(ClientId::new("third")));
    assert_eq!(another.drift, [K::Duplicate, K::Disabled], "one is left");
    let settled = step(another, Done::Deduped);
    assert_eq!((settled.rest, settled.tenant.drift), (Rest::Settled, vec![K::Disabled]));
    assert_eq!(settled.audit, AuditChange::Done { next: POLICY.audit_every });
    assert_eq!(settled.tenant.due, Due::default());
}

#[test]
fn a_missing_client_is_looked_for_again_for_ten_minutes_and_then_parked() {
    let due = Due { audit: true, ..Due::default() };
    let missing = |missing_for| {
        let tenant = Tenant { missing_for, due, must_look: true, ..ready(&[LIVE]) };
        step(at_its_duty(tenant), Done::Audited(vec![Drift::ClientMissing]))
    };
    let almost = Policy::MISSING_PATIENCE.checked_sub(Duration::from_millis(1));

    for lag in [missing(None), missing(almost)] {
        assert!(matches!(lag.rest, Rest::Wait { due: MISSING_AGAIN, .. }), "{lag:?}");
        assert_eq!((lag.ailment, lag.audit), (Some(Ailment::ClientMissing), AuditChange::Keep));
    }
    let gone = missing(Some(Policy::MISSING_PATIENCE));
    assert!(matches!(gone.rest, Rest::Park { reason: ParkReason::ClientMissing, .. }), "{gone:?}");
    assert_eq!(gone.secret, SecretChange::Keep, "it is never made again by itself");
    let found = Tenant { missing_for: almost, due, ..ready(&[LIVE]) };
    assert_eq!(step(at_its_duty(found), Done::Audited(vec![])).tenant.missing_for, None);
}

#[test]
fn a_lost_current_secret_is_replaced_by_a_rotation_once_all_else_is_mended() {
    let lost = audit(vec![drift(DriftKind::SecretMissing), Drift::Consent], 4);

    assert_eq!(lost.secret, SecretChange::Keep, "what one list does not show may still work");
    assert_eq!(lost.tenant.stored, stored(&[LIVE, ("prev", Standing::Previous)]));
    let (kinds, settled) = run(lost.tenant, |effect| match effect {
        Effect::Trust(_) => Done::Trusted,
        Effect::Compare(_) => compared(&["prev"]),
        other => healthy(other),
    });
    assert_eq!(kinds, [E::Trust, E::Compare, E::Mint, E::Compare, E::Prove]);
    let expected = [("live", Standing::Previous), ("prev", Standing::Previous), ("next", Standing::Current)];
    assert_eq!(settled.tenant.stored, stored(&expected));
    assert!(!settled.tenant.must_look);
}

#[test]
fn a_lost_previous_secret_is_only_forgotten() {
    let lost = audit(vec![lost_secret("prev", Standing::Previous)], 2);

    assert_eq!(lost.secret, SecretChange::Lose(hint("prev")));
    assert_eq!(lost.tenant.stored, stored(&[LIVE]));
    assert_eq!(lost.tenant.state, State::Ready { client: client(), duty: Duty::Audit });
}

#[test]
fn every_surplus_client_is_deleted_before_the_recheck_is_done() {
    let due = Due { recheck: true, ..Due::default() };
    let mut seen = vec![marked("made"), marked("a"), marked("b")];
    let (kinds, settled) = run(at_its_duty(Tenant { due, ..ready(&[LIVE]) }), |effect| match effect {
        Effect::Dedupe(surplus) => {
            assert_ne!(*surplus, client(), "the committed one wins");
            seen.retain(|client| client.client_id != *surplus);
            Done::Deduped
        }
        _ => Done::Rechecked(seen.clone()),
    });

    assert_eq!(kinds, [E::Recheck, E::Dedupe, E::Dedupe]);
    assert_eq!((settled.recheck, settled.rest), (RecheckChange::Done, Rest::Settled));
}

#[test]
fn a_duplicate_is_deleted_only_beside_the_committed_client_and_a_copied_mark_never() {
    let due = Tenant { due: Due { recheck: true, ..Due::default() }, ..ready(&[LIVE]) };
    let recheck = |seen: &[SeenClient]| step(at_its_duty(due.clone()), Done::Rechecked(seen.to_vec()));
    let copy = SeenClient { app_type: Some("spa".to_owned()), ..marked("copy") };

    let both = recheck(&[marked("made"), marked("other")]);
    let alone = recheck(&[marked("other")]);
    let copied = recheck(&[marked("made"), copy]);

    assert_eq!(next_effect(&both.tenant), Next::Do(Effect::Dedupe(ClientId::new("other"))));
    assert_eq!(next_effect(&alone.tenant), Next::Do(Effect::Audit(client())), "its client may be gone");
    assert_eq!((copied.rest, copied.tenant.drift), (Rest::Settled, vec![DriftKind::CopiedMark]));
}

#[test]
fn a_duplicate_that_the_budget_does_not_let_through_is_shown_and_holds_up_nothing() {
    let due = Due { recheck: true, rotation: true, ..Due::default() };
    let surplus = Duty::Surplus(vec![ClientId::new("other")]);
    let mend = Duty::Mend(vec![Mend::Dedupe(ClientId::new("other"))]);
    for (duty, audit) in
        [(surplus, AuditChange::Keep), (mend, AuditChange::Done { next: POLICY.audit_every })]
    {
        let tenant = Tenant { due, state: State::Ready { client: client(), duty }, ..ready(&[LIVE]) };

        let decision = crate::domain::machine::put_off(tenant, &POLICY);

        assert_eq!(decision.tenant.drift, [DriftKind::Duplicate]);
        assert_eq!(decision.recheck, RecheckChange::After(Policy::BUDGET_AGAIN));
        assert_eq!((decision.audit, decision.rest), (audit, Rest::Requeue));
        let entry = crate::domain::tenant::MintEntry::Compare;
        let series = crate::domain::tenant::Series::Rotation;
        assert_eq!(decision.tenant.state, State::Minting { client: client(), series, entry }, "it goes on");
    }
}
