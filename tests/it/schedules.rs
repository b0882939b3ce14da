//! The schedule under the real ticker, in real time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tenantd::app;
use tenantd::engine::dispatch::Mode;
use tenantd::engine::pulse::Task;
use tenantd::engine::shutdown::Stop;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tokio_util::sync::CancellationToken;

use crate::support::fleet::{Fleet, brisk};
use crate::support::process::eventually;

/// Longer than two ticks of the schedule, which come every five seconds.
const STALL: Duration = Duration::from_secs(11);
const PATIENCE: Duration = Duration::from_secs(30);

/// One thread, so that nothing of the daemon's goes on while it is blocked.
#[tokio::test(flavor = "current_thread")]
async fn a_runtime_that_stalls_through_several_ticks_loses_no_slot() {
    let fleet = Fleet::new(World::new(Behaviour::default(), FaultPlan::none(), 43)).await;
    let engine = fleet.engine(brisk(), fleet.server.addr()).await;
    let stop = CancellationToken::new();
    let house = tokio::spawn(engine.run_schedules(stop.clone()));
    let all_taken = || async {
        let due =
            "SELECT count(*) FROM tenantd.schedules WHERE due_at <= tenantd.clock() OR taken_at IS NULL";
        sqlx::query_scalar::<_, i64>(due).fetch_one(fleet.pool()).await.unwrap() == 0
    };
    eventually("every slot is taken once", PATIENCE, &all_taken).await;
    let taken = "SELECT job, taken_at FROM tenantd.schedules ORDER BY job";
    let before: Vec<(String, DateTime<Utc>)> = sqlx::query_as(taken).fetch_all(fleet.pool()).await.unwrap();

    // Every job falls due, and then nothing moves for a while.
    sqlx::query("UPDATE tenantd.schedules SET due_at = tenantd.clock(), taken_at = NULL")
        .execute(fleet.pool())
        .await
        .unwrap();
    std::thread::sleep(STALL);
    eventually("every slot is taken after the stall", PATIENCE, &all_taken).await;

    stop.cancel();
    house.await.unwrap().unwrap();
    let after: Vec<(String, DateTime<Utc>)> = sqlx::query_as(taken).fetch_all(fleet.pool()).await.unwrap();
    assert_eq!(after.len(), before.len());
    for (before, after) in before.iter().zip(&after) {
        let apart = after.1 - before.1;
        assert!(before.0 == after.0 && apart.to_std().unwrap() >= STALL, "{before:?} {after:?}");
    }
}

/// What `/readyz` goes by: a loop that never beat would be called hung while it is well, and
/// one that nobody watches would hang unseen.
#[tokio::test(flavor = "multi_thread")]
async fn every_loop_of_a_daemon_beats_again_and_again() {
    let fleet = Fleet::new(World::new(Behaviour::default(), FaultPlan::none(), 44)).await;
    let engine = fleet.engine(brisk(), fleet.server.addr()).await;
    let stop = Stop::new();
    let daemon = tokio::spawn(app::run(Arc::clone(&engine), stop.clone(), Mode::Daemon));

    for task in Task::ALL.into_iter().filter(|task| task.limit().is_some()) {
        for _ in 0..2 {
            let before = engine.clock.elapsed();
            eventually(task.as_str(), PATIENCE, || async { engine.pulse.last(task) > before }).await;
        }
    }

    assert_eq!(engine.pulse.check_all(engine.clock.elapsed()), Ok(()));
    stop.request();
    daemon.await.unwrap().unwrap();
}
