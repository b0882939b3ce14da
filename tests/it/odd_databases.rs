//! Databases as they are found: with defaults of somebody's own, few rights, another
//! encoding, and rows that were written by hand.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantd::demo::postgres::PrivatePostgres;
use tenantd::engine::dispatch::Mode;
use tenantd::engine::shutdown::Stop;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Notify;

use crate::support::fleet::{Fleet, brisk};
use crate::support::postgres::{TestDb, test_db};
use crate::support::process::{Home, eventually};
use crate::support::rig::{Replica, Rig};

const LIMIT: Duration = Duration::from_mins(1);
const BRISK: &str = r#"
    worker.lease = "6s"
    worker.poll = "100ms"
    qlik.request_timeout = "2s"
    qlik.connect_timeout = "1s"
    qlik.read_timeout = "2s"
    qlik.settle = "1s"
"#;

async fn run(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// A home that needs no fleet: for commands that only talk to the database.
async fn home_on(url: &str, name: &str) -> (Fleet, Home) {
    let fleet = Fleet::new(World::new(Behaviour::default(), FaultPlan::none(), 61)).await;
    let home = Home::for_fleet(&fleet, name, BRISK);
    let config = std::fs::read_to_string(home.path("tenantd.toml")).unwrap();
    home.write("tenantd.toml", &config.replace(&fleet.db.url, url));
    (fleet, home)
}

fn said(home: &Home, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = home.output(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_defaults_of_a_database_or_role_do_not_change_what_statements_mean() {
    let world = World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, FaultPlan::none(), 62);
    let fleet = Fleet::new(world).await;
    let database: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(fleet.pool()).await.unwrap();
    for (name, value) in [
        ("default_transaction_isolation", "serializable"),
        ("synchronous_commit", "off"),
        ("search_path", "pg_temp"),
        ("intervalstyle", "sql_standard"),
        ("datestyle", "'SQL, DMY'"),
        ("timezone", "'Asia/Kathmandu'"),
        ("standard_conforming_strings", "off"),
        ("statement_timeout", "'1s'"),
    ] {
        run(&fleet.db.url, &format!("ALTER DATABASE {database} SET {name} = {value}")).await;
    }
    fleet.given_tenants(60).await;
    let home = Home::for_fleet(&fleet, "defaults", BRISK);

    let daemon = home.daemon("daemon.log");
    let second = home.daemon("second.log");
    eventually("all quiet", LIMIT, || fleet.is_quiet()).await;
    assert!(daemon.terminate().await.success() && second.terminate().await.success());

    for log in ["daemon.log", "second.log"] {
        let log = std::fs::read_to_string(home.path(log)).unwrap();
        assert!(!log.contains("the database is") && !log.contains("ERROR"), "{log}");
    }
    let durable =
        tenantd::app::work_connections(&tenantd::settings::Database::direct(fleet.db.url.clone().into(), 2));
    let durable: String =
        sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&durable.unwrap()).await.unwrap();
    assert_eq!(durable, "on", "what was committed survives a crash");
    fleet.given_more_tenants(61, 70).await;
    let (code, stdout, stderr) = said(&home, &["run", "--once"]);
    assert_eq!((code, stdout.contains("70 of 70 tenants ready")), (Some(0), true), "{stdout} {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_claim_can_compute_is_parked_alone() {
    let rig = Rig::plain().await;
    for name in ["one", "poison", "two"] {
        rig.given_tenant(name).await;
    }
    // By hand: no instant may be subtracted from this one.
    sqlx::query("UPDATE tenantd.tenants SET progress_at = 'infinity', phase = 'creating' WHERE external_id = 'poison'")
        .execute(rig.pool())
        .await
        .unwrap();
    let replica = rig.replica().await;

    work(&replica).await;

    let rows: Vec<(String, bool, Option<String>)> =
        sqlx::query_as("SELECT external_id, ready, reason FROM tenantd.status ORDER BY external_id")
            .fetch_all(rig.pool())
            .await
            .unwrap();
    assert_eq!(rows[0], ("one".to_owned(), true, None));
    assert_eq!(rows[1], ("poison".to_owned(), false, Some("Defect".to_owned())));
    assert_eq!(rows[2], ("two".to_owned(), true, None));
}

/// A trigger that somebody added: of one row it parks that row, of all it is no row's fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_refuses_all_rows_parks_none_and_one_that_refuses_one_parks_that() {
    let rig = Rig::plain().await;
    for name in ["one", "poison", "two"] {
        rig.given_tenant(name).await;
    }
    let trigger = "CREATE FUNCTION tenantd_test.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                       BEGIN RAISE EXCEPTION 'not now'; END $$;
                   CREATE TRIGGER refuse BEFORE UPDATE OF lease_epoch ON tenantd.tenants
                       FOR EACH ROW EXECUTE FUNCTION tenantd_test.refuse()";
    sqlx::raw_sql(trigger).execute(rig.pool()).await.unwrap();
    let replica = rig.replica().await;
    let parked = async || -> Vec<String> {
        let parked = "SELECT external_id FROM tenantd.status WHERE parked";
        sqlx::query_scalar(parked).fetch_all(rig.pool()).await.unwrap()
    };

    let stop = Stop::new();
    let refused = replica.dispatch(&Notify::new(), &stop, Mode::Once).await;
    assert!(refused.unwrap_err().to_string().contains("not now"));
    assert_eq!(parked().await, Vec::<String>::new());

    let one = "DROP TRIGGER refuse ON tenantd.tenants;
               CREATE TRIGGER refuse BEFORE UPDATE OF lease_epoch ON tenantd.tenants
                   FOR EACH ROW WHEN (OLD.external_id = 'poison') EXECUTE FUNCTION tenantd_test.refuse()";
    sqlx::raw_sql(one).execute(rig.pool()).await.unwrap();
    work(&replica).await;
    assert_eq!(parked().await, ["poison"]);
    let ready = "SELECT count(*) FROM tenantd.status WHERE ready";
    assert_eq!(sqlx::query_scalar::<_, i64>(ready).fetch_one(rig.pool()).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_refuses_one_commit_parks_that_tenant_once_others_are_served() {
    let faults = FaultPlan::none().with_latency(Duration::from_millis(100));
    let world = World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, faults, 91);
    let fleet = Fleet::new(world).await;
    fleet.given_tenants(20).await;
    let trigger = "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                       BEGIN RAISE EXCEPTION 'not this one'; END $$;
                   CREATE TRIGGER refuse BEFORE UPDATE OF phase ON tenantd.tenants
                       FOR EACH ROW WHEN (NEW.phase = 'created' AND NEW.external_id = 'customer-1')
                       EXECUTE FUNCTION public.refuse()";
    sqlx::raw_sql(trigger).execute(fleet.pool()).await.unwrap();
    let mut terms = brisk();
    terms.concurrency = 4;

    fleet
        .run_until(terms, Duration::from_mins(1), async || {
            let stands = "SELECT count(*) FILTER (WHERE parked AND reason = 'Defect' AND message LIKE '%not this one%'),
                                 count(*) FILTER (WHERE ready) FROM tenantd.status";
            sqlx::query_as::<_, (i64, i64)>(stands).fetch_one(fleet.pool()).await.unwrap() == (1, 19)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_database_refuses_parks_its_tenant_and_a_retry_finds_the_client() {
    let rig = Rig::plain().await;
    let host = rig.given_tenant("poison").await;
    rig.given_tenant("other").await;
    sqlx::query("ALTER TABLE tenantd.tenants ADD CONSTRAINT of_their_own CHECK (external_id <> 'poison' OR client_id IS NULL)")
        .execute(rig.pool())
        .await
        .unwrap();
    let replica = rig.replica().await;

    rig.work_until_quiet(&replica).await;

    let (reason, message): (String, String) =
        sqlx::query_as("SELECT reason, message FROM tenantd.status WHERE external_id = 'poison'")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert_eq!(reason, "Defect");
    assert!(message.contains("of_their_own") && message.contains("(23514)"), "{message}");
    let other: bool = sqlx::query_scalar("SELECT ready FROM tenantd.status WHERE external_id = 'other'")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert!(other, "the other goes on");

    sqlx::query("ALTER TABLE tenantd.tenants DROP CONSTRAINT of_their_own")
        .execute(rig.pool())
        .await
        .unwrap();
    assert!(replica.store.retry("poison").await.unwrap());
    rig.work_until_quiet(&replica).await;
    let ready: bool = sqlx::query_scalar("SELECT ready FROM tenantd.status WHERE external_id = 'poison'")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert!(ready);
    assert_eq!(
        rig.world.at(tenantd::ports::Clock::now(&rig.clock)).ledger().live_clients_of(&host).count(),
        1
    );
}

/// Until nothing is due.
async fn work(replica: &Replica) {
    replica.dispatch(&Notify::new(), &Stop::new(), Mode::Once).await.unwrap();
}

/// A server with a database in another encoding, and the schema in it by main force.
async fn forced_schema(server: &PrivatePostgres) -> String {
    run(&server.url("postgres"), "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        .await;
    let url = server.url("ascii");
    run(&url, "CREATE SCHEMA tenantd").await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        run(&url, &std::fs::read_to_string(file).unwrap()).await;
    }
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unreadable_row_stops_no_other() {
    let server = tokio::task::block_in_place(PrivatePostgres::start).unwrap();
    let url = forced_schema(&server).await;
    let rig = Rig::on(TestDb::at(&url).await, Behaviour::default(), FaultPlan::none()).await;
    rig.given_tenant("one").await;
    run(&url, r"INSERT INTO tenantd.tenants (external_id, host) VALUES (E'two\xff', 'two.us.qlikcloud.com')")
        .await;
    rig.given_tenant("three").await;
    let replica = rig.replica().await;

    work(&replica).await;

    let stand = "SELECT host || ' ' || phase || coalesce(' ' || parked_reason, '') FROM tenantd.tenants ORDER BY host";
    let stand: Vec<String> = sqlx::query_scalar(stand).fetch_all(rig.pool()).await.unwrap();
    let expected =
        ["one.us.qlikcloud.com ready", "three.us.qlikcloud.com ready", "two.us.qlikcloud.com pending Defect"];
    assert_eq!(stand, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_another_encoding_is_refused_before_anything_is_changed() {
    let server = tokio::task::block_in_place(PrivatePostgres::start).unwrap();
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let name = encoding.to_lowercase();
        run(
            &server.url("postgres"),
            &format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"),
        )
        .await;
        let url = server.url(&name);
        let (_fleet, home) = home_on(&url, &format!("encoding-{name}")).await;

        for arguments in [&["migrate"][..], &["run"], &["run", "--once"], &["tenant", "list"]] {
            let (code, _, stderr) = said(&home, arguments);
            assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
            assert!(stderr.contains(encoding) && stderr.contains("needs UTF8"), "{arguments:?}: {stderr}");
        }
        let (code, stdout, _) = said(&home, &["doctor"]);
        assert!(code == Some(1) && stdout.contains("needs UTF8"), "{stdout}");
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let is_untouched: bool = sqlx::query_scalar("SELECT to_regnamespace('tenantd') IS NULL")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert!(is_untouched);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_schema_needs_no_right_on_the_database() {
    let server = tokio::task::block_in_place(PrivatePostgres::start).unwrap();
    for statement in ["CREATE ROLE dba_made_me LOGIN", "CREATE DATABASE app"] {
        run(&server.url("postgres"), statement).await;
    }
    let url = server.url("app");
    run(&url, "CREATE SCHEMA tenantd AUTHORIZATION dba_made_me").await;
    let theirs = url.replace("postgres://postgres@", "postgres://dba_made_me@");
    let (_fleet, home) = home_on(&theirs, "schema-owner").await;

    let (code, stdout, stderr) = said(&home, &["migrate"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("applied 20261122100000"), "{stdout}");
    assert_eq!(said(&home, &["migrate"]).1, "the schema is up to date\n");

    run(&server.url("postgres"), "CREATE DATABASE bare").await;
    let (_fleet, home) = home_on(&theirs.replace("/app?", "/bare?"), "no-schema").await;
    let (code, _, stderr) = said(&home, &["migrate"]);
    assert!(code == Some(2) && stderr.contains("may create it"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_four_migrations_at_once_one_applies_and_says_so() {
    let server = tokio::task::block_in_place(PrivatePostgres::start).unwrap();
    run(&server.url("postgres"), "CREATE DATABASE app").await;
    let (_fleet, home) = home_on(&server.url("app"), "four").await;

    let running: Vec<_> = (0..4)
        .map(|_| home.command(&["migrate"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let outputs: Vec<_> = running.into_iter().map(|child| child.wait_with_output().unwrap()).collect();

    assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
    let text = |output: &std::process::Output| String::from_utf8(output.stdout.clone()).unwrap();
    let applied = outputs.iter().filter(|output| text(output).contains("applied ")).count();
    let current = outputs.iter().filter(|output| text(output) == "the schema is up to date\n").count();
    assert_eq!((applied, current), (1, 3), "{outputs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_another_says_for_whom() {
    let server = tokio::task::block_in_place(PrivatePostgres::start).unwrap();
    run(&server.url("postgres"), "CREATE DATABASE app").await;
    let (_fleet, home) = home_on(&server.url("app"), "waits").await;
    let mut other = PgConnection::connect(&server.url("app")).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut other).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(0x7465_6e61_6e74_6400_i64)
        .execute(&mut other)
        .await
        .unwrap();

    let mut command = tokio::process::Command::from(home.command(&["migrate"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("it says so").unwrap().unwrap();
    assert!(line.contains(&format!("process {pid} of the server (user postgres")), "{line}");
    other.close().await.unwrap();

    assert!(child.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_is_told_in_its_own_words() {
    let db = test_db().await;
    let name = format!("full_{}", std::process::id());
    run(&db.url, &format!("CREATE ROLE {name} LOGIN CONNECTION LIMIT 0")).await;
    let theirs = db.url.replace("postgres://postgres@", &format!("postgres://{name}@"));
    let (_fleet, home) = home_on(&theirs, "full").await;

    let (code, _, stderr) = said(&home, &["tenant", "list"]);
    run(&db.url, &format!("DROP ROLE {name}")).await;

    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("too many connections for role \"{name}\"")), "{stderr}");
}
