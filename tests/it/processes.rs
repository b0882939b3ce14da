//! Real daemons that are killed, stopped and taken over in the middle of the work.

use std::time::Duration;

use tenantd::ports::Entropy;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tenantd::system::OsEntropy;

use crate::support::fleet::Fleet;
use crate::support::process::{Home, eventually};
use crate::support::waiting::until_rows;

/// Short, but in the proportions of production.
const BRISK: &str = r#"
    worker.concurrency = 8
    worker.lease = "2500ms"
    worker.poll = "100ms"
    qlik.request_timeout = "1s"
    qlik.connect_timeout = "500ms"
    qlik.read_timeout = "1s"
    qlik.settle = "1500ms"
    retry.base = "100ms"
    retry.cap = "1s"
    log.level = "warn"
"#;

const KILLS: u32 = 100;
const TENANTS_PER_KILL: u32 = 3;

async fn fleet(latency: Duration) -> Fleet {
    let faults = FaultPlan::none().with_latency(latency);
    Fleet::new(World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, faults, 17)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_of_two_replicas_leave_one_client_per_tenant() {
    let fleet = fleet(Duration::from_millis(20)).await;
    let home = Home::for_fleet(&fleet, "kills", BRISK);
    let mut replicas = [home.daemon("a.log"), home.daemon("b.log")];
    let mut hit = 0;

    for kill in 0..KILLS {
        fleet.given_more_tenants(kill * TENANTS_PER_KILL + 1, (kill + 1) * TENANTS_PER_KILL).await;
        let moment = 20 + OsEntropy.bits() % 230;
        tokio::time::sleep(Duration::from_millis(u64::try_from(moment).unwrap())).await;
        let victim = usize::from(kill % 2 == 1);
        replicas[victim].kill();
        hit += u32::from(fleet.held_leases().await > 0);
        replicas[victim] = home.daemon(["a.log", "b.log"][victim]);
    }
    eventually("all quiet", Duration::from_mins(3), || fleet.is_quiet()).await;

    for replica in replicas {
        assert!(replica.terminate().await.success(), "a daemon that is asked to stop ends well");
    }
    fleet.assert_true_to_the_ledger((KILLS * TENANTS_PER_KILL) as usize).await;
    println!("{KILLS} kills, {hit} of them with leases held; {} tenants ready", KILLS * TENANTS_PER_KILL);
    assert!(hit > KILLS / 3, "only {hit} kills met work under way: no test of anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_stopped_for_longer_than_its_lease_harms_nobody() {
    let fleet = fleet(Duration::from_millis(150)).await;
    let home = Home::for_fleet(&fleet, "stops", BRISK);
    fleet.given_more_tenants(1, 60).await;
    let sleeper = home.daemon("sleeper.log");
    eventually("work under way", Duration::from_secs(30), || async { fleet.held_leases().await >= 8 }).await;

    sleeper.signal("STOP");
    let held = fleet.held_leases().await;
    let other = home.daemon("other.log");
    eventually("taken over", Duration::from_mins(1), || fleet.is_quiet()).await;
    sleeper.signal("CONT");
    fleet.given_more_tenants(61, 90).await;
    eventually("all quiet", Duration::from_mins(1), || fleet.is_quiet()).await;

    assert!(sleeper.terminate().await.success() && other.terminate().await.success());
    fleet.assert_true_to_the_ledger(90).await;
    assert!(held >= 8, "only {held} leases were held by the stopped replica");
}

/// Removals are let through once a second at most: one that is asked for in between waits for
/// that, and not for the next poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_soon_after_another_does_not_wait_for_the_poll() {
    let fleet = fleet(Duration::ZERO).await;
    let home = Home::for_fleet(&fleet, "removals", &BRISK.replace("100ms\"\n    qlik", "10m\"\n    qlik"));
    fleet.given_tenants(3).await;
    let daemon = home.daemon("a.log");
    eventually("all quiet", Duration::from_mins(1), || fleet.is_quiet()).await;

    for tenant in 1..=3 {
        sqlx::query(
            "UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'customer-' || $1::text",
        )
        .bind(tenant.to_string())
        .execute(fleet.pool())
        .await
        .unwrap();
        let admitted = format!("external_id = 'customer-{tenant}' AND removal_admitted_at IS NOT NULL");
        until_rows(fleet.pool(), 1, &admitted).await;
    }

    assert!(daemon.terminate().await.success());
}
