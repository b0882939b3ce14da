//! The previous version and this one, as processes, on one database under load.
//!
//! The rule: what the previous version is comes from `scripts/with-previous`; a test that is
//! run without it fails.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantd::simulator::{Behaviour, Endpoint, Fault, FaultPlan, World};

use crate::support::fleet::Fleet;
use crate::support::postgres::{TestDb, empty_db, test_db};
use crate::support::process::{Home, eventually};
use crate::support::roles::{self, DAEMON};
use crate::support::waiting::until_rows;

const BRISK: &str = r#"
    worker.concurrency = 6
    worker.lease = "6s"
    worker.poll = "100ms"
    qlik.request_timeout = "2s"
    qlik.connect_timeout = "1s"
    qlik.read_timeout = "2s"
    qlik.settle = "2s"
    retry.base = "100ms"
    retry.cap = "1s"
    budget.removals_per_hour = 100000
"#;
const WAVES: u32 = 8;
const WAVE: u32 = 12;

/// The program as it was.
fn previous() -> PathBuf {
    let program =
        std::env::var_os("TENANTD_PREVIOUS").expect("scripts/with-previous names the previous program");
    PathBuf::from(program)
}

/// Some answers are lost, some refused.
async fn fleet(db: TestDb) -> Fleet {
    let faults = FaultPlan::none()
        .with_latency(Duration::from_millis(40))
        .with_share(Endpoint::CreateClient, 0.05, Fault::close_after())
        .with_share_of_all(0.03, Fault::status(503));
    Fleet::on(db, World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, faults, 41)).await
}

/// Inserts wave after wave, and of each wave before has some rotated, edited and removed.
async fn load(fleet: &Fleet, waves: std::ops::Range<u32>) {
    for wave in waves {
        let (first, last) = (wave * WAVE + 1, (wave + 1) * WAVE);
        fleet.given_more_tenants(first, last).await;
        let number = "substr(external_id, 10)::integer";
        let those = format!("{number} BETWEEN {first} AND {last}");
        eventually("half of the wave is ready", Duration::from_mins(1), || async {
            let ready = format!("SELECT count(*) FROM tenantd.tenants WHERE {those} AND phase = 'ready'");
            let ready: i64 = sqlx::query_scalar(AssertSqlSafe(ready)).fetch_one(fleet.pool()).await.unwrap();
            ready >= i64::from(WAVE) / 2
        })
        .await;
        for (change, which) in [
            ("desired_version = desired_version + 1", 0),
            ("desired_state = 'absent'", 1),
            ("redirect_uris = ARRAY['https://portal.example.com/new']", 2),
        ] {
            let change =
                format!("UPDATE tenantd.tenants SET {change} WHERE {those} AND {number} % 4 = {which}");
            fleet.db.write(change).await;
        }
    }
}

/// Waits until all rests where it should, previous secrets are gone, and Qlik's truth is ours.
async fn assert_all_is_served(fleet: &Fleet, tenants: u32) {
    let rests = "phase = 'removed' AND desired_state = 'absent' AND recheck_at IS NULL
                 OR phase = 'ready' AND desired_state = 'present' AND current_version >= desired_version
                    AND drift = '{}' AND lease_holder IS NULL
                    AND (due_at > tenantd.clock() + interval '10 min' OR due_at = audit_at)";
    until_rows(fleet.pool(), i64::from(tenants), rests).await;
    fleet
        .db
        .write(
            "SELECT tenantd.acknowledge(external_id, current_version) FROM tenantd.tenants AS t
              WHERE EXISTS (SELECT FROM tenantd.secrets AS s WHERE s.tenant_id = t.tenant_id AND s.standing = 'previous')",
        )
        .await;
    let is_clean = "phase = 'removed' OR phase = 'ready' AND lease_holder IS NULL
                    AND (SELECT array_agg(s.standing) FROM tenantd.secrets AS s WHERE s.tenant_id = tenants.tenant_id)
                        = ARRAY['current']";
    until_rows(fleet.pool(), i64::from(tenants), is_clean).await;
    let present: i64 = sqlx::query_scalar("SELECT count(*) FROM tenantd.tenants WHERE phase = 'ready'")
        .fetch_one(fleet.pool())
        .await
        .unwrap();
    assert_eq!(present, i64::from(tenants - tenants / 4), "of each four one is removed");
    fleet.assert_true_to_the_ledger(usize::try_from(present).unwrap()).await;
}

/// How many attempts each daemon made, the idlest first.
async fn attempts(fleet: &Fleet) -> Vec<i64> {
    sqlx::query_scalar("SELECT count(*) FROM tenantd.attempts GROUP BY holder ORDER BY 1")
        .fetch_all(fleet.pool())
        .await
        .unwrap()
}

fn assert_says_no_error(home: &Home, log: &str) {
    let said = std::fs::read_to_string(home.path(log)).unwrap();
    let errors: Vec<_> =
        said.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
    assert!(errors.is_empty(), "{log}: {errors:#?}");
}

fn assert_done(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the previous version's program: make upgrade"]
async fn the_previous_version_and_this_one_serve_the_same_tenants_side_by_side() {
    let fleet = fleet(test_db().await).await;
    roles::grant(fleet.pool()).await;
    let home = Home::for_fleet(&fleet, "beside", BRISK);
    home.become_role(&fleet, DAEMON);
    let daemons = [home.daemon_of(&previous(), "previous.log"), home.daemon("this.log")];

    load(&fleet, 0..WAVES).await;
    assert_all_is_served(&fleet, WAVES * WAVE).await;

    for daemon in daemons {
        assert!(daemon.terminate().await.success());
    }
    let attempts = attempts(&fleet).await;
    assert!(attempts.len() == 2 && attempts[0] > 50, "both worked: {attempts:?}");
    assert_says_no_error(&home, "previous.log");
    assert_says_no_error(&home, "this.log");
}

/// The previous version's daemons are killed, before and after the schema has changed under them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the previous version's program: make upgrade"]
async fn what_the_previous_version_left_in_the_middle_is_served_to_its_end_by_this_one() {
    let fleet = fleet(empty_db().await).await;
    let home = Home::for_fleet(&fleet, "left", BRISK);
    let previous = previous();
    assert_done(home.command_of(&previous, &["migrate"]));
    let mut daemons = [home.daemon_of(&previous, "a.log"), home.daemon_of(&previous, "b.log")];
    load(&fleet, 0..3).await;
    kill_at_work(&fleet, &mut daemons[0], 3).await;

    assert_done(home.command(&["migrate"]));
    load(&fleet, 4..6).await;
    kill_at_work(&fleet, &mut daemons[1], 6).await;
    let daemon = home.daemon("this.log");
    load(&fleet, 7..WAVES).await;

    assert_all_is_served(&fleet, WAVES * WAVE).await;
    assert!(daemon.terminate().await.success());
    for log in ["a.log", "b.log", "this.log"] {
        assert_says_no_error(&home, log);
    }
}

/// Gives it a wave, and kills it while it has leases that nobody will give back.
async fn kill_at_work(fleet: &Fleet, daemon: &mut crate::support::process::Daemon, wave: u32) {
    fleet.given_more_tenants(wave * WAVE + 1, (wave + 1) * WAVE).await;
    eventually("work is under way", Duration::from_mins(1), || async { fleet.held_leases().await >= 4 })
        .await;
    daemon.kill();
    let last = (wave + 1) * WAVE;
    fleet
        .db
        .write(format!("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id IN ('customer-{last}', 'customer-{}', 'customer-{}')", last - 1, last - 2))
        .await;
}
