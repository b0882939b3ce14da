//! What an owner's edits do: corrections take effect, and what is fixed stays fixed.

use tenantd::ports::Clock;

use crate::support::postgres::test_db;
use crate::support::rig::Rig;
use crate::support::roles::Refused;

use super::given_ready;

/// Phase, reason and region of a row.
async fn stand(rig: &Rig, name: &str) -> (String, Option<String>, String) {
    sqlx::query_as(
        "SELECT s.phase, s.reason, t.region FROM tenantd.status AS s JOIN tenantd.tenants AS t USING (tenant_id)
          WHERE s.external_id = $1",
    )
    .bind(name)
    .fetch_one(rig.pool())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_host_un_parks_the_row_and_finds_its_region_anew() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.write("UPDATE tenantd.tenants SET host = 'acme.elsewhere.example'").await;
    rig.work_until_quiet(&replica).await;
    let parked = stand(&rig, "acme").await;

    rig.write("UPDATE tenantd.tenants SET host = 'acme.us.qlikcloud.com'").await;
    let corrected = stand(&rig, "acme").await;
    rig.work_until_quiet(&replica).await;

    assert_eq!(parked, ("pending".into(), Some("HostNotAllowed".into()), String::new()));
    assert_eq!(corrected, ("pending".into(), Some("Queued".into()), String::new()));
    assert_eq!(stand(&rig, "acme").await, ("ready".into(), None, "us".into()));
}

/// It was sorted into a region whose breaker is open, and so given back.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_moved_to_another_host_no_longer_waits_for_the_old_ones_region() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.write(
        "UPDATE tenantd.regions SET opened_at = tenantd.clock(), probe_at = tenantd.clock();
         UPDATE tenantd.tenants SET region = 'us'",
    )
    .await;
    assert_eq!(replica.store.claim(&replica.terms.claim_terms(), 1).await.unwrap().rows.len(), 0);

    rig.write("UPDATE tenantd.tenants SET host = 'acme.elsewhere.example'").await;
    rig.work_once(&replica).await;

    assert_eq!(stand(&rig, "acme").await.1.as_deref(), Some("HostNotAllowed"));
}

/// A daemon holds the row and has found its host not allowed, but not said so yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_on_the_old_host_never_parks_the_corrected_row() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.write("UPDATE tenantd.tenants SET host = 'acme.elsewhere.example'").await;
    let claimed = rig.claim(&replica).await.unwrap();

    rig.write("UPDATE tenantd.tenants SET host = 'acme.us.qlikcloud.com'").await;
    rig.work_on(&replica, claimed).await;

    assert_eq!(stand(&rig, "acme").await, ("pending".into(), Some("Queued".into()), String::new()));
    rig.work_until_quiet(&replica).await;
    assert_eq!(stand(&rig, "acme").await, ("ready".into(), None, "us".into()));
}

/// From the first intent on a request may be under way, and its secret must be kept.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_never_costs_a_worker_its_lease_once_something_may_have_been_sent() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let claimed = rig.claim(&replica).await.unwrap();

    rig.write("UPDATE tenantd.tenants SET client_name = 'Portal', not_before = 'tomorrow'").await;
    rig.work_on(&replica, claimed).await;

    // What it has done counts, and whoever goes on has heard the edit.
    assert_eq!(stand(&rig, "acme").await.0, "created");
    rig.work_until_quiet(&replica).await;
    assert_eq!(stand(&rig, "acme").await.0, "ready");
    assert_eq!(rig.world.at(rig.clock.now()).ledger().secrets_made, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_profile_un_parks_the_row() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.write("UPDATE tenantd.tenants SET profile = 'tpyo'").await;
    rig.work_until_quiet(&replica).await;
    let parked = stand(&rig, "acme").await.1;

    rig.write("UPDATE tenantd.tenants SET profile = 'default'").await;
    rig.work_until_quiet(&replica).await;

    assert_eq!(parked.as_deref(), Some("UnknownProfile"));
    assert_eq!(stand(&rig, "acme").await.0, "ready");
}

/// Its profile went from the configuration between its first create and a look.
#[tokio::test]
async fn a_corrected_profile_un_parks_a_row_that_was_already_on_its_way() {
    let db = test_db().await;
    given_ready(&db.pool, "acme").await;
    db.write(
        "UPDATE tenantd.tenants SET phase = 'creating', client_id = NULL, current_version = NULL,
                                    parked_reason = 'UnknownProfile', message = 'm'",
    )
    .await;

    db.write("UPDATE tenantd.tenants SET profile = 'other'").await;

    let is_due: bool = sqlx::query_scalar(
        "SELECT due_at <= tenantd.clock() FROM tenantd.tenants WHERE parked_reason IS NULL",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert!(is_due);
}

#[tokio::test]
async fn a_correction_of_one_thing_does_not_un_park_another() {
    let db = test_db().await;
    for (reason, edit) in [
        ("HostNotAllowed", "profile = 'other'"),
        ("UnknownProfile", "host = 'b.us.qlikcloud.com'"),
        ("HostNotAllowed", "host = host, profile = profile"),
        ("GaveUp", "host = 'c.us.qlikcloud.com', profile = 'third'"),
    ] {
        db.write(format!(
            "INSERT INTO tenantd.tenants (external_id, host) VALUES ('acme', 'a.us.qlikcloud.com')
                 ON CONFLICT DO NOTHING;
                 UPDATE tenantd.tenants SET parked_reason = '{reason}', message = 'm', due_at = NULL"
        ))
        .await;

        db.write(format!("UPDATE tenantd.tenants SET {edit}")).await;

        let parked: Option<String> = sqlx::query_scalar("SELECT parked_reason FROM tenantd.tenants")
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(parked.as_deref(), Some(reason), "{edit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_fixed_from_the_first_intent_on() {
    let rig = Rig::plain().await;
    rig.given_tenant("acme").await;
    rig.claim(&rig.replica().await).await.unwrap();

    let edit = "UPDATE tenantd.tenants SET host = 'other.us.qlikcloud.com'";
    let refused = sqlx::query(edit).execute(rig.pool()).await.unwrap_err();
    rig.write("UPDATE tenantd.tenants SET host = host").await;

    let constraint = Some("host_is_fixed_after_first_intent".to_owned());
    assert_eq!(Refused::from(&refused), Refused { code: "23514".into(), constraint });
}

#[tokio::test]
async fn lowering_the_desired_version_is_ignored() {
    let db = test_db().await;
    given_ready(&db.pool, "acme").await;
    let mut seen = Vec::new();
    for wanted in [3, 2, 3, 1, 7] {
        db.write(format!("UPDATE tenantd.tenants SET desired_version = {wanted}")).await;
        let version: i32 = sqlx::query_scalar("SELECT desired_version FROM tenantd.tenants")
            .fetch_one(&db.pool)
            .await
            .unwrap();
        seen.push(version);
    }
    assert_eq!(seen, [3, 3, 3, 3, 7]);
}
