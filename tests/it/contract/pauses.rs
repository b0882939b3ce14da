//! Pauses: of a row, of a region, of the fleet. Nothing is claimed, and the status says
//! who wanted it and when it ends.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use crate::support::rig::{Replica, Rig};

const MINUTE: Duration = Duration::from_mins(1);

async fn rig() -> (Rig, Replica) {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.write("UPDATE tenantd.tenants SET region = 'us'").await;
    (rig, replica)
}

/// Whether it is paused, the reason, and seconds since the beginning and until the next attempt.
async fn stand(rig: &Rig) -> (bool, String, i64, Option<i64>) {
    sqlx::query_as(
        "SELECT paused, reason, extract(epoch FROM tenantd.clock() - since)::bigint,
                extract(epoch FROM next_attempt_at - tenantd.clock())::bigint
           FROM tenantd.status",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap()
}

async fn message(rig: &Rig) -> String {
    sqlx::query_scalar("SELECT message FROM tenantd.status").fetch_one(rig.pool()).await.unwrap()
}

async fn is_claimed(rig: &Rig, replica: &Replica) -> bool {
    let claims = replica.store.claim(&replica.terms.claim_terms(), 1).await.unwrap();
    let is_any = claims.rows.iter().any(|claimed| !claimed.tenant.is_resting);
    if let Some(claimed) = claims.rows.first() {
        replica.store.give_back(claimed.tenant_id, claimed.fence).await.unwrap();
        rig.write(
            "UPDATE tenantd.tenants SET phase = 'pending', unanswered = NULL, due_at = tenantd.clock()",
        )
        .await;
    }
    is_any
}

const ROW: &str = "UPDATE tenantd.tenants SET paused_at = tenantd.clock(), pause_reason = 'audit'";
const ROW_FOR_5_MINUTES: &str = "UPDATE tenantd.tenants
    SET paused_at = tenantd.clock(), pause_reason = 'audit', paused_until = tenantd.clock() + interval '5 minutes'";
const REGION: &str =
    "INSERT INTO tenantd.pauses (region, reason, paused_at) VALUES ('us', 'incident', tenantd.clock())";
const FLEET: &str =
    "INSERT INTO tenantd.pauses (region, reason, paused_at) VALUES ('*', 'freeze', tenantd.clock())";
const FLEET_FOR_9_MINUTES: &str = "INSERT INTO tenantd.pauses (region, reason, paused_at, paused_until)
    VALUES ('*', 'freeze', tenantd.clock(), tenantd.clock() + interval '9 minutes')";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_pauses_a_row_keeps_the_daemon_away_and_is_told() {
    for (pauses, next) in [
        (vec![ROW], None),
        (vec![ROW_FOR_5_MINUTES], Some(240)),
        (vec![REGION], None),
        (vec![FLEET], None),
        (vec![FLEET_FOR_9_MINUTES], Some(480)),
        (vec![FLEET_FOR_9_MINUTES, REGION], None),
        // What lasts longer decides.
        (vec![ROW_FOR_5_MINUTES, FLEET_FOR_9_MINUTES], Some(480)),
        (vec![ROW_FOR_5_MINUTES, REGION], None),
        (vec![ROW, FLEET_FOR_9_MINUTES], None),
    ] {
        let (rig, replica) = rig().await;
        for pause in &pauses {
            rig.write(*pause).await;
        }
        rig.advance(MINUTE).await;

        assert_eq!(stand(&rig).await, (true, "Paused".into(), 60, next), "{pauses:?}");
        assert!(!is_claimed(&rig, &replica).await, "{pauses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself_or_when_it_is_taken_back() {
    let (rig, replica) = rig().await;
    rig.write(ROW_FOR_5_MINUTES).await;
    rig.write(FLEET_FOR_9_MINUTES).await;
    assert!(message(&rig).await.contains("paused by an operator: audit"));

    rig.advance(MINUTE * 5).await;
    assert!(
        message(&rig)
            .await
            .contains("the fleet is paused by an operator: freeze; `tenantd fleet resume` ends it")
    );
    assert!(!is_claimed(&rig, &replica).await);
    rig.advance(MINUTE * 4).await;
    assert_eq!(stand(&rig).await.1, "Queued");
    assert!(is_claimed(&rig, &replica).await);

    rig.write(REGION).await;
    assert!(!is_claimed(&rig, &replica).await);
    assert!(
        message(&rig).await.contains("`tenantd fleet resume --region us` ends it"),
        "{}",
        message(&rig).await
    );
    rig.write("DELETE FROM tenantd.pauses").await;
    assert!(is_claimed(&rig, &replica).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_regions_pause_is_none_of_this_ones() {
    let (rig, replica) = rig().await;
    rig.write("INSERT INTO tenantd.pauses (region, reason) VALUES ('eu', 'incident')").await;

    assert!(!stand(&rig).await.0);
    assert!(is_claimed(&rig, &replica).await);
}

/// A worker that is at it ends at its next step.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_stops_at_the_next_step_and_goes_on_after_it() {
    let (rig, replica) = rig().await;
    rig.write(
        "CREATE FUNCTION tenantd_test.pause() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW.paused_at := tenantd.clock(); NEW.pause_reason := 'audit'; RETURN NEW; END $$;
         CREATE TRIGGER pause BEFORE UPDATE ON tenantd.tenants
             FOR EACH ROW WHEN (NEW.phase = 'created' AND OLD.phase = 'creating')
             EXECUTE FUNCTION tenantd_test.pause()",
    )
    .await;

    rig.work_once(&replica).await;

    let row: (String, bool) = sqlx::query_as("SELECT phase, lease_holder IS NULL FROM tenantd.tenants")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(row, ("created".into(), true));
    rig.write("UPDATE tenantd.tenants SET paused_at = NULL, pause_reason = NULL").await;
    rig.work_until_quiet(&replica).await;
    let is_ready: bool =
        sqlx::query_scalar("SELECT ready FROM tenantd.status").fetch_one(rig.pool()).await.unwrap();
    assert!(is_ready);
}

/// So does one whose region or fleet is paused: once it is told, no further step begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_at_the_next_step_when_its_region_or_the_fleet_is_paused() {
    for whom in ["us", "*"] {
        let (rig, replica) = rig().await;
        let trigger = format!(
            "CREATE FUNCTION tenantd_test.pause() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 INSERT INTO tenantd.pauses (region, reason, paused_at) VALUES ('{whom}', 'freeze', tenantd.clock());
                 RETURN NULL;
             END $$;
             CREATE TRIGGER pause AFTER UPDATE ON tenantd.tenants
                 FOR EACH ROW WHEN (NEW.phase = 'creating' AND OLD.phase = 'pending')
                 EXECUTE FUNCTION tenantd_test.pause()"
        );
        sqlx::raw_sql(AssertSqlSafe(trigger)).execute(rig.pool()).await.unwrap();

        rig.work_once(&replica).await;

        // The pause began with the claim, so the next commit was told.
        let row: (String, bool) = sqlx::query_as("SELECT phase, lease_holder IS NULL FROM tenantd.tenants")
            .fetch_one(rig.pool())
            .await
            .unwrap();
        assert_eq!(row, ("created".into(), true), "{whom}");
        assert!(!is_claimed(&rig, &replica).await);
        rig.write("DELETE FROM tenantd.pauses").await;
        rig.work_until_quiet(&replica).await;
        let is_ready: bool =
            sqlx::query_scalar("SELECT ready FROM tenantd.status").fetch_one(rig.pool()).await.unwrap();
        assert!(is_ready, "{whom}");
    }
}
