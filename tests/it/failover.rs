//! A database that forgot: a recovery to a point in time, and standbys that lag and are
//! promoted while the daemon runs. Consumers read and use credentials all the time.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tenantd::demo::postgres::{Plan, PrivatePostgres};
use tenantd::ports::Clock;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tenantd::system::SystemClock;
use tokio::task::JoinHandle;

use crate::support::cable::Cable;
use crate::support::consumers::Consumers;
use crate::support::fleet::Fleet;
use crate::support::postgres::{TestDb, connections};
use crate::support::process::{Home, eventually};
use crate::support::rig::SUFFIX;
use crate::support::waiting::until_rows;

const BRISK: &str = r#"
    worker.concurrency = 16
    worker.lease = "6s"
    worker.poll = "100ms"
    qlik.request_timeout = "2s"
    qlik.connect_timeout = "1s"
    qlik.read_timeout = "2s"
    qlik.settle = "1s"
    retry.base = "50ms"
    retry.cap = "500ms"
    audit.every = "never"
    budget.removals_per_hour = 1000
"#;
const LIMIT: Duration = Duration::from_mins(2);

/// What a primary needs so that others can be made of it.
fn settings(more: &[String]) -> Vec<String> {
    let common = ["wal_level=replica", "max_wal_senders=8", "hot_standby=on", "max_wal_size=4GB"];
    common.iter().map(ToString::to_string).chain(more.iter().cloned()).collect()
}

fn server(plan: Plan) -> PrivatePostgres {
    // It takes a second or two, and the runtime has other threads.
    tokio::task::block_in_place(|| PrivatePostgres::start_as(plan)).unwrap()
}

/// A primary with tenantd's schema in database `app`.
async fn primary(more: &[String]) -> PrivatePostgres {
    let server = server(Plan { settings: settings(more), ..Plan::default() });
    run(&server.url("postgres"), "CREATE DATABASE app").await;
    tenantd::postgres::migrate::migrate(&connections(&server.url("app"), None), |_| {}).await.unwrap();
    server
}

async fn run(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn world(seed: u64) -> World {
    let faults = FaultPlan::none().with_latency(Duration::from_millis(4));
    World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, faults, seed)
}

/// Rows that are left to look at: until there is none, nobody may agree to deletions.
pub(crate) const UNSEEN: &str = "parked_reason IS NULL
    AND CASE WHEN phase = 'removed' THEN recheck_at IS NOT NULL AND wait_reason IS NULL
             ELSE must_look AND phase <> 'pending' AND desired_state = 'present' END";

/// Every tenant has exactly one live client, which its row knows.
async fn assert_one_client_each(fleet: &Fleet, pool: &PgPool) {
    let rows: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT host, client_id FROM tenantd.tenants").fetch_all(pool).await.unwrap();
    let ledger = fleet.ledger();
    for (host, client_id) in rows {
        let live: Vec<_> = ledger.live_clients_of(&host).map(|client| client.client_id.clone()).collect();
        assert_eq!(live, client_id.into_iter().collect::<Vec<_>>(), "{host}");
    }
}

const SETTLED: &str =
    "phase = 'ready' AND NOT must_look AND lease_holder IS NULL AND desired_version <= current_version";

/// Or has five secrets, of which one or the other is of a rotation that was forgotten: those
/// are kept, and somebody has to look at them some day. One that is known to serve nobody
/// goes as soon as somebody agrees.
const AT_REST: &str = "lease_holder IS NULL
    AND (phase = 'ready' AND NOT must_look AND (desired_version <= current_version OR wait_reason = 'SecretSlotsFull')
         OR phase = 'rotating' AND wait_reason = 'DeletionsHeld'
         OR parked_reason = 'SecretSlotsFull')";

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, from the base backup to the agreement")]
async fn after_a_recovery_to_a_point_in_time_no_credential_in_use_is_lost_and_no_client_made_twice() {
    let archive = std::env::temp_dir().join(format!("tenantd-archive-{}", std::process::id()));
    std::fs::create_dir_all(&archive).unwrap();
    std::fs::set_permissions(&archive, std::fs::Permissions::from_mode(0o777)).unwrap();
    let copy = format!("cp %p {0}/%f.part && mv {0}/%f.part {0}/%f", archive.display());
    let archiving = ["archive_mode=on".to_owned(), format!("archive_command={copy}")];
    let original = primary(&archiving).await;
    let mut cable = Cable::to(&original.url("app"), "pitr", true);
    let fleet = Fleet::on(TestDb::at(&original.url("app")).await, world(51)).await;
    let home = Home::for_fleet(&fleet, "pitr", BRISK);
    let config = std::fs::read_to_string(home.path("tenantd.toml")).unwrap();
    home.write("tenantd.toml", &config.replace(&fleet.db.url, &cable.url));
    let consumers = Consumers::of(&cable.url, &home.path("keyring.json"), &fleet.world);

    // 30 tenants, 5 of which are removed, are in the backup.
    let daemon = home.daemon("before.log");
    fleet.given_more_tenants(1, 30).await;
    until_rows(fleet.pool(), 30, SETTLED).await;
    let of = |first: u32, last: u32| {
        format!("external_id IN (SELECT 'customer-' || n FROM generate_series({first}, {last}) AS n)")
    };
    eventually("consumers have them all", LIMIT, || async {
        (1..=30).all(|number| consumers.highest(&format!("customer-{number}")).is_some())
    })
    .await;
    (26..=30).for_each(|number| consumers.forget(&format!("customer-{number}")));
    run(&fleet.db.url, &format!("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE {}", of(26, 30)))
        .await;
    until_rows(fleet.pool(), 5, "phase = 'removed' AND recheck_at IS NULL").await;
    let backup = Plan {
        backup_of: Some(original.directory().to_owned()),
        signal: Some("recovery.signal"),
        settings: settings(&[
            format!("restore_command=cp {}/%f %p", archive.display()),
            "recovery_target_name=before".to_owned(),
            "recovery_target_action=pause".to_owned(),
            // The checkpoint behind the promotion takes its time, as with a database of some size.
            "checkpoint_timeout=1h".to_owned(),
            "checkpoint_completion_target=1.0".to_owned(),
        ]),
        ..Plan::default()
    };
    // The backup itself is taken now, and started when all else has happened.
    let prepared = tokio::task::block_in_place(|| PrivatePostgres::prepare(backup)).unwrap();
    let pages =
        "CREATE TABLE public.pages AS SELECT n, repeat('x', 500) AS x FROM generate_series(1, 50000) AS n";
    run(&fleet.db.url, pages).await;
    run(&fleet.db.url, "SELECT pg_create_restore_point('before')").await;

    // Since then: 10 rotated, 5 of them acknowledged so that the old secret is gone; 3 of the
    // removed are back and in use; 5 more came; 5 were removed, 3 of which are back again.
    run(&fleet.db.url, &format!("UPDATE tenantd.tenants SET desired_version = 2 WHERE {}", of(1, 10))).await;
    until_rows(fleet.pool(), 10, &format!("{SETTLED} AND current_version = 2")).await;
    eventually("consumers have switched", LIMIT, || async {
        (1..=10).all(|number| consumers.highest(&format!("customer-{number}")) == Some(2))
    })
    .await;
    for number in 1..=5 {
        run(&fleet.db.url, &format!("SELECT tenantd.acknowledge('customer-{number}', 2)")).await;
    }
    run(&fleet.db.url, &format!("UPDATE tenantd.tenants SET desired_state = 'present' WHERE {}", of(26, 28)))
        .await;
    fleet.given_more_tenants(31, 35).await;
    (16..=20).for_each(|number| consumers.forget(&format!("customer-{number}")));
    run(&fleet.db.url, &format!("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE {}", of(16, 20)))
        .await;
    until_rows(fleet.pool(), 7, "phase = 'removed' AND recheck_at IS NULL").await;
    run(&fleet.db.url, &format!("UPDATE tenantd.tenants SET desired_state = 'present' WHERE {}", of(16, 18)))
        .await;
    until_rows(fleet.pool(), 31, SETTLED).await;
    until_rows(fleet.pool(), 0, "retire_at <= tenantd.clock()").await;
    let reads = consumers.reads();
    eventually("consumers have seen it all", LIMIT, || async { consumers.reads() > reads + 2 }).await;
    consumers.assert_unharmed("the time before");
    assert!(daemon.terminate().await.success());
    let segment: String =
        sqlx::query_scalar("SELECT pg_walfile_name(pg_switch_wal())").fetch_one(fleet.pool()).await.unwrap();
    eventually("the last segment is archived", LIMIT, || async { archive.join(&segment).exists() }).await;
    cable.cut();
    original.stop();

    // The recovery stands at its target, is promoted, and the daemon is started at once.
    let restored = tokio::task::block_in_place(|| prepared.start()).unwrap();
    let pool = PgPoolOptions::new().connect(&restored.url("app")).await.unwrap();
    eventually("it is paused at its target", LIMIT, || async {
        let state = sqlx::query_scalar::<_, String>("SELECT pg_get_wal_replay_pause_state()");
        state.fetch_one(&pool).await.unwrap() == "paused"
    })
    .await;
    run(&restored.url("app"), "SELECT pg_promote()").await;
    cable.plug_into(restored.directory());
    let daemon = home.daemon("after.log");
    eventually("it says what happened", LIMIT, || async {
        std::fs::read_to_string(home.path("after.log")).unwrap().contains("may have forgotten something")
    })
    .await;
    let checkpoint = "SELECT timeline_id FROM pg_control_checkpoint()";
    let timeline = sqlx::query_scalar::<_, i32>(checkpoint).fetch_one(&pool).await.unwrap();
    assert_eq!(timeline, 1, "the checkpoint is still that of the old timeline");
    // 25 that the backup knows as wanted; 19 and 20 are gone at Qlik, 16 to 18 have another client.
    until_rows(&pool, 23, SETTLED).await;
    until_rows(&pool, 2, "drift = '{client_missing}'").await;
    until_rows(&pool, 3, "phase = 'removed' AND wait_reason = 'DeletionsHeld'").await;
    consumers.assert_unharmed("the recovery");

    // The operator reads, corrects the rows that are wanted, and agrees.
    let status = String::from_utf8(home.output(&["rejoin", "--status"]).stdout).unwrap();
    assert_eq!(status.matches("removed here, but its client is at Qlik").count(), 3, "{status}");
    run(
        &restored.url("app"),
        &format!("UPDATE tenantd.tenants SET desired_state = 'present' WHERE {}", of(26, 28)),
    )
    .await;
    run(
        &restored.url("app"),
        &format!("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE {}", of(19, 20)),
    )
    .await;
    until_rows(&pool, 0, UNSEEN).await;
    assert!(home.output(&["rejoin", "--agree"]).status.success());
    let agreed = SystemClock::start();
    until_rows(&pool, 26, SETTLED).await;
    until_rows(&pool, 4, "phase = 'removed' AND recheck_at IS NULL").await;
    assert!(agreed.elapsed() < Duration::from_mins(1), "what waited for the agreement slept on");
    // Pipelines insert again what the backup lost.
    run(
        &restored.url("app"),
        &format!(
            "INSERT INTO tenantd.tenants (external_id, host)
             SELECT 'customer-' || n, 't' || n || '.{SUFFIX}' FROM generate_series(31, 35) AS n"
        ),
    )
    .await;
    until_rows(&pool, 5, "parked_reason = 'EarlierClientFound'").await;
    consumers.assert_unharmed("the agreement");
    let highest: i32 = sqlx::query_scalar("SELECT max(current_version) FROM tenantd.tenants")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(highest > 1_000_000, "versions go on from the clock: {highest}");
    assert_eq!(fleet.ledger().live_clients, 31, "nobody has a second client");
    assert!(daemon.terminate().await.success());
    std::fs::remove_dir_all(&archive).unwrap();
}

/// An onboarding pipeline that rotates now this tenant, now that one, and never minds that
/// the database is away.
fn pipeline(url: &str, tenants: u32) -> JoinHandle<()> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(1));
    let pool = pool.connect_lazy(url).unwrap();
    tokio::spawn(async move {
        for turn in 0_u32.. {
            let tenant = format!("customer-{}", turn.wrapping_mul(7) % tenants + 1);
            let rotate = "UPDATE tenantd.tenants SET desired_version = desired_version + 1
                           WHERE external_id = $1 AND current_version = desired_version";
            sqlx::query(rotate).bind(&tenant).execute(&pool).await.ok();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    })
}

fn standby(of: &PrivatePostgres, through: &Path) -> PrivatePostgres {
    let connect = format!("primary_conninfo=host={} user=postgres", through.display());
    server(Plan {
        backup_of: Some(of.directory().to_owned()),
        signal: Some("standby.signal"),
        settings: settings(&[connect, "wal_retrieve_retry_interval=100ms".to_owned()]),
        ..Plan::default()
    })
}

/// It knocks again and again, and tells it once.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_meets_a_standby_says_so_once_and_goes_on_when_it_is_promoted() {
    let current = primary(&[]).await;
    let mut address = Cable::to(&current.url("app"), "standby", true);
    let fleet = Fleet::on(TestDb::at(&address.url).await, world(53)).await;
    let home = Home::for_fleet(&fleet, "standby", BRISK);
    fleet.given_more_tenants(1, 3).await;
    let replication = Cable::to(&current.url("app"), "standby-replication", true);
    let next = standby(&current, replication.directory());
    let next_pool = PgPool::connect(&next.url("app")).await.unwrap();
    let has_all = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM tenantd.tenants").fetch_one(&next_pool).await.ok()
            == Some(3)
    };
    eventually("the standby has the tenants", Duration::from_mins(1), has_all).await;
    let visits = async || -> i64 {
        let sessions = "SELECT sessions FROM pg_stat_database WHERE datname = 'app'";
        sqlx::query_scalar(sessions).fetch_one(&next_pool).await.unwrap()
    };
    address.cut();
    address.plug_into(next.directory());

    let daemon = home.daemon("a.log");
    let before = visits().await;
    eventually("it has knocked five times", Duration::from_mins(1), async || visits().await >= before + 5)
        .await;

    let log = std::fs::read_to_string(home.path("a.log")).unwrap();
    assert_eq!(log.matches("read-only, as a standby is").count(), 2, "once, in words and as a field: {log}");
    sqlx::query("SELECT pg_promote()").execute(&next_pool).await.unwrap();
    until_rows(&next_pool, 3, SETTLED).await;
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_standbys_that_lag_are_promoted_under_a_running_daemon_and_nothing_in_use_is_lost() {
    const TENANTS: u32 = 40;
    const LAGS: [u64; 10] = [0, 2, 10, 30, 60, 100, 200, 400, 800, 1500];
    let mut current = primary(&[]).await;
    let mut address = Cable::to(&current.url("app"), "failover", true);
    let fleet = Fleet::on(TestDb::at(&address.url).await, world(52)).await;
    let home = Home::for_fleet(&fleet, "failover", BRISK);
    // They say so when they have switched, so that after each agreement there is something to delete.
    let consumers = Consumers::that_acknowledge(&address.url, &home.path("keyring.json"), &fleet.world);
    let replicas = [home.daemon("a.log"), home.daemon("b.log")];
    fleet.given_more_tenants(1, TENANTS).await;
    until_rows(fleet.pool(), TENANTS.into(), SETTLED).await;

    let mut lost = 0;
    for round in 0_u32..20 {
        let replication = Cable::to(&current.url("app"), &format!("replication-{round}"), true);
        let next = standby(&current, replication.directory());
        eventually("it streams", LIMIT, || async {
            let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
            sqlx::query_scalar::<_, i64>(streaming)
                .fetch_one(fleet.pool())
                .await
                .is_ok_and(|count| count == 1)
        })
        .await;
        let load = pipeline(&address.url, TENANTS);
        tokio::time::sleep(Duration::from_millis(300)).await;

        // From here on the standby hears nothing; the daemon and its consumers go on.
        replication.cut();
        tokio::time::sleep(Duration::from_millis(LAGS[usize::try_from(round).unwrap() % LAGS.len()])).await;
        let seen: Vec<_> = (1..=TENANTS).map(|n| consumers.highest(&format!("customer-{n}"))).collect();
        address.cut();
        current.stop();
        run(&next.url("app"), "SELECT pg_promote()").await;
        address.plug_into(next.directory());
        current = next;

        let pool = PgPool::connect(&current.url("app")).await.unwrap();
        lost += forgotten(&pool, &seen).await;
        load.abort();
        eventually("it is recognised", LIMIT, || async {
            sqlx::query("SELECT tenantd.assert_recognised()").execute(&pool).await.is_ok()
        })
        .await;
        until_rows(&pool, TENANTS.into(), AT_REST).await;
        consumers.assert_unharmed(&format!("promotion {round}"));
        assert_one_client_each(&fleet, &pool).await;
        if round % 2 == 1 {
            until_rows(&pool, 0, UNSEEN).await;
            let agreed = home.output(&["rejoin", "--agree"]);
            assert_eq!(String::from_utf8_lossy(&agreed.stdout), "deletions at Qlik Cloud go on\n");
            until_rows(&pool, 0, "retire_at <= tenantd.clock() OR mint_snapshot IS NOT NULL OR is_adopted")
                .await;
            consumers.assert_unharmed(&format!("the agreement after promotion {round}"));
        }
    }

    for replica in replicas {
        assert!(replica.terminate().await.success());
    }
    println!("20 promotions, {lost} versions that consumers had seen were forgotten by them");
    assert!(lost > 10, "only {lost} versions were forgotten: no test of anything");
    assert_eq!(fleet.ledger().live_clients, usize::try_from(TENANTS).unwrap());
}

/// How many versions that consumers saw this database has forgotten.
async fn forgotten(pool: &PgPool, seen: &[Option<i32>]) -> usize {
    let rows: Vec<(String, Option<i32>)> =
        sqlx::query_as("SELECT external_id, current_version FROM tenantd.tenants")
            .fetch_all(pool)
            .await
            .unwrap();
    let known = |number: usize| {
        let name = format!("customer-{}", number + 1);
        rows.iter().find(|(external_id, _)| *external_id == name).and_then(|(_, version)| *version)
    };
    seen.iter().enumerate().filter(|(number, seen)| **seen > known(*number)).count()
}
