//! A rejoin counts at once, and rows are woken in slices.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::types::Uuid;
use tenantd::domain::ids::{RegionName, TenantId};
use tenantd::domain::machine::Next;
use tenantd::domain::waiting::BlockerKind;
use tenantd::postgres::operator::rejoin::Agreed;
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
const HOUR: Duration = Duration::from_hours(1);

async fn text(rig: &Rig, query: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(rig.pool()).await.unwrap()
}

async fn given_at_rest(rig: &Rig, tenants: u64) {
    rig.write(format!(
        "SET session_replication_role = replica;
         INSERT INTO tenantd.tenants (external_id, host, phase, client_id, current_version, ready_at, region, due_at, lease_epoch)
         SELECT 't' || n, 't' || n || '.us.qlikcloud.com', 'ready', 'c', 1, tenantd.clock(), 'us', NULL, 1
           FROM generate_series(1, {tenants}) AS n;
         RESET session_replication_role;
         SELECT tenantd.recount()"
    ))
    .await;
}

/// What the version before hears when it asks whether it may work.
async fn refused(rig: &Rig, function: &str) -> Option<String> {
    let asked = format!("SELECT tenantd.{function}()");
    let answer = sqlx::query(AssertSqlSafe(asked)).execute(rig.pool()).await;
    answer.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
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
    assert_eq!((rejoining.to_wake, rejoining.to_look_at), (1, 1));
    assert_eq!(replica.store.agree_to_deletions().await.unwrap(), Agreed::NotWoken);
    assert!(replica.store.rejoining().await.unwrap().deletions_held_at.is_some());

    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 1);

    assert_eq!(replica.store.rejoining().await.unwrap().to_wake, 0);
    let row =
        "SELECT concat_ws(' ', must_look, unanswered, settles_at > tenantd.clock()) FROM tenantd.tenants";
    assert_eq!(text(&rig, row).await, "t create t", "what was sent may still land");
    assert_eq!(claimable(&rig, &replica).await, 1);
    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 0);
    assert_eq!(replica.store.agree_to_deletions().await.unwrap(), Agreed::Done);
}

#[tokio::test]
async fn rows_are_woken_in_slices_and_who_goes_on_begins_where_the_last_one_ended() {
    const TENANTS: u64 = 2_500;
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    given_at_rest(&rig, TENANTS).await;
    rig.write(REJOIN).await;
    let slice = async || replica.store.wake_distrusted(SETTLE, 1).await.unwrap();

    assert_eq!((slice().await, slice().await), (1_000, 1_000), "one slice each time");
    let left = "SELECT count(*)::text FROM tenantd.tenants WHERE rejoin_epoch = 0 AND NOT must_look AND due_at IS NULL";
    assert_eq!(text(&rig, left).await, "500");
    assert_eq!(replica.store.rejoining().await.unwrap().to_wake, 500);

    let rejoined = replica.store.rejoin("another", SETTLE).await.unwrap();

    assert_eq!(rejoined.woken, TENANTS, "it begins anew");

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

    let rejoined = replica.store.rejoin("a failover", SETTLE).await.unwrap();
    assert_eq!(rejoined.woken, 1, "all but the one");

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
    assert_eq!(replica.store.rejoining().await.unwrap().to_wake, 0, "it needs no waking");
    assert_eq!(replica.store.agree_to_deletions().await.unwrap(), Agreed::Done);

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
    rig.write(REJOIN).await;

    assert_eq!(refused(&rig, "assert_recognised").await.as_deref(), Some("TD001"));
    assert_eq!(refused(&rig, "assert_place").await, None);

    replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap();
    assert_eq!(refused(&rig, "assert_recognised").await, None);
}

/// It may have claimed a row that was inserted under the rejoin, and goes on beside that.
#[tokio::test]
async fn a_pass_that_is_begun_once_more_stops_nobody_and_goes_on_where_it_was() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    given_at_rest(&rig, 2_500).await;
    replica.store.rejoin("a failover", SETTLE).await.unwrap();
    rig.advance(HOUR).await;
    let last = "(SELECT tenant_id FROM tenantd.tenants ORDER BY tenant_id DESC LIMIT 1)";
    rig.write(format!("UPDATE tenantd.tenants SET rejoin_epoch = 0 WHERE tenant_id = {last}")).await;
    let slice = async || replica.store.wake_distrusted(SETTLE, 1).await.unwrap();
    let passed = "SELECT count(*)::text FROM tenantd.tenants, tenantd.passes WHERE pass = 'distrust' AND tenant_id <= resume_after";

    for passed_by in ["1000", "2000"] {
        assert_eq!(slice().await, 0);
        assert_eq!(text(&rig, passed).await, passed_by);
        assert_eq!(refused(&rig, "assert_recognised").await, None, "the version before goes on");
    }
    assert_eq!(slice().await, 1);

    assert_eq!(text(&rig, passed).await, "0", "it has ended");
    rig.write(format!("UPDATE tenantd.tenants SET rejoin_epoch = 0 WHERE tenant_id = {last}")).await;
    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 0, "until a day is over");
    rig.advance(HOUR * 25).await;
    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 1);
}

/// Whoever waited for the pass of the rejoin before must not write the number of the next: that
/// one's pass would take the row for woken.
#[tokio::test]
async fn a_slice_wakes_for_the_rejoin_that_its_pass_is_of() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    given_at_rest(&rig, 1).await;
    rig.write(REJOIN).await;
    rig.write("UPDATE tenantd.installation SET rejoin_epoch = 2").await;

    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 1);

    assert_eq!(text(&rig, "SELECT rejoin_epoch::text FROM tenantd.tenants").await, "1");
    assert_eq!(claimable(&rig, &replica).await, 0);
    assert_eq!(replica.store.rejoin("the third", SETTLE).await.unwrap().woken, 1);
    assert_eq!(claimable(&rig, &replica).await, 1);
}

/// Its host no longer exists: a slice would have it looked at there, and the row be kept for ever.
#[tokio::test]
async fn who_is_forgotten_before_its_slice_comes_is_woken_by_none_and_may_be_deleted() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    rig.write(REJOIN).await;

    replica.store.forget("acme", "the host is gone", "ada").await.unwrap().unwrap();

    let row = "SELECT concat_ws(' ', rejoin_epoch, lease_epoch > 1000000) FROM tenantd.tenants";
    assert_eq!(text(&rig, row).await, "1 t", "fenced against claims that the database forgot");
    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 0);
    let gone = sqlx::query("DELETE FROM tenantd.tenants").execute(rig.pool()).await.unwrap();
    assert_eq!(gone.rows_affected(), 1);
}

#[tokio::test]
async fn who_was_forgotten_without_a_rejoin_keeps_its_place_in_the_order_of_claims() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let before = text(&rig, "SELECT (lease_epoch + 1)::text FROM tenantd.tenants").await;

    replica.store.forget("acme", "the host is gone", "ada").await.unwrap().unwrap();

    assert_eq!(text(&rig, "SELECT lease_epoch::text FROM tenantd.tenants").await, before);
}

/// Its slice would take the removal back, and the place among the hour's be spent.
#[tokio::test]
async fn the_budget_lets_nobody_through_whom_no_slice_has_reached() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    rig.write(REJOIN).await;
    rig.write("UPDATE tenantd.installation SET deletions_held_at = NULL, held_reason = NULL").await;

    assert_eq!(replica.store.admit_removals(None).await.unwrap(), 0);

    assert_eq!(replica.store.wake_distrusted(SETTLE, PLENTY).await.unwrap(), 1);
    assert_eq!(replica.store.admit_removals(None).await.unwrap(), 1);
}

/// Nobody leases it for that: the turn would be lost, and the region stay closed.
#[tokio::test]
async fn no_breaker_is_probed_with_whom_no_slice_has_reached() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    for name in ["acme", "beta"] {
        rig.given_tenant(name).await;
        rig.work_until_quiet(&replica).await;
    }
    rig.write(REJOIN).await;
    let us = RegionName::new("us");
    let probed = async || {
        rig.write("UPDATE tenantd.regions SET opened_at = tenantd.clock(), probe_at = tenantd.clock()").await;
        replica.store.take_probe(&us, LEASE).await.unwrap().map(|(tenant, _)| tenant)
    };

    assert_eq!(probed().await, None);

    let last: Uuid = sqlx::query_scalar(
        "UPDATE tenantd.tenants SET rejoin_epoch = 1
          WHERE tenant_id = (SELECT max(tenant_id::text)::uuid FROM tenantd.tenants) RETURNING tenant_id",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();
    for _ in 0..3 {
        assert_eq!(probed().await, Some(TenantId(last)));
    }
    assert!(replica.store.lease_one(TenantId(last), LEASE).await.unwrap().is_some());
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
