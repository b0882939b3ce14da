//! Stopping: the step in flight is finished, leases are given back, nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tenantd::engine::dispatch::{Left, Mode};
use tenantd::engine::shutdown::Stop;
use tenantd::engine::worker::Stopping;
use tenantd::ports::Clock;
use tenantd::simulator::{Endpoint, Fault};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{assert_whole, ledger, rig, row};
use crate::support::rig::{LEASE, Replica, Rig};

/// Says stop after having been asked so often.
struct After(AtomicUsize);

impl After {
    fn steps(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }
}

impl Stopping for After {
    fn is_stopping(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

async fn dispatch(replica: &Replica, stop: &Stop, mode: Mode) -> Left {
    let run = async { replica.dispatch(&Notify::new(), stop, mode).await };
    tokio::time::timeout(Duration::from_mins(1), run).await.expect("the loop ends").unwrap()
}

async fn given_tenants(rig: &Rig, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("tenant-{n}")).collect();
    for name in &names {
        rig.given_tenant(name).await;
    }
    names
}

#[tokio::test]
async fn a_worker_told_to_stop_gives_the_lease_back_after_its_step() {
    // The way has three steps: create, trust, prove. An adopted client's is longer.
    for (faults, steps) in [(vec![], 0..3), (vec![Fault::close_after()], 0..7)] {
        for steps in steps {
            let rig = rig().await;
            let (stopping, heir) = (rig.replica().await, rig.replica().await);
            let host = rig.given_tenant("acme").await;
            rig.world.script(&host, Endpoint::CreateClient, faults.clone());
            if !faults.is_empty() {
                assert!(super::work_next(&rig, &stopping).await);
            }
            let before = row(&rig, "acme").await.failures;
            let claimed = rig.claim(&stopping).await.unwrap();
            let lease = stopping.leases.hold(claimed.tenant_id, claimed.fence, rig.clock.elapsed() + LEASE);

            stopping.work_on(claimed, lease, &After::steps(steps)).await;

            let left = row(&rig, "acme").await;
            assert_ne!(left.phase, "ready", "it stopped on the way");
            assert_eq!(
                (left.is_held, left.due_in, stopping.leases.left(rig.clock.elapsed())),
                (false, Some(0), 0)
            );
            assert_eq!(left.unanswered, None, "nothing is in flight");
            let is_untouched = faults.is_empty() && steps == 0;
            assert_eq!(left.phase == "pending", is_untouched, "an intent without a request is taken back");
            assert!(left.failures <= before, "to stop is no failure");
            let claimed = heir.store.claim(&heir.terms.claim_terms(), 1).await.unwrap().rows;
            assert_eq!(claimed.len(), 1, "anybody may go on at once");
            for row in claimed {
                super::work(&rig, &heir, row).await;
            }
            assert_whole(&rig, &heir, "acme").await;
        }
    }
}

/// Nothing was sent, so whatever the owner says meanwhile is as good as said before the claim.
#[tokio::test]
async fn an_intent_is_taken_back_whatever_the_owner_said_of_the_tenant_meanwhile() {
    for (edit, ends) in [
        ("client_name = 'Another'", "ready"),
        ("desired_version = 7", "ready"),
        ("labels = '{\"a\": \"b\"}'", "ready"),
        ("not_before = tenantd.clock() + interval '1 hour'", "ready"),
        (
            "paused_at = tenantd.clock(), paused_until = tenantd.clock() + interval '1 hour', pause_reason = 'x'",
            "ready",
        ),
        ("desired_state = 'absent'", "removed"),
    ] {
        let rig = rig().await;
        let (stopping, heir) = (rig.replica().await, rig.replica().await);
        rig.given_tenant("acme").await;
        let claimed = rig.claim(&stopping).await.unwrap();
        let lease = stopping.leases.hold(claimed.tenant_id, claimed.fence, rig.clock.elapsed() + LEASE);
        rig.write(format!("UPDATE tenantd.tenants SET {edit}")).await;

        stopping.work_on(claimed, lease, &After::steps(0)).await;

        let left = row(&rig, "acme").await;
        assert_eq!((left.phase.as_str(), left.unanswered), ("pending", None), "{edit}");
        assert_eq!((left.is_held, stopping.leases.left(rig.clock.elapsed())), (false, 0), "{edit}");
        rig.write("UPDATE tenantd.tenants SET host = 'other.' || host").await;
        rig.write("UPDATE tenantd.tenants SET host = replace(host, 'other.', '')").await;
        heir.admit_removals().await.unwrap();
        rig.work_until_quiet(&heir).await;
        assert_eq!(row(&rig, "acme").await.phase, ends, "{edit}");
        assert_eq!(
            ledger(&rig).calls_of(Endpoint::CreateClient, Some(201)),
            u64::from(ends == "ready"),
            "{edit}"
        );
    }
}

#[tokio::test]
async fn a_lease_that_could_not_be_given_back_is_told() {
    let rig = rig().await;
    let stopping = rig.replica().await;
    rig.given_tenant("acme").await;
    let claimed = rig.claim(&stopping).await.unwrap();
    let lease = stopping.leases.hold(claimed.tenant_id, claimed.fence, rig.clock.elapsed() + LEASE);
    stopping.store.connections().close();

    stopping.work_on(claimed, lease, &After::steps(0)).await;

    let now = rig.clock.elapsed();
    assert_eq!(stopping.leases.left(now), 1);
    assert_eq!(stopping.leases.left(now + LEASE), 0);
    assert!(row(&rig, "acme").await.is_held);
}

#[tokio::test]
async fn a_daemon_told_to_stop_in_the_middle_leaves_nothing_held_and_nothing_lost() {
    let rig = rig().await;
    let (stopping, heir) = (rig.replica().await, rig.replica().await);
    let names = given_tenants(&rig, 40).await;
    let stop = Stop::new();
    let in_the_middle = async {
        while ledger(&rig).calls_of(Endpoint::CreateClient, Some(201)) < 10 {
            tokio::task::yield_now().await;
        }
        stop.request();
    };

    let (left, ()) = tokio::join!(dispatch(&stopping, &stop, Mode::Daemon), in_the_middle);

    assert_eq!(left, Left { leases: 0 });
    let mut unfinished = 0;
    for name in &names {
        let row = row(&rig, name).await;
        assert!(!row.is_held, "{name}");
        unfinished += usize::from(row.phase != "ready");
    }
    assert!(unfinished > 0, "it was in the middle");
    assert_eq!(dispatch(&heir, &Stop::new(), Mode::Once).await, Left { leases: 0 });
    for name in &names {
        assert_whole(&rig, &heir, name).await;
    }
    assert_eq!(ledger(&rig).secrets_made, 40);
}

#[tokio::test]
async fn a_single_run_ends_when_nothing_is_due_and_leaves_what_waits() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let names = given_tenants(&rig, 100).await;
    let waiting = rig.given_tenant("waiting").await;
    rig.world.script(&waiting, Endpoint::CreateClient, [Fault::close_before()]);

    let left = dispatch(&replica, &Stop::new(), Mode::Once).await;

    assert_eq!(left, Left { leases: 0 });
    for name in &names {
        assert_whole(&rig, &replica, name).await;
    }
    assert_eq!(row(&rig, "waiting").await.wait_reason.as_deref(), Some("Settling"));
}

#[tokio::test]
async fn a_single_run_without_a_database_ends_as_a_failure() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    replica.store.connections().close();

    let (wake, stop) = (Notify::new(), Stop::new());
    let run = replica.dispatch(&wake, &stop, Mode::Once);
    let ended = tokio::time::timeout(Duration::from_secs(5), run).await.expect("it does not wait");

    assert!(ended.is_err());
}

#[tokio::test]
async fn housekeeping_that_hangs_in_the_database_does_not_keep_the_daemon_from_stopping() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let mut lock = rig.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Arc::clone(&replica).run_schedules(stop.clone()));
    let is_stuck = "SELECT EXISTS (SELECT FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(is_stuck).fetch_one(rig.pool()).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    stop.cancel();

    let ended = tokio::time::timeout(Duration::from_secs(5), keeping).await;
    assert!(matches!(ended, Ok(Ok(Ok(())))), "{ended:?}");
    lock.rollback().await.unwrap();
}
