//! Behind `PgBouncer` in transaction mode: what works, and what is said of what does not.

use std::time::Duration;

use serde_json::Value;
use tenantd::simulator::{Behaviour, FaultPlan, World};

use crate::support::fleet::Fleet;
use crate::support::pgbouncer::PgBouncer;
use crate::support::process::{Home, eventually};
use crate::support::rig::SUFFIX;
use crate::support::waiting::until_rows;

const LIMIT: Duration = Duration::from_mins(1);
const TRANSACTIONS: &str = "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 200";
const BRISK: &str = r#"
    worker.lease = "6s"
    qlik.request_timeout = "2s"
    qlik.connect_timeout = "1s"
    qlik.read_timeout = "2s"
    qlik.settle = "1s"
"#;

async fn fleet() -> Fleet {
    let behaviour = Behaviour { rate_limits: None, ..Behaviour::default() };
    Fleet::new(World::new(behaviour, FaultPlan::none(), 71)).await
}

/// A home whose database is at this address, with more settings.
fn home(fleet: &Fleet, name: &str, url: &str, extra: &str) -> Home {
    let home = Home::for_fleet(fleet, name, &format!("{BRISK}{extra}"));
    let config = std::fs::read_to_string(home.path("tenantd.toml")).unwrap();
    let old = format!("database.url = \"{}\"", fleet.db.url);
    assert!(config.contains(&old));
    home.write("tenantd.toml", &config.replace(&old, &format!("database.url = \"{url}\"")));
    home
}

/// Exit code, and all that was said.
fn said(home: &Home, arguments: &[&str]) -> (i32, String) {
    let output = home.output(arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// Verdict and message of doctor's check, and its exit code.
fn doctor(home: &Home, check: &str) -> (i32, String, String) {
    let (code, text) = said(home, &["doctor", "--output", "json"]);
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let finding = found.as_array().unwrap().iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check}: {text}"));
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    (code, text("verdict"), format!("{}; {}", text("message"), text("remedy")))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_and_every_command_work_through_a_pooler_in_transaction_mode() {
    let fleet = fleet().await;
    let bouncer = PgBouncer::before(&fleet.db.url, "works", TRANSACTIONS).await;
    let listen = format!("database.listen_url = \"{}\"", fleet.db.url);
    // Polling alone would take longer than the test's limit.
    let extra = format!("database.pooler = \"transaction\"\nworker.poll = \"5m\"\n{listen}\n");
    let home = home(&fleet, "pgbouncer", &bouncer.url, &extra);
    assert_eq!(doctor(&home, "wake-ups"), (0, "ok".into(), "new rows are heard of at once; ".into()));
    let daemons = [home.daemon("one.log"), home.daemon("two.log")];
    eventually("both daemons run", LIMIT, || async {
        ["one.log", "two.log"].iter().all(|log| read(&home, log).contains("claiming due tenants"))
    })
    .await;

    fleet.given_tenants(80).await;
    eventually("all quiet", LIMIT, || fleet.is_quiet()).await;

    let plan = home.path("plan.json");
    let host = format!("late.{SUFFIX}");
    fleet.world.at(tenantd::ports::Clock::now(&tenantd::system::SystemClock::start())).add_tenant(&host);
    for arguments in [
        &["tenant", "add", "late", &host][..],
        &["tenant", "wait", "late", "--timeout", "50s"],
        &["tenant", "list"],
        &["tenant", "show", "late"],
        &["tenant", "history", "late"],
        &["tenant", "explain", "late"],
        &["tenant", "pause", "late", "--reason", "a look"],
        &["tenant", "resume", "late"],
        &["tenant", "rotate", "late"],
        &["tenant", "wait", "late", "--timeout", "50s"],
        &["tenant", "retry", "late"],
        &["secret", "reveal", "late", "--yes"],
        &["fleet", "status"],
        &["fleet", "pause", "--reason", "a look"],
        &["fleet", "resume"],
        &["census", "--plan", plan.to_str().unwrap()],
        &["rejoin", "--status"],
        &["doctor"],
        &["tenant", "remove", "late", "--yes"],
    ] {
        let (code, text) = said(&home, arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}");
    }
    let is_gone = || async { fleet.ledger().live_clients_of(&host).count() == 0 };
    until_rows(fleet.pool(), 1, "external_id = 'late' AND phase = 'removed'").await;
    assert!(is_gone().await, "the last one's client is gone");
    for daemon in daemons {
        assert!(daemon.terminate().await.success());
    }
    for log in ["one.log", "two.log"] {
        let log = read(&home, log);
        assert!(!log.contains("ERROR") && !log.contains("the database is"), "{log}");
    }
    assert!(!bouncer.log().contains("ERROR"), "{}", bouncer.log());
}

fn read(home: &Home, log: &str) -> String {
    std::fs::read_to_string(home.path(log)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_to_listen_at_new_rows_are_found_by_polling() {
    let fleet = fleet().await;
    let bouncer = PgBouncer::before(&fleet.db.url, "polls", TRANSACTIONS).await;
    let extra = "database.pooler = \"transaction\"\nworker.poll = \"200ms\"\n";
    let home = home(&fleet, "pgbouncer-polls", &bouncer.url, extra);

    let (code, verdict, text) = doctor(&home, "wake-ups");
    let daemon = home.daemon("daemon.log");
    eventually("the daemon runs", LIMIT, || async {
        read(&home, "daemon.log").contains("claiming due tenants")
    })
    .await;
    fleet.given_tenants(5).await;
    eventually("all quiet", LIMIT, || fleet.is_quiet()).await;
    assert!(daemon.terminate().await.success());

    assert_eq!((code, verdict.as_str()), (0, "warn"), "{text}");
    assert!(text.contains("200ms") && text.contains("database.listen_url"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_to_listen_at_that_leads_elsewhere_is_found_by_doctor() {
    let (fleet, other) = (fleet().await, fleet().await);
    let bouncer = PgBouncer::before(&fleet.db.url, "elsewhere", TRANSACTIONS).await;
    let through =
        |listen: &str| format!("database.pooler = \"transaction\"\ndatabase.listen_url = \"{listen}\"\n");
    let another = home(&fleet, "pgbouncer-other", &bouncer.url, &through(&other.db.url));
    let pooled = home(&fleet, "pgbouncer-pooled", &bouncer.url, &through(&bouncer.url));

    for home in [another, pooled] {
        let (code, verdict, text) = doctor(&home, "wake-ups");

        assert_eq!((code, verdict.as_str()), (1, "fail"), "{text}");
        assert!(text.contains("database.listen_url"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_nobody_told_of_is_named_with_the_remedy() {
    let fleet = fleet().await;
    fleet.given_tenants(1).await;
    let ignoring = format!("{TRANSACTIONS}\nignore_startup_parameters = options,extra_float_digits");
    for (name, lines) in [("strict", TRANSACTIONS), ("ignoring", &ignoring)] {
        let bouncer = PgBouncer::before(&fleet.db.url, name, lines).await;
        let home = home(&fleet, &format!("pgbouncer-{name}"), &bouncer.url, "");
        for arguments in [&["run"][..], &["run", "--once"], &["tenant", "list"], &["doctor"], &["migrate"]] {
            let (code, text) = said(&home, arguments);

            let expected = if arguments[0] == "doctor" { 1 } else { 2 };
            assert_eq!(code, expected, "{name} {arguments:?}: {text}");
            assert!(text.contains("pooler"), "{name} {arguments:?}: {text}");
        }
    }
    assert_eq!(fleet.ledger().live_clients, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_refused_through_a_pooler_and_no_lock_is_left_behind() {
    let fleet = fleet().await;
    let bouncer = PgBouncer::before(&fleet.db.url, "migrate", TRANSACTIONS).await;
    let pooled = home(&fleet, "pgbouncer-migrate", &bouncer.url, "database.pooler = \"transaction\"\n");
    let direct = home(&fleet, "pgbouncer-direct", &fleet.db.url, "");

    for _ in 0..3 {
        let (code, text) = said(&pooled, &["migrate"]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains("the server itself"), "{text}");
    }
    let (code, text) = said(&direct, &["migrate"]);

    assert_eq!(code, 0, "{text}");
    let locks: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        .fetch_one(fleet.pool())
        .await
        .unwrap();
    assert_eq!(locks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_session_mode_is_worked_through_in_the_same_way() {
    let fleet = fleet().await;
    fleet.given_tenants(10).await;
    let bouncer = PgBouncer::before(&fleet.db.url, "session", "pool_mode = session").await;
    let home = home(&fleet, "pgbouncer-session", &bouncer.url, "database.pooler = \"transaction\"\n");

    let (code, text) = said(&home, &["run", "--once"]);

    assert_eq!(code, 0, "{text}");
    assert!(text.contains("10 of 10 tenants ready"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_comes_to_lead_elsewhere_is_noticed_by_the_next_transaction() {
    let fleet = fleet().await;
    let bouncer = PgBouncer::before(&fleet.db.url, "moved", TRANSACTIONS).await;
    let extra = "database.pooler = \"transaction\"\nworker.poll = \"200ms\"\n";
    let home = home(&fleet, "pgbouncer-moved", &bouncer.url, extra);
    let daemon = home.daemon("daemon.log");
    fleet.given_tenants(5).await;
    eventually("all quiet", LIMIT, || fleet.is_quiet()).await;

    // As if the pooler's server had become another one, with the same rows.
    sqlx::query("UPDATE tenantd.installation SET system_identifier = 'another'")
        .execute(fleet.pool())
        .await
        .unwrap();
    fleet.given_more_tenants(6, 8).await;
    eventually("changes are held", LIMIT, || async {
        fleet.counts().await.iter().any(|(what, count)| what.contains("ChangesHeld") && *count == 3)
    })
    .await;

    assert!(daemon.terminate().await.success());
    assert_eq!(fleet.ledger().live_clients, 5);
}
