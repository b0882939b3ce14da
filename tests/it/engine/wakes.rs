//! What somebody says of a tenant wakes it, and ends no wait that it does not mean to end.

use std::time::Duration;

use tenantd::domain::ids::{RegionName, TenantId};
use tenantd::domain::machine::Next;
use tenantd::simulator::{Endpoint, Fault, RetryAfter};

use super::{Rig, assert_whole, begin, ledger, row, work_due};
use crate::support::rig::{Replica, SETTLE};

const EDIT: &str = "UPDATE tenantd.tenants SET client_name = coalesce(client_name, 'Portal') || '.'";

/// A tenant whose consent is refused once, so that it waits.
async fn given_waiting(rig: &Rig, replica: &Replica, fault: Fault) {
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [fault]);
    rig.work_once(replica).await;
}

fn calls(rig: &Rig) -> usize {
    ledger(rig).calls.len()
}

/// An edit wakes the row; the wait after a failure goes on nevertheless.
#[tokio::test]
async fn a_wake_ends_no_backoff() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::status(503)]);
    rig.work_once(&replica).await;
    let before = row(&rig, "acme").await;
    rig.write("UPDATE tenantd.tenants SET backoff_at = tenantd.clock() + interval '30 s', due_at = tenantd.clock() + interval '30 s'").await;
    let asked = calls(&rig);

    rig.write("UPDATE tenantd.tenants SET client_name = 'Portal'").await;
    rig.work_once(&replica).await;

    let after = row(&rig, "acme").await;
    assert_eq!(calls(&rig), asked, "Qlik is not asked before its time");
    assert_eq!((after.wait_reason, after.failures), (before.wait_reason, before.failures));
    assert_eq!(rig.until_due().await, Some(Duration::from_secs(30)));
    rig.work_until_quiet(&replica).await;
    assert_whole(&rig, &replica, "acme").await;
}

/// It was kept from everything for longer than a row may be without progress.
#[tokio::test]
async fn a_pause_is_not_held_against_the_tenant() {
    for ends_by_itself in [false, true] {
        let rig = Rig::plain().await;
        let replica = rig.replica().await;
        let host = rig.given_tenant("acme").await;
        let faults = vec![Fault::status(503); 2];
        rig.world.script(&host, Endpoint::SetConsent, faults);
        rig.work_once(&replica).await;
        let until = if ends_by_itself { "tenantd.clock() + interval '25 h'" } else { "NULL" };
        rig.write(format!(
            "UPDATE tenantd.tenants SET paused_at = tenantd.clock(), pause_reason = 'audit', paused_until = {until}"
        ))
        .await;
        rig.work_once(&replica).await;

        rig.advance(Duration::from_hours(25)).await;
        if !ends_by_itself {
            assert!(replica.store.resume("acme").await.unwrap());
        }
        rig.work_once(&replica).await;

        let after = row(&rig, "acme").await;
        assert_eq!((after.parked_reason, after.wait_reason.as_deref()), (None, Some("Retrying")));
        rig.work_until_quiet(&replica).await;
        assert_whole(&rig, &replica, "acme").await;
    }
}

/// What Qlik asked for is kept, though it is no failure.
#[tokio::test]
async fn a_wake_does_not_ask_again_before_qlik_said_so() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    given_waiting(&rig, &replica, Fault::throttle(RetryAfter::Seconds(300))).await;
    let (before, asked) = (row(&rig, "acme").await, calls(&rig));
    assert_eq!((before.failures, before.wait_reason.as_deref()), (0, Some("Throttled")));

    rig.write(EDIT).await;
    rig.work_once(&replica).await;

    assert_eq!(calls(&rig), asked, "Qlik said when");
    assert_eq!(row(&rig, "acme").await.rests(), before.rests());
}

#[tokio::test]
async fn a_removal_that_is_let_through_does_not_wait_out_a_backoff() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    given_waiting(&rig, &replica, Fault::status(503)).await;
    rig.write(
        "UPDATE tenantd.tenants SET desired_state = 'absent';
         UPDATE tenantd.tenants SET removal_admitted_at = tenantd.clock(), failures = 3,
                backoff_at = tenantd.clock() + interval '10 min'",
    )
    .await;

    work_due(&rig, &replica).await;

    assert_eq!(row(&rig, "acme").await.phase, "removed", "not only begun");
}

/// A worker parks a tenant of which its owner has said something since: it is tried with that.
#[tokio::test]
async fn nobody_is_parked_by_who_has_not_heard_all() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::status(400)]);
    let mut work = begin(&rig, &replica).await;
    let Next::Do(effect) = work.next() else { panic!("a create is next") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();
    assert!(judged.record.parked_reason.is_some(), "{judged:?}");
    rig.write(EDIT).await;

    replica.commit(&mut work, &judged).await.unwrap();

    assert_eq!(row(&rig, "acme").await.parked_reason, None);
    rig.work_until_quiet(&replica).await;
    assert_whole(&rig, &replica, "acme").await;
}

/// Nor is anybody un-parked by an edit that comes while the row is laid to rest again.
#[tokio::test]
async fn edits_un_park_nobody_however_they_meet_the_worker() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::status(400)]);
    rig.work_once(&replica).await;
    let (parked, asked) = (row(&rig, "acme").await.parked_reason, calls(&rig));
    assert!(parked.is_some());

    rig.write(EDIT).await;
    let claimed = rig.claim(&replica).await.unwrap();
    rig.write(EDIT).await;
    rig.work_on(&replica, claimed).await;
    rig.work_until_quiet(&replica).await;

    assert_eq!((row(&rig, "acme").await.parked_reason, calls(&rig)), (parked, asked));
}

/// A row that no claim can lease is laid to rest again whenever somebody wakes it.
#[tokio::test]
async fn a_defect_that_is_woken_does_not_spoil_every_claim() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("poison").await;
    rig.write(
        "CREATE FUNCTION tenantd_test.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'no lease on this one'; END $$;
         CREATE TRIGGER zz_refuse BEFORE UPDATE ON tenantd.tenants
             FOR EACH ROW WHEN (NEW.external_id = 'poison' AND NEW.lease_holder IS NOT NULL)
             EXECUTE FUNCTION tenantd_test.refuse()",
    )
    .await;
    for round in ["one", "two"] {
        rig.given_tenant(round).await;
        rig.write(format!("{EDIT} WHERE external_id = 'poison'")).await;

        let (stop, wake) = (tenantd::engine::shutdown::Stop::new(), tokio::sync::Notify::new());
        replica.dispatch(&wake, &stop, tenantd::engine::dispatch::Mode::Once).await.unwrap();

        let parked = row(&rig, "poison").await;
        assert_eq!((parked.parked_reason.as_deref(), parked.due_in), (Some("Defect"), None), "{round}");
        assert_whole(&rig, &replica, round).await;
    }
}

#[tokio::test]
async fn who_is_paused_when_a_breaker_closes_waits_for_nothing_else_afterwards() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.write(
        "UPDATE tenantd.regions SET opened_at = tenantd.clock(), probe_at = tenantd.clock() + interval '1 min';
         UPDATE tenantd.tenants SET wait_reason = 'CredentialRefused', message = 'm', failures = 3, region = 'us',
                backoff_at = tenantd.clock() + interval '15 min', credential_refused_at = tenantd.clock(),
                paused_at = tenantd.clock(), pause_reason = 'audit';
         UPDATE tenantd.tenants SET due_at = NULL",
    )
    .await;

    replica.store.close_breaker(&RegionName::new("us")).await.unwrap();
    assert!(replica.store.resume("acme").await.unwrap());
    work_due(&rig, &replica).await;

    assert_whole(&rig, &replica, "acme").await;
}

/// The interval of audits became shorter while a worker had the tenant.
#[tokio::test]
async fn a_plan_of_audits_is_not_put_back_by_who_knows_of_another() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    rig.write("UPDATE tenantd.tenants SET audit_at = tenantd.clock() + interval '30 days'").await;
    rig.write(EDIT).await;
    let claimed = rig.claim(&replica).await.unwrap();

    assert_eq!(replica.store.plan_audits(Some(Duration::from_hours(24))).await.unwrap(), 1);
    rig.work_on(&replica, claimed).await;

    let is_soon: bool =
        sqlx::query_scalar("SELECT audit_at < tenantd.clock() + interval '1 day' FROM tenantd.tenants")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert!(is_soon);
}

/// A life ends, and the owner who wanted another one does not any more.
#[tokio::test]
async fn no_life_begins_that_nobody_wants_any_more() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    replica.store.admit_removals(None).await.unwrap();
    let mut work = begin(&rig, &replica).await;
    while super::step(&replica, &mut work).await && row(&rig, "acme").await.phase != "removing" {}
    rig.write("UPDATE tenantd.tenants SET desired_state = 'present'").await;
    rig.advance(crate::support::rig::LEASE).await;
    let mut work = begin(&rig, &replica).await;
    loop {
        let Next::Do(effect) = work.next() else { panic!("a removal goes on to its end") };
        let acted = replica.act(&mut work, effect).await;
        let judged = replica.judge(&work, acted).unwrap();
        if judged.record.phase.as_str() != "pending" {
            replica.commit(&mut work, &judged).await.unwrap();
            continue;
        }
        rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
        let error = replica.commit(&mut work, &judged).await.unwrap_err();
        assert!(matches!(error, tenantd::postgres::StoreError::Superseded(_)), "{error}");
        break;
    }
    rig.advance(crate::support::rig::LEASE).await;

    rig.work_until_quiet(&replica).await;

    assert_eq!(row(&rig, "acme").await.phase, "removed");
    let removals: i64 = sqlx::query_scalar("SELECT count(*) FROM tenantd.changes WHERE kind = 'removal'")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(removals, 1, "it takes one place in the budget");
}

/// A hand wrote that a secret never retires: it stays, and harms nobody's claim.
#[tokio::test]
async fn an_instant_beyond_every_calendar_harms_no_other_row() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    rig.write("UPDATE tenantd.tenants SET desired_version = desired_version + 1").await;
    rig.work_once(&replica).await;
    rig.write(
        "UPDATE tenantd.secrets SET retire_at = 'infinity' WHERE standing = 'previous';
         UPDATE tenantd.tenants SET audit_at = 'infinity', retire_at = NULL, due_at = NULL",
    )
    .await;
    rig.given_tenant("other").await;
    rig.write(EDIT).await;

    rig.work_until_quiet(&replica).await;
    rig.advance(SETTLE * 1000).await;
    rig.write(format!("{EDIT} WHERE external_id = 'other'")).await;
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "other").await;
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM tenantd.secrets WHERE standing = 'previous'")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(kept, 1);
    let id: uuid::Uuid = row(&rig, "acme").await.tenant_id;
    assert!(replica.store.inspect(TenantId(id)).await.unwrap().is_some());
}
