//! Whose the time was, from a row's insert to its first ready.

use std::time::Duration;

use tenantd::domain::blame::{Blame, Spent};
use tenantd::domain::ids::TenantId;
use tenantd::simulator::{Endpoint, Fault, RetryAfter};

use super::{Rig, assert_whole, row};

const MINUTE: Duration = Duration::from_mins(1);

async fn spent(rig: &Rig) -> Spent {
    let tenant = TenantId(row(rig, "acme").await.tenant_id);
    rig.replica().await.store.spent(tenant).await.unwrap()
}

/// In whole seconds: acts and commits take less.
async fn parts(rig: &Rig) -> [(Blame, u64); 6] {
    let whole: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM ready_at - created_at)::float8 FROM tenantd.tenants WHERE external_id = 'acme'",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();
    let whole = Duration::from_secs_f64(whole);
    let parts = spent(rig).await.of(whole);
    assert_eq!(parts.iter().map(|(_, part)| *part).sum::<Duration>(), whole);
    parts.map(|(blame, part)| (blame, part.as_secs()))
}

fn only(expected: &[(Blame, u64)]) -> [(Blame, u64); 6] {
    Blame::ALL.map(|blame| (blame, expected.iter().find(|(of, _)| *of == blame).map_or(0, |(_, part)| *part)))
}

#[tokio::test]
async fn who_waited_for_a_worker_waited_in_the_queue() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;

    rig.advance(MINUTE).await;
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(parts(&rig).await, only(&[(Blame::Queue, 60)]));
}

#[tokio::test]
async fn what_qlik_asked_for_is_its_limit_and_the_time_after_it_is_the_queues() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::throttle(RetryAfter::Seconds(300))]);
    rig.work_once(&replica).await;

    rig.advance(Duration::from_secs(310)).await;
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(parts(&rig).await, only(&[(Blame::Limit, 300), (Blame::Queue, 10)]));
}

#[tokio::test]
async fn a_pause_is_somebodys_also_where_it_came_into_a_wait() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::throttle(RetryAfter::Seconds(300))]);
    rig.work_once(&replica).await;
    rig.advance(MINUTE).await;
    rig.write("UPDATE tenantd.tenants SET paused_at = tenantd.clock(), pause_reason = 'audit'").await;
    rig.work_once(&replica).await;

    rig.advance(10 * MINUTE).await;
    assert!(replica.store.resume("acme").await.unwrap());
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(parts(&rig).await, only(&[(Blame::Limit, 60), (Blame::Human, 600)]));
}

#[tokio::test]
async fn what_an_owner_put_off_is_his_and_so_is_what_waited_for_somebody_who_acts() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.write("UPDATE tenantd.tenants SET not_before = tenantd.clock() + interval '5 min'").await;
    rig.advance(5 * MINUTE).await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::status(422)]);
    rig.work_once(&replica).await;

    rig.advance(5 * MINUTE).await;
    replica.store.retry("acme").await.unwrap();
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(parts(&rig).await, only(&[(Blame::Human, 600)]));
}

/// What comes later is no part of it.
#[tokio::test]
async fn the_parts_stay_as_they_were_when_it_was_first_ready() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let before = spent(&rig).await;

    rig.advance(60 * MINUTE).await;
    rig.write("UPDATE tenantd.tenants SET desired_version = 2").await;
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(spent(&rig).await, before);
}
