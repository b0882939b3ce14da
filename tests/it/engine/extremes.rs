//! Numbers at their end: a tenant that has no next version harms no other, and can still
//! be removed, forgotten and begun anew.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantd::postgres::operator::rollback::Twice;
use tenantd::vault::KeyKind;

use super::{by_hand, host_of, ledger, rig, work_due};
use crate::support::rig::{Replica, Rig, SETTLE, terms};

const DAY: Duration = Duration::from_hours(24);
const LAST: i32 = i32::MAX;

/// Tenants at rest, these of them at the last version: as an older schema may have left
/// them, or a hand that sidesteps it.
async fn worn(rig: &Rig, replica: &Replica, fresh: &[&str], worn: &[&str]) {
    for name in fresh.iter().chain(worn) {
        rig.given_tenant(name).await;
    }
    work_due(rig, replica).await;
    for name in worn {
        let statements = format!(
            "BEGIN; SET LOCAL session_replication_role = replica;
             UPDATE tenantd.secrets SET version = {LAST} WHERE standing = 'current'
                AND tenant_id = (SELECT tenant_id FROM tenantd.tenants WHERE external_id = '{name}');
             UPDATE tenantd.tenants SET desired_version = {LAST}, current_version = {LAST}
              WHERE external_id = '{name}'; COMMIT"
        );
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(rig.pool()).await.unwrap();
    }
}

/// Phase, reason, current and desired version of each tenant, by name.
async fn standings(rig: &Rig) -> Vec<(String, String, Option<String>, Option<i32>, i32)> {
    sqlx::query_as(
        "SELECT t.external_id, s.phase, s.reason, t.current_version, t.desired_version
           FROM tenantd.status AS s JOIN tenantd.tenants AS t USING (tenant_id) ORDER BY 1",
    )
    .fetch_all(rig.pool())
    .await
    .unwrap()
}

fn standing(
    name: &str,
    phase: &str,
    current: Option<i32>,
    desired: i32,
) -> (String, String, Option<String>, Option<i32>, i32) {
    (name.to_owned(), phase.to_owned(), None, current, desired)
}

#[tokio::test]
async fn renewals_by_age_pass_over_a_tenant_that_has_no_next_version() {
    let rig = rig().await;
    let mut terms = terms();
    terms.rotate_every = Some(30 * DAY);
    terms.policy.overlap = 7 * DAY;
    let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
    worn(&rig, &replica, &["a", "z"], &["m"]).await;

    rig.advance(40 * DAY).await;
    for _ in 0..10 {
        replica.roll_out().await.unwrap();
        work_due(&rig, &replica).await;
        rig.advance(Duration::from_mins(1)).await;
    }

    let expected = [
        standing("a", "ready", Some(2), 1),
        standing("m", "ready", Some(LAST), LAST),
        standing("z", "ready", Some(2), 1),
    ];
    assert_eq!(standings(&rig).await, expected);
}

#[tokio::test]
async fn a_tenant_without_a_next_version_is_refused_a_rotation_and_a_rollback_by_name() {
    let rig = rig().await;
    let replica = rig.replica().await;
    worn(&rig, &replica, &[], &["m"]).await;
    sqlx::query(
        "INSERT INTO tenantd.secrets (tenant_id, client_id, hint, sealed, key_id, standing, version, proven_at)
         SELECT tenant_id, client_id, 'earlier', sealed, key_id, 'previous', 7, proven_at FROM tenantd.secrets",
    )
    .execute(rig.pool())
    .await
    .unwrap();

    let rotated = replica.store.rotate("m").await.unwrap_err().to_string();
    let rolled_back =
        replica.store.roll_back("m", DAY, "somebody", Twice::Allowed).await.unwrap_err().to_string();

    for said in [rotated, rolled_back] {
        assert!(said.contains("the versions of this tenant are used up"), "{said}");
    }
    assert_eq!(standings(&rig).await, [standing("m", "ready", Some(LAST), LAST)]);
}

#[tokio::test]
async fn a_tenant_at_the_last_version_is_removed_forgotten_and_comes_back() {
    let rig = rig().await;
    let replica = rig.replica().await;
    worn(&rig, &replica, &[], &["deleted", "forgotten", "removed"]).await;

    sqlx::query("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id <> 'forgotten'")
        .execute(rig.pool())
        .await
        .unwrap();
    replica.store.forget("forgotten", "the host is gone", "somebody").await.unwrap().unwrap();
    replica.admit_removals().await.unwrap();
    work_due(&rig, &replica).await;
    for (name, phase, _, current, desired) in standings(&rig).await {
        assert_eq!((phase.as_str(), current, desired), ("removed", None, LAST), "{name}");
    }

    // Until its last look the row is kept.
    rig.advance(SETTLE * 3).await;
    work_due(&rig, &replica).await;
    sqlx::query("DELETE FROM tenantd.tenants WHERE external_id = 'deleted'")
        .execute(rig.pool())
        .await
        .unwrap();
    sqlx::query("UPDATE tenantd.tenants SET desired_state = 'present'").execute(rig.pool()).await.unwrap();
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host) VALUES ('deleted', 'deleted.us.qlikcloud.com')",
    )
    .execute(rig.pool())
    .await
    .unwrap();
    work_due(&rig, &replica).await;

    let expected = ["deleted", "forgotten", "removed"].map(|name| standing(name, "ready", Some(LAST), LAST));
    assert_eq!(standings(&rig).await, expected);
}

#[tokio::test]
async fn a_secret_that_is_lost_at_the_last_version_parks_its_tenant_alone_and_says_why() {
    let rig = rig().await;
    let replica = rig.replica().await;
    worn(&rig, &replica, &["a"], &["m"]).await;

    // As when a person deletes the secret in the console.
    let host = host_of("m");
    let ledger = ledger(&rig);
    let client = ledger.live_clients_of(&host).next().unwrap();
    let hint = &client.live_secrets().next().unwrap().hint;
    by_hand(&rig, &host, |moment, caller| moment.delete_secret(caller, &client.client_id, hint)).unwrap();
    sqlx::query("UPDATE tenantd.tenants SET must_look = true, due_at = tenantd.clock()")
        .execute(rig.pool())
        .await
        .unwrap();
    work_due(&rig, &replica).await;

    let rows = standings(&rig).await;
    assert_eq!(rows[0], standing("a", "ready", Some(1), 1));
    assert_eq!(rows[1].2.as_deref(), Some("Defect"), "{rows:?}");
    let message: String = sqlx::query_scalar("SELECT message FROM tenantd.status WHERE external_id = 'm'")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert!(message.contains("the versions of this tenant are used up"), "{message}");
}
