//! A commit whose answer was lost.

use tenantd::domain::machine::{Next, Rest};
use tenantd::postgres::StoreError;
use tenantd::simulator::{Endpoint, Fault};

use super::{assert_whole, begin, rig, row, stored};
use crate::support::rig::LEASE;

async fn attempts(rig: &crate::support::rig::Rig) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM tenantd.attempts").fetch_one(rig.pool()).await.unwrap()
}

#[tokio::test]
async fn a_commit_sent_twice_is_recognised_and_written_once() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let mut work = begin(&rig, &replica).await;
    let Next::Do(effect) = work.next() else { panic!("a create is next") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();
    let write = judged.write(&work);
    let send = || replica.committer.write(write.clone());

    let (first, second) = (send().await.unwrap(), send().await.unwrap());

    assert!(first.is_current);
    assert_eq!(first, second);
    assert_eq!((stored(&rig, "acme").await.len(), attempts(&rig).await), (1, 1));
    assert_eq!(row(&rig, "acme").await.phase, "created");
}

#[tokio::test]
async fn a_commit_that_gave_the_lease_back_is_recognised_too() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_before()]);
    let mut work = begin(&rig, &replica).await;
    let Next::Do(effect) = work.next() else { panic!("a create is next") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();
    assert!(matches!(judged.decision.rest, Rest::Wait { .. }));
    let write = judged.write(&work);
    let send = || replica.committer.write(write.clone());

    send().await.unwrap();
    let once = row(&rig, "acme").await;
    send().await.unwrap();

    assert_eq!(row(&rig, "acme").await, once);
    assert_eq!((attempts(&rig).await, once.failures), (1, 1));
}

#[tokio::test]
async fn a_commit_sent_again_after_a_takeover_is_refused() {
    let rig = rig().await;
    let (slow, heir) = (rig.replica().await, rig.replica().await);
    rig.given_tenant("acme").await;
    let mut work = begin(&rig, &slow).await;
    let Next::Do(effect) = work.next() else { panic!("a create is next") };
    let acted = slow.act(&mut work, effect).await;
    let judged = slow.judge(&work, acted).unwrap();
    slow.commit(&mut work, &judged).await.unwrap();
    rig.advance(LEASE).await;
    rig.work_until_quiet(&heir).await;

    let again = slow.commit(&mut work, &judged).await;

    assert!(matches!(again, Err(StoreError::LeaseLost(id)) if id == work.tenant_id), "{again:?}");
    assert_whole(&rig, &heir, "acme").await;
}
