//! Whoever holds a row may write it, and nobody else; what cannot be repeated is
//! sent only under a lease that is certain.

use std::time::Duration;

use sqlx::Executor;
use tenantd::domain::machine::Next;
use tenantd::ports::Clock;
use tenantd::postgres::StoreError;
use tenantd::simulator::{Endpoint, Fault};
use tokio_util::sync::CancellationToken;

use super::{assert_whole, begin, ledger, rig, row, step, work_next};
use crate::support::rig::{LEASE, Replica, Rig, SETTLE};

/// Works on the next row under a lease that is certain for only so long.
async fn work_under(rig: &Rig, replica: &Replica, certain: Duration) {
    let claimed = rig.claim(replica).await.expect("a row is due");
    let lease = replica.leases.hold(claimed.tenant_id, claimed.fence, rig.clock.elapsed() + certain);
    replica.work_on(claimed, lease, &CancellationToken::new()).await;
}

#[tokio::test]
async fn a_worker_that_was_taken_over_writes_nothing() {
    let rig = rig().await;
    let (slow, heir) = (rig.replica().await, rig.replica().await);
    rig.given_tenant("acme").await;
    let mut work = begin(&rig, &slow).await;
    assert!(step(&slow, &mut work).await, "the client is made and committed");
    rig.advance(LEASE).await;
    rig.work_until_quiet(&heir).await;
    let before = row(&rig, "acme").await;

    let Next::Do(effect) = work.next() else { panic!("there is more to do") };
    let acted = slow.act(&mut work, effect).await;
    let judged = slow.judge(&work, acted).unwrap();
    let written = slow.commit(&mut work, &judged).await;

    assert!(matches!(written, Err(StoreError::LeaseLost(_))), "{written:?}");
    assert_eq!(row(&rig, "acme").await, before);
    assert_whole(&rig, &heir, "acme").await;
}

#[tokio::test]
async fn a_heartbeat_keeps_a_row_from_being_taken_over_and_its_end_lets_it_go() {
    let rig = rig().await;
    let (busy, other) = (rig.replica().await, rig.replica().await);
    rig.given_tenant("acme").await;
    let claimed = rig.claim(&busy).await.unwrap();
    let lease = busy.leases.hold(claimed.tenant_id, claimed.fence, rig.clock.elapsed() + LEASE);
    let terms = other.terms.claim_terms();

    for _ in 0..5 {
        rig.advance(LEASE / 2).await;
        busy.beat().await.unwrap();
        assert!(lease.covers(rig.clock.elapsed(), LEASE));
        assert!(other.store.claim(&terms, 1).await.unwrap().rows.is_empty(), "it is held");
    }
    rig.advance(LEASE).await;
    let taken = other.store.claim(&terms, 1).await.unwrap().rows;
    busy.beat().await.unwrap();

    assert_eq!(taken.len(), 1);
    assert!(lease.is_lost(), "the heartbeat sees that the row is in other hands");
}

#[tokio::test]
async fn with_too_little_certain_lease_no_create_is_sent_and_the_intent_is_taken_back() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let too_little = replica.terms.request_timeout.saturating_sub(Duration::from_millis(1));

    work_under(&rig, &replica, too_little).await;

    let back = row(&rig, "acme").await;
    assert_eq!((back.is_held, back.due_in, back.failures), (false, Some(0), 0));
    assert_eq!((back.phase.as_str(), back.unanswered), ("pending", None));
    assert_eq!(ledger(&rig).calls.len(), 0, "nothing was sent");

    rig.work_until_quiet(&replica).await;
    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).calls_of(Endpoint::ListClients, Some(200)), 0, "there is nothing to look for");
}

#[tokio::test]
async fn with_too_little_certain_lease_no_secret_is_minted() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_after()]);
    assert!(work_next(&rig, &replica).await);

    work_under(&rig, &replica, Duration::ZERO).await;

    let back = row(&rig, "acme").await;
    assert_eq!((back.phase.as_str(), back.is_held, back.due_in), ("creating", false, Some(0)));
    assert!(back.client_id.is_some(), "what may be repeated was done: the client is adopted");
    assert_eq!(ledger(&rig).calls_of(Endpoint::MintSecret, Some(201)), 0);

    rig.work_until_quiet(&replica).await;
    assert_whole(&rig, &replica, "acme").await;
}

#[tokio::test]
async fn a_client_made_by_a_worker_that_was_taken_over_is_found_and_deleted() {
    let rig = rig().await;
    let (zombie, heir) = (rig.replica().await, rig.replica().await);
    let host = rig.given_tenant("acme").await;
    let mut asleep = begin(&rig, &zombie).await;
    rig.advance(LEASE + SETTLE).await;
    // Long enough for the recheck that every takeover plans to be over.
    rig.work_until_quiet(&heir).await;
    assert!(!row(&rig, "acme").await.is_recheck_planned);

    let Next::Do(effect) = asleep.next() else { panic!("a create is next") };
    let acted = zombie.act(&mut asleep, effect).await;
    assert!(acted.may_have_made_a_client());
    let judged = zombie.judge(&asleep, acted).unwrap();
    let error = zombie.commit(&mut asleep, &judged).await.unwrap_err();
    zombie.not_persisted(asleep.tenant_id, &error, true).await;

    assert!(row(&rig, "acme").await.is_recheck_planned);
    assert_eq!(ledger(&rig).live_clients_of(&host).count(), 2);
    rig.work_until_quiet(&heir).await;
    assert_whole(&rig, &heir, "acme").await;
}

#[tokio::test]
async fn a_row_that_nobody_holds_has_no_request_in_flight_that_does_not_settle() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let faults = [Fault::close_before(), Fault::status(503), Fault::status(404), Fault::status(429)];
    rig.world.script(&host, Endpoint::CreateClient, faults);
    rig.world.script(&host, Endpoint::ListClients, [Fault::status(500), Fault::none()]);

    while work_next(&rig, &replica).await {
        let silent: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM tenantd.tenants
              WHERE lease_holder IS NULL AND unanswered IS NOT NULL AND settles_at IS NULL",
        )
        .fetch_one(rig.pool())
        .await
        .unwrap();
        assert_eq!(silent, 0, "the next claim could not tell when it has landed");
    }

    assert_whole(&rig, &replica, "acme").await;
}

#[tokio::test]
async fn one_row_that_an_owner_has_locked_does_not_stop_the_renewal_of_the_others() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("locked").await;
    rig.given_tenant("free").await;
    let claimed = replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap().rows;
    let held: Vec<_> = claimed.iter().map(|row| (row.tenant_id, row.fence)).collect();
    let mut owner = rig.pool().begin().await.unwrap();
    sqlx::query("UPDATE tenantd.tenants SET labels = '{\"a\": 1}' WHERE external_id = 'locked'")
        .execute(&mut *owner)
        .await
        .unwrap();

    let renewed = tokio::time::timeout(Duration::from_secs(5), replica.store.renew(&held, LEASE)).await;

    let renewed = renewed.expect("it does not wait for the owner").unwrap();
    assert_eq!(renewed.len(), 2, "both are still ours");
    assert_eq!(renewed.iter().filter(|renewal| renewal.is_renewed).count(), 1);
    owner.rollback().await.unwrap();
}

/// The lease in the row runs out, and its holder is well: what it holds in memory would be lost.
#[tokio::test]
async fn a_row_that_is_locked_beyond_its_lease_stays_its_holders_for_as_long_as_that_lives() {
    let rig = rig().await;
    let (holder, other) = (rig.replica().await, rig.replica().await);
    rig.given_tenant("acme").await;
    let claimed = rig.claim(&holder).await.unwrap();
    let held = [(claimed.tenant_id, claimed.fence)];
    let mut owner = rig.pool().begin().await.unwrap();
    owner.execute("UPDATE tenantd.tenants SET labels = '{\"a\": 1}'").await.unwrap();
    for _ in 0..4 {
        rig.advance(LEASE / 2).await;
        assert!(!holder.store.renew(&held, LEASE).await.unwrap()[0].is_renewed);
    }
    owner.commit().await.unwrap();

    assert_eq!(claimed_by(&other).await, 0, "its holder lives");
    assert!(other.store.lease_one(claimed.tenant_id, LEASE).await.unwrap().is_none(), "nor is it probed");
    let is_explained: bool =
        sqlx::query_scalar("SELECT tenantd.is_lease_extended(tenant_id, lease_epoch) FROM tenantd.tenants")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert!(is_explained);
    rig.advance(LEASE).await;
    assert_eq!(claimed_by(&other).await, 1, "it died, and a lease later somebody else goes on");
    other.store.renew(&[], LEASE).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM tenantd.lease_extensions")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(left, 0, "what is over is deleted");
    assert!(holder.store.renew(&held, LEASE).await.unwrap().is_empty(), "and it hears that it lost the row");
}

async fn claimed_by(replica: &Replica) -> usize {
    replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap().rows.len()
}

/// A failover may forget claims, and whoever made them goes on with epochs that the
/// database would give again.
#[tokio::test]
async fn who_claimed_what_the_database_forgot_writes_nothing_after_it_was_rejoined() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    for forgotten in 1..4 {
        let claimed = rig.claim(&replica).await.unwrap();
        let forget = format!(
            "UPDATE tenantd.tenants SET lease_epoch = lease_epoch - {forgotten}, lease_holder = NULL,
                                        leased_at = NULL, lease_expires_at = NULL"
        );
        sqlx::query(sqlx::AssertSqlSafe(forget)).execute(rig.pool()).await.unwrap();

        replica.store.rejoin("a failover", SETTLE).await.unwrap();

        let given_back = replica.store.give_back(claimed.tenant_id, claimed.fence).await;
        assert!(given_back.is_err(), "{forgotten} claims were forgotten, and the fence holds: {claimed:?}");
        rig.advance(SETTLE * 2).await;
    }
}
