//! The database goes away: at the start, in the middle, or only for writing. The
//! daemon waits, says so once and not per tenant, and goes on.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantd::app;
use tenantd::ports::Clock;
use tenantd::postgres::connections::ANSWER;
use tenantd::postgres::{Connections, StoreError};
use tenantd::settings::Database;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tenantd::system::SystemClock;

use crate::support::cable::Cable;
use crate::support::fleet::Fleet;
use crate::support::postgres::test_db;
use crate::support::process::{Home, eventually};

const BRISK: &str = r#"
    worker.concurrency = 8
    worker.lease = "6s"
    worker.poll = "100ms"
    qlik.request_timeout = "2s"
    qlik.connect_timeout = "1s"
    qlik.read_timeout = "2s"
    qlik.settle = "2s"
    retry.base = "100ms"
    retry.cap = "1s"
"#;

const LIMIT: Duration = Duration::from_mins(1);

async fn fleet() -> Fleet {
    let faults = FaultPlan::none().with_latency(Duration::from_millis(100));
    Fleet::new(World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, faults, 23)).await
}

/// A home whose daemon reaches the database through a cable.
fn home_behind(cable: &Cable, fleet: &Fleet, name: &str) -> Home {
    let home = Home::for_fleet(fleet, name, BRISK);
    let config = std::fs::read_to_string(home.path("tenantd.toml")).unwrap();
    home.write("tenantd.toml", &config.replace(&fleet.db.url, &cable.url));
    home
}

fn said(home: &Home, what: &str) -> usize {
    std::fs::read_to_string(home.path("daemon.log")).unwrap_or_default().matches(what).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_at_the_start_is_waited_for() {
    let fleet = fleet().await;
    fleet.given_tenants(5).await;
    let cable = Cable::to(&fleet.db.url, "start", false);
    let home = home_behind(&cable, &fleet, "outage-start");

    let daemon = home.daemon("daemon.log");
    eventually("it says that it waits", LIMIT, || async { said(&home, "waiting for the database") > 0 })
        .await;
    assert_eq!(fleet.held_leases().await, 0);
    daemon.signal("HUP");
    let is_heard = || async { said(&home, "is read anew once the database can be used") == 1 };
    eventually("whoever asks for a reload is told", LIMIT, is_heard).await;
    assert_eq!(said(&home, "was read anew"), 0);
    cable.plug();
    eventually("all quiet", LIMIT, || fleet.is_quiet()).await;
    eventually("the reload is made up for", LIMIT, || async { said(&home, "was read anew") == 1 }).await;

    assert!(daemon.terminate().await.success());
    assert_eq!(said(&home, "waiting for the database"), 1, "it is said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_in_the_middle_loses_nothing_and_is_said_once() {
    let fleet = fleet().await;
    fleet.given_tenants(100).await;
    let cable = Cable::to(&fleet.db.url, "middle", true);
    let home = home_behind(&cable, &fleet, "outage-middle");

    let daemon = home.daemon("daemon.log");
    eventually("work is under way", LIMIT, || async { fleet.held_leases().await >= 8 }).await;
    cable.cut();
    eventually("it says that the database is away", LIMIT, || async {
        said(&home, "the database is away") > 0
    })
    .await;
    cable.plug();
    eventually("all quiet", LIMIT, || fleet.is_quiet()).await;

    assert!(daemon.terminate().await.success());
    fleet.assert_true_to_the_ledger(100).await;
    assert_eq!(fleet.ledger().secrets_made, 100, "every secret that was made is the one in use");
    assert_eq!(said(&home, "the database is away"), 1, "it is said once, not once per tenant");
    assert_eq!(said(&home, "the database is back"), 1);
}

/// How long the network swallows everything, in seconds, each time. More and longer ones by
/// hand: `TENANTD_CUTS=5,10,20,40,60,90,120,180,240,300`.
fn cuts() -> Vec<u64> {
    let given = std::env::var("TENANTD_CUTS").unwrap_or_else(|_| "12".to_owned());
    given.split(',').map(|seconds| seconds.parse().unwrap()).collect()
}

/// Nobody is told: no reset, no end. What was sent is gone, and so are the answers.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_network_that_swallowed_everything_work_goes_on_within_seconds() {
    const SOON: Duration = Duration::from_secs(15);
    let fleet = fleet().await;
    let cable = Cable::to(&fleet.db.url, "silent", true);
    let home = home_behind(&cable, &fleet, "outage-silent");
    let daemon = home.daemon("daemon.log");
    let mut tenants = 0;
    for seconds in cuts() {
        fleet.given_more_tenants(tenants + 1, tenants + 60).await;
        eventually("work is under way", LIMIT, || async { fleet.held_leases().await >= 8 }).await;
        cable.fall_silent();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let is_noticed = Duration::from_secs(seconds) > ANSWER + Duration::from_secs(2);
        assert!(!is_noticed || said(&home, "the database is away") > 0, "it is said");
        cable.plug();
        let back = SystemClock::start();
        fleet.given_more_tenants(tenants + 61, tenants + 80).await;
        tenants += 80;
        let goes_on = format!("all that came is done, after {seconds} s of silence");
        let newest = format!("customer-{tenants}");
        eventually(&goes_on, SOON, || async {
            let ready = "SELECT ready FROM tenantd.status WHERE external_id = $1";
            sqlx::query_scalar::<_, bool>(ready).bind(&newest).fetch_one(fleet.pool()).await.unwrap()
        })
        .await;
        println!(
            "{seconds} s of silence: the first new tenant was ready {} ms later",
            back.elapsed().as_millis()
        );
        eventually("all quiet", LIMIT, || fleet.is_quiet()).await;
        println!("and all were quiet {} ms later", back.elapsed().as_millis());
    }

    assert!(daemon.terminate().await.success(), "it is the same process still");
    fleet.assert_true_to_the_ledger(usize::try_from(tenants).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_writes_is_waited_for() {
    let fleet = fleet().await;
    fleet.given_tenants(40).await;
    let home = Home::for_fleet(&fleet, "outage-read-only", BRISK);
    let database: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(fleet.pool()).await.unwrap();
    let read_only = async |on: bool| {
        let statement = format!("ALTER DATABASE {database} SET default_transaction_read_only = {on}");
        // On one connection: another of the pool may have begun after the first change.
        let mut owner = fleet.pool().acquire().await.unwrap();
        sqlx::query("SET default_transaction_read_only = off").execute(&mut *owner).await.unwrap();
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *owner).await.unwrap();
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND application_name = 'tenantd'",
        )
        .execute(fleet.pool())
        .await
        .unwrap();
    };

    let daemon = home.daemon("daemon.log");
    eventually("work is under way", LIMIT, || async { fleet.held_leases().await >= 8 }).await;
    read_only(true).await;
    eventually("it says that the database is away", LIMIT, || async {
        said(&home, "the database is away") > 0
    })
    .await;
    read_only(false).await;
    eventually("all quiet", LIMIT, || fleet.is_quiet()).await;

    assert!(daemon.terminate().await.success());
    fleet.assert_true_to_the_ledger(40).await;
}

/// A failover may leave connections open to a server that is no primary any more.
#[tokio::test]
async fn a_connection_whose_server_only_reads_any_more_is_given_up() {
    let db = test_db().await;
    let database = Database::direct(db.url.clone().into(), 1);
    let connections = app::work_connections(&database).unwrap();
    app::open_for_work(&database, Duration::ZERO).await.unwrap();
    let server = async || -> i32 {
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&connections).await.unwrap()
    };
    let write =
        async || sqlx::query("UPDATE tenantd.tenants SET due_at = due_at").execute(&connections).await;
    let first = server().await;
    let set = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY";
    sqlx::raw_sql(set).execute(&connections).await.unwrap();
    assert_eq!(server().await, first, "it is kept while nothing is wrong with it");

    let refused = StoreError::from(write().await.unwrap_err());

    assert!(refused.is_outage(), "{refused}");
    assert!(write().await.is_ok());
    assert_ne!(server().await, first);
}

#[tokio::test]
async fn no_statement_can_hang_for_ever_on_the_server() {
    let db = test_db().await;
    let database = Database::direct(db.url.clone().into(), 1);
    let limits = async |connections: &Connections| -> (String, String) {
        let limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')";
        sqlx::query_as(limits).fetch_one(connections).await.unwrap()
    };

    let (daemon, command) = (app::work_connections(&database).unwrap(), app::connections(&database).unwrap());
    app::open_for_work(&database, Duration::ZERO).await.unwrap();

    assert_eq!(limits(&daemon).await, ("30s".to_owned(), "4s".to_owned()));
    assert_eq!(limits(&command).await, ("10min".to_owned(), "7s".to_owned()), "a person may ask for much");
}

/// Whether the network swallowed the answer or the server sits on it is all the same here.
#[tokio::test]
async fn no_statement_is_waited_for_beyond_its_limit_alone_or_in_a_transaction_or_apart() {
    let db = test_db().await;
    let patient = app::connections(&Database::direct(db.url.clone().into(), 2)).unwrap();
    let hasty = patient.within(Duration::from_millis(300));
    let sleep = || sqlx::query("SELECT pg_sleep(3)");
    let is_silence = |error: sqlx::Error| error.to_string().contains("no answer within 300ms");

    assert!(is_silence(sleep().execute(&hasty).await.unwrap_err()));
    let mut transaction = hasty.begin().await.unwrap();
    assert!(is_silence(sleep().execute(&mut *transaction).await.unwrap_err()));
    let mut apart = hasty.apart().await.unwrap();
    assert!(is_silence(sleep().execute(&mut apart).await.unwrap_err()));

    drop(transaction);
    assert!(sqlx::query("SELECT 1").execute(&patient).await.is_ok(), "its place is free again");
}

#[tokio::test]
async fn only_what_waiting_can_never_mend_is_final() {
    let db = test_db().await;
    for (code, is_outage, is_final) in [
        ("08006", true, false),  // connection failure
        ("25006", true, false),  // read-only
        ("40001", false, false), // serialisation failure: again at once
        ("40P01", false, false), // deadlock: the same
        ("53100", true, false),  // disk full
        ("53300", true, false),  // too many connections
        ("55000", true, false),  // takes no connections
        ("55P03", false, false), // a lock was waited for too long: others are in the way
        ("57014", false, false), // cancelled: it took too long
        ("57P01", true, false),  // shutting down
        ("58030", true, false),  // input or output error
        ("42501", false, false), // a right is missing: somebody may grant it
        ("22021", false, true),  // the values are refused
        ("23514", false, true),  // a constraint is violated
    ] {
        let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{code}'; END $$");
        let error = sqlx::query(AssertSqlSafe(raise)).execute(&db.pool).await.unwrap_err();

        let error = StoreError::from(error);

        assert_eq!((error.is_outage(), error.is_final()), (is_outage, is_final), "{code}");
    }
}
