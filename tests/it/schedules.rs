//! The schedule under the real ticker, in real time.

use std::time::Duration;

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
    let house = tokio::spawn(engine.keep_house(stop.clone()));
    let all_taken = || async {
        let due =
            "SELECT count(*) FROM tenantd.schedules WHERE due_at <= tenantd.clock() OR taken_at IS NULL";
        sqlx::query_scalar::<_, i64>(due).fetch_one(fleet.pool()).await.unwrap() == 0
    };
    eventually("every slot is taken once", PATIENCE, &all_taken).await;

    // Every job falls due, and then nothing moves for a while.
    sqlx::query("UPDATE tenantd.schedules SET due_at = tenantd.clock(), taken_at = NULL")
        .execute(fleet.pool())
        .await
        .unwrap();
    std::thread::sleep(STALL);
    eventually("every slot is taken after the stall", PATIENCE, &all_taken).await;

    stop.cancel();
    house.await.unwrap().unwrap();
}
