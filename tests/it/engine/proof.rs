//! A new credential that gets no token: lag at first, then one fresh secret, then people.

use std::time::Duration;

use tenantd::ports::Clock;
use tenantd::simulator::{Behaviour, Endpoint, Fault, FaultPlan};

use tenantd::vault::KeyKind;

use super::{assert_whole, host_of, ledger, rig, rig_with, row, stored, work_next};
use crate::support::rig::{Replica, Rig, terms};

fn lagging(minutes: u64) -> Behaviour {
    Behaviour { secret_lag: Duration::from_mins(minutes), ..Behaviour::default() }
}

async fn open_breakers(rig: &Rig) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM tenantd.regions WHERE opened_at IS NOT NULL")
        .fetch_one(rig.pool())
        .await
        .unwrap()
}

/// One that opens what it sealed, and one that cannot.
async fn both_kinds(rig: &Rig) -> [Replica; 2] {
    [rig.replica().await, rig.replica_with(terms(), KeyKind::P256).await]
}

#[tokio::test]
async fn a_refused_proof_costs_no_secret_whether_or_not_the_daemon_can_open_it() {
    for kind in [0, 1] {
        let rig = rig_with(lagging(5)).await;
        let replica = both_kinds(&rig).await.into_iter().nth(kind).unwrap();
        let host = rig.given_tenant("acme").await;
        rig.world.script(
            &host,
            Endpoint::ClientToken,
            [Fault::status(503), Fault::none(), Fault::status(500)],
        );

        rig.work_until_quiet(&replica).await;

        assert_whole(&rig, &replica, "acme").await;
        assert_eq!(ledger(&rig).secrets_made, 1, "kind {kind}");
    }
}

#[tokio::test]
async fn daemons_that_only_seal_and_take_turns_end_in_a_park_and_not_in_secrets_without_end() {
    let rig = rig_with(lagging(60 * 24 * 100)).await;
    rig.given_tenant("acme").await;
    let mut turns = 0;

    while row(&rig, "acme").await.parked_reason.is_none() {
        // Each a new process, which holds nothing in hand.
        let replica = rig.replica_with(terms(), KeyKind::P256).await;
        assert!(work_next(&rig, &replica).await);
        turns += 1;
        assert!(turns < 100, "no end after {turns} turns");
    }

    assert_eq!(row(&rig, "acme").await.parked_reason.as_deref(), Some("ProofRefused"));
    assert!(ledger(&rig).most_secrets <= 2, "they do not pile up");
}

#[tokio::test]
async fn a_secret_that_is_only_slow_is_waited_for_and_no_second_is_made() {
    let rig = rig_with(lagging(5)).await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;

    assert!(work_next(&rig, &replica).await);
    let waiting = row(&rig, "acme").await;
    rig.work_until_quiet(&replica).await;

    assert_eq!(waiting.wait_reason.as_deref(), Some("ProofRefused"));
    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).secrets_made, 1);
    assert!(rig.clock.elapsed() < Duration::from_mins(7), "it was proven soon after it worked");
}

#[tokio::test]
async fn a_secret_that_never_works_is_replaced_once_and_deleted_by_its_hint() {
    let rig = rig_with(lagging(15)).await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let start = rig.clock.elapsed();

    while ledger(&rig).secrets_made < 2 {
        assert!(work_next(&rig, &replica).await);
    }
    let replaced_after = rig.clock.elapsed().saturating_sub(start);
    rig.world.reshape(|behaviour| behaviour.secret_lag = Duration::ZERO);
    rig.work_until_quiet(&replica).await;

    assert!(replaced_after >= Duration::from_mins(10), "it was patient: {replaced_after:?}");
    assert_whole(&rig, &replica, "acme").await;
    let secrets = &ledger(&rig).tenants[&host].clients[0].secrets;
    assert_eq!(secrets.len(), 2);
    assert!(secrets[0].deleted_at.is_some() && secrets[1].deleted_at.is_none());
}

#[tokio::test]
async fn two_secrets_that_never_work_park_the_tenant_and_no_third_is_made() {
    let rig = rig_with(lagging(60 * 24 * 100)).await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;

    rig.work_until_quiet(&replica).await;

    let parked = row(&rig, "acme").await;
    assert_eq!(parked.parked_reason.as_deref(), Some("ProofRefused"));
    let message = parked.message.unwrap();
    assert!(message.contains("status 401") && message.contains("tenantd tenant retry"), "{message}");
    let ledger = ledger(&rig);
    assert_eq!(ledger.secrets_made, 2);
    let (known, client) = (stored(&rig, "acme").await, &ledger.tenants[&host].clients[0]);
    let unknown = client.live_secrets().filter(|s| !known.iter().any(|k| k.hint.as_ref() == Some(&s.hint)));
    assert_eq!(unknown.count(), 0);
    assert_eq!(open_breakers(&rig).await, 0);
}

#[tokio::test]
async fn a_client_that_is_not_authorized_is_a_refused_proof_too() {
    for status in [400, 401, 403] {
        let rig = rig().await;
        let replica = rig.replica().await;
        rig.given_tenant("acme").await;
        let plan = FaultPlan::none().with_share(Endpoint::ClientToken, 1.0, Fault::status(status));
        rig.world.plan_faults(|faults| *faults = plan);

        rig.work_until_quiet(&replica).await;

        assert_eq!(row(&rig, "acme").await.parked_reason.as_deref(), Some("ProofRefused"), "{status}");
        assert_eq!((ledger(&rig).secrets_made, open_breakers(&rig).await), (2, 0), "{status}");
    }
}

#[tokio::test]
async fn a_parked_proof_that_is_retried_has_its_patience_anew_and_completes() {
    let rig = rig_with(lagging(60 * 24 * 100)).await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;

    rig.world.reshape(|behaviour| behaviour.secret_lag = Duration::ZERO);
    assert!(replica.store.retry("acme").await.unwrap());
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).secrets_made, 2);
}

#[tokio::test]
async fn where_the_last_secret_may_not_be_deleted_the_new_one_is_minted_first() {
    let rig = rig_with(Behaviour { delete_last_secret: false, ..lagging(15) }).await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;

    while ledger(&rig).secrets_made < 2 {
        assert!(work_next(&rig, &replica).await, "{:?}", row(&rig, "acme").await);
    }
    rig.world.reshape(|behaviour| behaviour.secret_lag = Duration::ZERO);
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).tenants[&host_of("acme")].clients[0].secrets.len(), 2);
}
