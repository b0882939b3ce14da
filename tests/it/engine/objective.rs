//! The objective: each tenant is judged once, when its time is over.

use std::time::Duration;

use tenantd::postgres::fleet::objective::Judged;
use tenantd::postgres::operator::pauses::{End, FLEET};

use super::{host_of, rig, work_due};
use crate::support::rig::{Replica, Rig};

const WITHIN: Duration = Duration::from_mins(15);
const MINUTE: Duration = Duration::from_mins(1);
const ALMOST: Duration = Duration::from_mins(14);
/// Of a test, in real time.
const PATIENCE: Duration = Duration::from_secs(10);

async fn judge(replica: &Replica) -> (u64, u64) {
    let mut all = Judged::default();
    let add = |batch: Judged| {
        all.met += batch.met;
        all.missed += batch.missed;
    };
    replica.store.judge_objective(WITHIN, add).await.unwrap();
    (all.met, all.missed)
}

async fn awaited(rig: &Rig) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM tenantd.awaited").fetch_one(rig.pool()).await.unwrap()
}

#[tokio::test]
async fn each_is_judged_once_when_its_time_is_over_and_what_comes_later_changes_nothing() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    rig.given_tenant("quick").await;
    assert_eq!(work_due(&rig, &replica).await, 1);
    rig.given_tenant("late").await;

    rig.advance(ALMOST).await;
    assert_eq!(judge(&replica).await, (0, 0), "there is a minute left");
    rig.advance(MINUTE).await;
    assert_eq!(judge(&replica).await, (1, 1));

    rig.work_until_quiet(&replica).await;
    rig.advance(WITHIN).await;
    assert_eq!(judge(&replica).await, (0, 0));
    assert_eq!(awaited(&rig).await, 0);
}

/// Where the job was not done for a while, who was ready in time is told by the row.
#[tokio::test]
async fn who_became_ready_after_the_time_has_missed_it_however_late_it_is_judged() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("late").await;
    rig.advance(WITHIN + MINUTE).await;
    rig.work_until_quiet(&replica).await;
    rig.given_tenant("quick").await;
    rig.work_until_quiet(&replica).await;
    rig.advance(10 * WITHIN).await;

    assert_eq!(judge(&replica).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_judge_at_once_count_nobody_twice() {
    let rig = rig().await.with_replicas_as_daemon().await;
    for number in 0..40 {
        rig.given_tenant(&format!("t{number}")).await;
    }
    rig.advance(WITHIN).await;
    let mut judges = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let replica = rig.replica().await;
        judges.spawn(async move { judge(&replica).await.1 });
    }

    assert_eq!(judges.join_all().await.into_iter().sum::<u64>(), 40);
}

/// It would wait for the owner, who may wait for it: one of them would meet a deadlock.
#[tokio::test]
async fn a_judge_waits_for_no_owner_and_judges_the_tenant_another_time() {
    let rig = rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    rig.given_tenant("edited").await;
    rig.given_tenant("other").await;
    rig.advance(WITHIN).await;
    let mut owner = rig.pool().begin().await.unwrap();
    sqlx::query("UPDATE tenantd.tenants SET not_before = tenantd.clock() WHERE external_id = 'edited'")
        .execute(&mut *owner)
        .await
        .unwrap();

    assert_eq!(tokio::time::timeout(PATIENCE, judge(&replica)).await, Ok((0, 1)));
    owner.rollback().await.unwrap();
    assert_eq!(judge(&replica).await, (0, 1));
}

#[tokio::test]
async fn time_before_not_before_is_no_waiting_and_whoever_moves_it_asks_anew() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.write(
        "INSERT INTO tenantd.tenants (external_id, host, not_before)
         SELECT name, name || '.us.qlikcloud.com', tenantd.clock() + interval '1 hour'
           FROM unnest(ARRAY['kept', 'moved', 'freed']) AS name",
    )
    .await;
    rig.advance(2 * WITHIN).await;
    assert_eq!(judge(&replica).await, (0, 0));
    rig.write(
        "UPDATE tenantd.tenants SET not_before = not_before + interval '1 day' WHERE external_id = 'moved'",
    )
    .await;
    rig.write("UPDATE tenantd.tenants SET not_before = NULL WHERE external_id = 'freed'").await;
    rig.advance(WITHIN).await;
    assert_eq!(judge(&replica).await, (0, 1), "the one that was to begin at once");
    rig.advance(2 * WITHIN).await;
    assert_eq!(judge(&replica).await, (0, 1), "the one whose hour is over");
    rig.advance(Duration::from_hours(24)).await;
    assert_eq!(judge(&replica).await, (0, 1));
}

#[tokio::test]
async fn who_is_not_wanted_any_more_is_not_counted_and_who_is_wanted_again_is() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("gone").await;
    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    rig.advance(WITHIN).await;
    assert_eq!(judge(&replica).await, (0, 0));

    rig.write("UPDATE tenantd.tenants SET desired_state = 'present'").await;
    rig.advance(ALMOST).await;
    assert_eq!(judge(&replica).await, (0, 0));
    rig.advance(MINUTE).await;
    assert_eq!(judge(&replica).await, (0, 1));
}

/// The ways of a pause: of one, of its region, of all; in force when the time is over, ended
/// by itself before, or ended by somebody.
#[tokio::test]
async fn whom_a_pause_kept_waiting_is_not_counted_and_who_was_ready_before_is() {
    for (whose, resumed, end) in [
        ("tenant", false, End::Open),
        ("tenant", false, End::After(MINUTE)),
        ("tenant", true, End::Open),
        ("us", false, End::Open),
        ("us", false, End::After(MINUTE)),
        ("us", true, End::Open),
        (FLEET, false, End::Open),
        (FLEET, false, End::After(MINUTE)),
        (FLEET, true, End::Open),
    ] {
        let rig = rig().await.with_replicas_as_daemon().await;
        let replica = rig.replica().await;
        let case = format!("{whose}, resumed: {resumed}, {end:?}");
        rig.given_tenant("ready").await;
        assert_eq!(work_due(&rig, &replica).await, 1);
        rig.given_tenant("waits").await;
        rig.write("UPDATE tenantd.tenants SET region = 'us'").await;
        rig.write("INSERT INTO tenantd.regions (region) VALUES ('us') ON CONFLICT DO NOTHING").await;
        rig.advance(MINUTE).await;
        let store = &replica.store;
        if whose == "tenant" {
            assert!(store.pause("ready", "a test", end).await.unwrap());
            assert!(store.pause("waits", "a test", end).await.unwrap());
        } else {
            assert!(store.pause_region(whose, "a test", end).await.unwrap());
        }
        rig.advance(2 * MINUTE).await;
        if resumed && whose == "tenant" {
            assert!(store.resume("ready").await.unwrap());
            assert!(store.resume("waits").await.unwrap());
        } else if resumed {
            assert!(store.resume_region(whose).await.unwrap());
        }
        rig.write(format!(
            "INSERT INTO tenantd.tenants (external_id, host) VALUES ('after', '{}')",
            host_of("after")
        ))
        .await;
        rig.write("UPDATE tenantd.tenants SET region = 'us'").await;
        rig.advance(WITHIN).await;
        let is_over = resumed || matches!(end, End::After(_));
        let after = u64::from(is_over || whose == "tenant");

        assert_eq!(judge(&replica).await, (1, after), "{case}");
        assert_eq!(awaited(&rig).await, 0, "{case}");
    }
}
