//! What an owner's edit of a ready tenant does, and what a consumer's word ends.

use tenantd::ports::Clock;

use crate::support::rig::{OVERLAP, Replica, Rig};

const ROTATE: &str = "UPDATE tenantd.tenants SET desired_version = desired_version + 1";

async fn ready() -> (Rig, Replica) {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    (rig, replica)
}

/// Versions that consumers see, with their stages.
async fn seen(rig: &Rig) -> Vec<(i32, String)> {
    sqlx::query_as("SELECT version, stage FROM tenantd.credentials ORDER BY version DESC")
        .fetch_all(rig.pool())
        .await
        .unwrap()
}

/// Live secrets at Qlik.
fn live(rig: &Rig) -> usize {
    rig.world.at(rig.clock.now()).ledger().live_secrets
}

fn stages(stages: &[(i32, &str)]) -> Vec<(i32, String)> {
    stages.iter().map(|(version, stage)| (*version, (*stage).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_version_rotates_at_once_and_the_old_one_serves_until_the_overlap_is_over() {
    let (rig, replica) = ready().await;

    rig.write(ROTATE).await;
    assert!(rig.until_due().await.unwrap().is_zero());
    rig.work_once(&replica).await;

    assert_eq!((seen(&rig).await, live(&rig)), (stages(&[(2, "current"), (1, "previous")]), 2));
    assert_eq!(rig.until_due().await, Some(OVERLAP));
    rig.work_until_quiet(&replica).await;
    assert_eq!((seen(&rig).await, live(&rig)), (stages(&[(2, "current")]), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_far_ahead_is_one_rotation_and_the_number_is_the_owners() {
    let (rig, replica) = ready().await;

    rig.write("UPDATE tenantd.tenants SET desired_version = 7").await;
    rig.work_once(&replica).await;

    assert_eq!((seen(&rig).await, live(&rig)), (stages(&[(7, "current"), (1, "previous")]), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rotating_again_within_the_overlap_keeps_every_secret_its_time() {
    let (rig, replica) = ready().await;

    for _ in 0..2 {
        rig.write(ROTATE).await;
        rig.work_once(&replica).await;
        rig.advance(OVERLAP / 4).await;
    }

    assert_eq!(seen(&rig).await, stages(&[(3, "current"), (2, "previous"), (1, "previous")]));
    assert_eq!(rig.until_due().await, Some(OVERLAP / 2), "the first retires");
    rig.work_once(&replica).await;
    assert_eq!(seen(&rig).await, stages(&[(3, "current"), (2, "previous")]));
    assert_eq!(rig.until_due().await, Some(OVERLAP / 4), "then the second");
    rig.work_until_quiet(&replica).await;
    assert_eq!((seen(&rig).await, live(&rig)), (stages(&[(3, "current")]), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_version_lets_the_previous_ones_go_at_once() {
    let (rig, replica) = ready().await;
    rig.write(ROTATE).await;
    rig.work_once(&replica).await;
    let mut work = sqlx::postgres::PgListener::connect(&rig.db.url).await.unwrap();
    work.listen("tenantd_work").await.unwrap();

    rig.write("SELECT tenantd.acknowledge('acme', 2)").await;

    let woken = tokio::time::timeout(std::time::Duration::from_secs(5), work.recv()).await;
    assert_eq!(woken.expect("the daemon is called").unwrap().payload(), "");
    assert!(rig.until_due().await.unwrap().is_zero());
    rig.work_once(&replica).await;
    assert_eq!((seen(&rig).await, live(&rig)), (stages(&[(2, "current")]), 1));
    assert_eq!(rig.until_due().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_ready_tenant_is_due_at_once_and_changes_its_client() {
    let (rig, replica) = ready().await;

    rig.write(
        "UPDATE tenantd.tenants SET client_name = 'Portal', redirect_uris = '{https://new.example/cb}'",
    )
    .await;
    let is_noted: bool = sqlx::query_scalar("SELECT edited_at = tenantd.clock() FROM tenantd.tenants")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert!(is_noted && rig.until_due().await.unwrap().is_zero());
    rig.work_once(&replica).await;

    let ledger = rig.world.at(rig.clock.now()).ledger();
    let client = ledger.live_clients_of("acme.us.qlikcloud.com").next().unwrap();
    assert_eq!(
        (client.name.as_str(), client.draft.redirect_uris.join(" ").as_str()),
        ("Portal", "https://new.example/cb")
    );
    let row: (bool, bool, Vec<String>) =
        sqlx::query_as("SELECT edited_at IS NULL, due_at IS NULL, drift FROM tenantd.tenants")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert_eq!(row, (true, true, vec![]));
}

/// Nothing of the client depends on them.
#[tokio::test(flavor = "multi_thread")]
async fn labels_and_priority_of_a_ready_tenant_make_no_work() {
    let (rig, _) = ready().await;

    rig.write(
        "UPDATE tenantd.tenants SET labels = '{\"plan\": \"gold\"}', priority = 9, desired_version = 1",
    )
    .await;

    assert_eq!(rig.until_due().await, None);
}
