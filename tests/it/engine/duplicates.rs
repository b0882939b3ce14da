//! One client per tenant, also when Qlik makes two.

use tenantd::simulator::{Endpoint, Fault};

use super::{assert_whole, host_of, ledger, rig, row, work_next};
use crate::support::rig::SETTLE;

#[tokio::test]
async fn a_create_that_lands_later_than_it_should_loses_to_the_committed_client() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::late(SETTLE + SETTLE / 2)]);

    while row(&rig, "acme").await.phase != "ready" {
        assert!(work_next(&rig, &replica).await);
    }
    let committed = row(&rig, "acme").await.client_id;
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).tenants[&host].clients.len(), 2, "the late one was made too");
    assert_eq!(row(&rig, "acme").await.client_id, committed);
    assert!(!row(&rig, "acme").await.is_recheck_planned);
}

#[tokio::test]
async fn of_two_lost_creates_that_both_landed_the_older_is_adopted_and_the_other_deleted() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let lost = [Fault::late(SETTLE + SETTLE / 2), Fault::close_after()];
    rig.world.script(&host, Endpoint::CreateClient, lost);

    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    let made = &ledger(&rig).tenants[&host].clients;
    let oldest = made.iter().min_by_key(|client| client.created_at).unwrap();
    assert_eq!(made.len(), 2);
    assert_eq!(oldest.deleted_at, None);
}

#[tokio::test]
async fn a_surplus_client_that_cannot_be_deleted_is_tried_again_and_never_parks_a_ready_tenant() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::late(SETTLE + SETTLE / 2)]);
    let refused = [Fault::status(503), Fault::status(400), Fault::status(409), Fault::close_before()];
    rig.world.script(&host, Endpoint::DeleteClient, refused);
    rig.world.script(&host, Endpoint::ListClients, [Fault::none(), Fault::status(400), Fault::status(500)]);

    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).calls_of(Endpoint::DeleteClient, Some(204)), 1);
}

#[tokio::test]
async fn a_tenant_whose_create_was_answered_is_never_rechecked() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;

    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).calls_of(Endpoint::ListClients, Some(200)), 0);
    assert_eq!(ledger(&rig).tenants[&host_of("acme")].clients.len(), 1);
}
