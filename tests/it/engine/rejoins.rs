//! A rejoin counts at once, and rows are woken in slices.

use sqlx::AssertSqlSafe;
use tenantd::domain::machine::Next;
use tenantd::domain::waiting::BlockerKind;
use tenantd::postgres::work::commit::Answer;

use super::rig;
use crate::support::rig::{LEASE, Replica, Rig, SETTLE};

/// What a process leaves that was killed right after it had recognised a restored database.
const REJOIN: &str = "
    UPDATE tenantd.installation
       SET rejoin_epoch = rejoin_epoch + 1, rejoined_at = tenantd.clock(), deletions_held_at = tenantd.clock(),
           held_reason = 'a restore';
    INSERT INTO tenantd.passes (pass, asked, since) VALUES ('distrust', '1', tenantd.clock())";
const PLENTY: u32 = 1_000;

async fn text(rig: &Rig, query: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(rig.pool()).await.unwrap()
}

async fn claimable(rig: &Rig, replica: &Replica) -> usize {
    rig.write("UPDATE tenantd.tenants SET due_at = tenantd.clock()").await;
    replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap().rows.len()
}

#[tokio::test]
async fn a_rejoin_is_part_of_every_fence_before_any_row_is_woken() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let claimed = rig.claim(&replica).await.unwrap();
    let (tenant, fence) = (claimed.tenant_id, claimed.fence);
    let mut work = replica.admit(claimed).unwrap();
    let Next::Do(effect) = work.next() else { panic!("it is to be created") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();
    let write = judged.write(&work);

    rig.write(REJOIN).await;

    let answers = replica.store.commit(&[&write]).await.unwrap();
    assert!(matches!(answers[..], [Answer::Fenced]), "{answers:?}");
    assert!(replica.store.renew(&[(tenant, fence)], LEASE).await.unwrap().is_empty(), "it is lost");
    assert!(replica.store.give_back(tenant, fence).await.is_err(), "what it sent is to settle");
    assert!(replica.store.allow_repair(tenant, fence).await.unwrap().is_none());
    assert!(!replica.store.park_defect(tenant, Some(fence.epoch), SETTLE, "m").await.unwrap());
    rig.advance(LEASE * 2).await;
    assert_eq!(claimable(&rig, &replica).await, 0, "its lease is over, and it was not woken");
    assert_eq!(replica.store.due_ids(&replica.terms.claim_terms(), 10).await.unwrap(), []);
    assert_eq!(replica.store.lease_one(tenant, LEASE).await.unwrap(), None);
    let explained = replica.store.explain("acme", &replica.terms.claim_terms()).await.unwrap().unwrap();
    assert!(explained.blockers().iter().any(|blocker| blocker.kind == BlockerKind::Rejoining));
    let rejoining = replica.store.rejoining().await.unwrap();
    assert_eq!((rejoining.to_wake, rejoining.to_look_at), (1, 1), "an agreement is refused");

    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 1);

    assert_eq!(replica.store.rejoining().await.unwrap().to_wake, 0);
    let row =
        "SELECT concat_ws(' ', must_look, unanswered, settles_at > tenantd.clock()) FROM tenantd.tenants";
    assert_eq!(text(&rig, row).await, "t create t", "what was sent may still land");
    assert_eq!(claimable(&rig, &replica).await, 1);
    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 0);
}

#[tokio::test]
async fn rows_are_woken_in_slices_and_who_goes_on_begins_where_the_last_one_ended() {
    const TENANTS: u64 = 2_500;
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    rig.write(format!(
        "SET session_replication_role = replica;
         INSERT INTO tenantd.tenants (external_id, host, phase, client_id, current_version, ready_at, region, due_at, lease_epoch)
         SELECT 't' || n, 't' || n || '.us.qlikcloud.com', 'ready', 'c', 1, tenantd.clock(), 'us', NULL, 1
           FROM generate_series(1, {TENANTS}) AS n;
         RESET session_replication_role;
         SELECT tenantd.recount()"
    ))
    .await;
    rig.write(REJOIN).await;
    let slice = async || replica.store.wake_distrusted(SETTLE, 1).await.unwrap();

    assert_eq!((slice().await, slice().await), (1_000, 1_000), "one slice each time");
    let left = "SELECT count(*)::text FROM tenantd.tenants WHERE rejoin_epoch = 0 AND NOT must_look AND due_at IS NULL";
    assert_eq!(text(&rig, left).await, "500");
    assert_eq!(replica.store.rejoining().await.unwrap().to_wake, 500);
    // Another rejoin begins anew.
    rig.write("UPDATE tenantd.installation SET rejoin_epoch = 2").await;
    rig.write("UPDATE tenantd.passes SET asked = '2', resume_after = NULL WHERE pass = 'distrust'").await;

    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), TENANTS);

    let woken = "SELECT count(*)::text FROM tenantd.tenants
                  WHERE rejoin_epoch = 2 AND must_look AND due_at <= tenantd.clock() AND lease_epoch > 1000000";
    assert_eq!(text(&rig, woken).await, TENANTS.to_string());
    assert_eq!(slice().await, 0);
}

#[tokio::test]
async fn a_row_that_somebody_has_locked_holds_up_no_rejoin_and_is_woken_when_it_is_free() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for name in ["acme", "beta"] {
        rig.given_tenant(name).await;
        rig.work_until_quiet(&replica).await;
    }
    let mut pipeline = rig.pool().begin().await.unwrap();
    let lock = "SELECT FROM tenantd.tenants WHERE external_id = 'acme' FOR UPDATE";
    sqlx::query(lock).execute(&mut *pipeline).await.unwrap();

    assert_eq!(replica.store.rejoin("a failover", SETTLE).await.unwrap(), 1, "all but the one");

    assert_eq!(replica.store.rejoining().await.unwrap().to_wake, 1);
    pipeline.commit().await.unwrap();
    assert_eq!(claimable(&rig, &replica).await, 1);
    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 1);
    assert_eq!(claimable(&rig, &replica).await, 1);
    let looks = "SELECT bool_and(must_look)::text FROM tenantd.tenants";
    assert_eq!(text(&rig, looks).await, "true");
}

/// An INSERT may have begun before the rejoin and be committed after the last slice; and what was
/// never claimed here may have been claimed in what the database forgot.
#[tokio::test]
async fn a_row_that_was_never_claimed_is_looked_at_by_its_first_claim_and_fenced_like_any_other() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    let mut pipeline = rig.pool().begin().await.unwrap();
    let insert = "INSERT INTO tenantd.tenants (external_id, host) VALUES ('late', 'late.us.qlikcloud.com')";
    sqlx::query(insert).execute(&mut *pipeline).await.unwrap();
    replica.store.rejoin("a failover", SETTLE).await.unwrap();
    pipeline.commit().await.unwrap();
    rig.given_tenant("new").await;

    let claimed = replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap().rows;

    assert_eq!(claimed.len(), 2);
    let rows =
        "SELECT string_agg(concat_ws(' ', external_id, rejoin_epoch, must_look, lease_epoch > 1000000), ', '
                                  ORDER BY external_id) FROM tenantd.tenants";
    assert_eq!(text(&rig, rows).await, "late 1 t t, new 1 f f");
}

/// It fences by rows alone, and would claim one that no slice has reached.
#[tokio::test]
async fn a_daemon_of_the_version_before_waits_until_every_row_is_woken() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let asked = async |function: &str| {
        let asked = format!("SELECT tenantd.{function}()");
        let answer = sqlx::query(AssertSqlSafe(asked)).execute(rig.pool()).await;
        answer.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
    };
    rig.write(REJOIN).await;

    assert_eq!(asked("assert_recognised").await.as_deref(), Some("TD001"));
    assert_eq!(asked("assert_place").await, None);

    replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap();
    assert_eq!(asked("assert_recognised").await, None);
}

#[tokio::test]
async fn whoever_empties_the_passes_keeps_no_row_asleep() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    rig.write(REJOIN).await;
    rig.write("TRUNCATE tenantd.passes").await;

    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 1);
}
