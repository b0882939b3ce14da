//! SIGHUP on the real program: the configuration is read anew, all of it or nothing.

use std::time::Duration;

use serde_json::{Value, json};
use tenantd::ports::Clock;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tenantd::system::{OsEntropy, SystemClock};
use tenantd::vault::{KeyKind, generate_key_set};

use crate::support::fleet::Fleet;
use crate::support::process::{Daemon, Home, eventually, page};
use crate::support::rig::SUFFIX;

const BRISK: &str = r#"
    worker.lease = "10s"
    worker.poll = "100ms"
    qlik.request_timeout = "3s"
    qlik.settle = "3s"
    retry.base = "100ms"
    retry.cap = "500ms"
    audit.every = "never"
    budget.changes_per_hour = 100000
"#;
const LOG: &str = "daemon.log";

/// A fleet, and a configuration for it.
async fn made(name: &str) -> (Fleet, Home) {
    let behaviour = Behaviour { rate_limits: None, ..Behaviour::default() };
    let faults = FaultPlan::none().with_latency(Duration::from_millis(10));
    let fleet = Fleet::new(World::new(behaviour, faults, 23)).await;
    let home = Home::for_fleet(&fleet, name, BRISK);
    (fleet, home)
}

/// A daemon that claims, and where it answers.
async fn started(home: &Home) -> (Daemon, String) {
    let daemon = home.daemon(LOG);
    let address = home.address(LOG).await;
    eventually("it works", Duration::from_secs(30), || async { says(home, "ready: claiming") == 1 }).await;
    (daemon, address)
}

async fn given(name: &str) -> (Fleet, Home, Daemon, String) {
    let (fleet, home) = made(name).await;
    let (daemon, address) = started(&home).await;
    (fleet, home, daemon, address)
}

/// How many lines of the log say this.
fn says(home: &Home, what: &str) -> usize {
    std::fs::read_to_string(home.path(LOG)).unwrap().lines().filter(|line| line.contains(what)).count()
}

/// Asks it to read its configuration anew, and waits until it has tried.
async fn reload(home: &Home, daemon: &Daemon) {
    let tried = || says(home, "was read anew") + says(home, "could not be read anew");
    let before = tried();
    daemon.signal("HUP");
    eventually("it tries", Duration::from_secs(30), || async { tried() > before }).await;
}

fn change(home: &Home, from: &str, to: &str) {
    let config = std::fs::read_to_string(home.path("tenantd.toml")).unwrap();
    assert!(config.contains(from), "{from}");
    home.write("tenantd.toml", &config.replace(from, to));
}

async fn column(fleet: &Fleet, query: &str) -> Vec<String> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(fleet.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_changes_nothing_and_is_told_everywhere() {
    let (fleet, home, daemon, address) = given("reload-fault").await;
    let new = generate_key_set(KeyKind::Symmetric, &OsEntropy).unwrap();
    home.write("keyring.json", new.expose_to_keys_generate());
    change(&home, "[[regions]]", "profiles.gold.colour = 5\ncanary.size = \"many\"\n[[regions]]");

    reload(&home, &daemon).await;

    assert_eq!(
        (says(&home, "could not be read anew, so nothing has changed"), says(&home, "was read anew")),
        (1, 0)
    );
    let told = std::fs::read_to_string(home.path(LOG)).unwrap();
    assert!(told.contains("canary.size") && told.contains("profiles.gold.colour"), "every fault");
    let metrics = page(&address, "/metrics").await;
    assert!(metrics.contains("tenantd_config_reloads_total{outcome=\"failed\"} 1"), "{metrics}");
    assert!(metrics.contains("\ntenantd_config_stale 1"), "{metrics}");
    let shown = page(&address, "/status").await;
    assert!(shown.contains("could not be read anew") && shown.contains("canary.size"), "{shown}");
    // The keyring was sound, and is not taken over without the rest.
    fleet.given_tenants(1).await;
    eventually("ready", Duration::from_secs(30), || fleet.is_quiet()).await;
    let new: Value = serde_json::from_str(new.expose_to_keys_generate()).unwrap();
    assert_ne!(
        column(&fleet, "SELECT key_id FROM tenantd.secrets").await,
        [new["keys"][0]["kid"].as_str().unwrap()]
    );

    // What only the reader of a file can judge is told with the rest.
    let sound = std::fs::read(home.path("keyring.json")).unwrap();
    home.write("keyring.json", "nonsense");
    reload(&home, &daemon).await;
    let told = std::fs::read_to_string(home.path(LOG)).unwrap();
    let last = told.lines().rfind(|line| line.contains("could not be read anew")).unwrap();
    assert!(last.contains("canary.size") && last.contains("vault.keyring_file"), "{last}");
    std::fs::write(home.path("keyring.json"), sound).unwrap();

    change(&home, "canary.size = \"many\"\n", "");
    change(&home, "profiles.gold.colour = 5\n", "");
    reload(&home, &daemon).await;

    assert_eq!(says(&home, "was read anew"), 1);
    assert!(page(&address, "/metrics").await.contains("\ntenantd_config_stale 0"));
    let shown = page(&address, "/status").await;
    assert!(shown.contains("read anew ") && shown.contains("; changed: vault.keyring_file"), "{shown}");
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn keyring_profile_credential_and_level_hold_from_the_next_visit_on() {
    let (fleet, home) = made("reload-all").await;
    change(&home, "client_secret = \"region-secret\"", "client_secret = \"region-secret-of-before\"");
    let (daemon, address) = started(&home).await;
    fleet.given_tenants(1).await;
    let refused =
        || async { !column(&fleet, "SELECT reason FROM tenantd.status WHERE failures > 0").await.is_empty() };
    eventually("it is refused", Duration::from_secs(30), refused).await;
    let old: Value = serde_json::from_slice(&std::fs::read(home.path("keyring.json")).unwrap()).unwrap();
    let new = generate_key_set(KeyKind::Symmetric, &OsEntropy).unwrap();
    let new: Value = serde_json::from_str(new.expose_to_keys_generate()).unwrap();
    let kid = new["keys"][0]["kid"].as_str().unwrap();
    home.write("keyring.json", &json!({ "keys": [new["keys"][0], old["keys"][0]] }).to_string());
    change(&home, "region-secret-of-before", "region-secret");
    change(&home, "[[regions]]", "profiles.gold.client_name = \"Gold\"\nlog.level = \"debug\"\n[[regions]]");
    change(&home, "worker.lease = \"10s\"", "worker.lease = \"11s\"");

    reload(&home, &daemon).await;
    fleet.given_more_tenants(2, 2).await;
    fleet.world.at(SystemClock::start().now()).add_tenant(&format!("gold.{SUFFIX}"));
    fleet.db.write(&format!("INSERT INTO tenantd.tenants (external_id, host, profile) VALUES ('gold', 'gold.{SUFFIX}', 'gold')")).await;
    eventually("ready", Duration::from_secs(30), || fleet.is_quiet()).await;

    assert_eq!(column(&fleet, "SELECT key_id FROM tenantd.secrets").await, [kid, kid, kid]);
    let ledger = fleet.ledger();
    let host = format!("gold.{SUFFIX}");
    let names: Vec<_> = ledger.live_clients_of(&host).map(|client| client.name.clone()).collect();
    assert_eq!(names, ["Gold"]);
    let log = std::fs::read_to_string(home.path(LOG)).unwrap();
    assert!(log.contains("DEBUG"), "{log}");
    let line = log.lines().find(|line| line.contains("was read anew")).unwrap();
    let shown = page(&address, "/status").await;
    for name in ["log.level", "profiles.gold.client_name", "regions[us].client_secret", "vault.keyring_file"]
    {
        assert!(line.contains(name) && shown.contains(name), "{name}: {line}\n{shown}");
    }
    assert!(shown.contains("; a restart takes over worker.lease<"), "{shown}");
    assert!(!log.contains("region-secret"), "a name is told, and no secret");
    let restart = log.lines().find(|line| line.contains("only a restart takes over")).unwrap();
    assert!(restart.contains("worker.lease") && !restart.contains("log.level"), "{restart}");
    assert!(daemon.terminate().await.success());
}

/// Log, page and metric say the same, until it is as it was at the start.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_restart_is_counted_until_it_is_as_it_was() {
    let (_fleet, home, daemon, address) = given("reload-pending").await;
    let pending = async |count: u8| {
        let metrics = page(&address, "/metrics").await;
        metrics.contains(&format!("\ntenantd_config_restart_pending {count}\n"))
    };
    assert!(pending(0).await);
    change(&home, "worker.lease = \"10s\"", "worker.lease = \"11s\"\ndatabase.max_connections = 11");

    reload(&home, &daemon).await;
    assert!(pending(2).await);
    change(&home, "worker.poll = \"100ms\"", "worker.poll = \"often\"");
    reload(&home, &daemon).await;

    assert!(pending(2).await, "what could not be read changes nothing of it");
    let shown = page(&address, "/status").await;
    assert!(shown.contains("; a restart takes over database.max_connections, worker.lease<"), "{shown}");
    change(&home, "worker.poll = \"often\"", "worker.poll = \"100ms\"");
    change(&home, "worker.lease = \"11s\"\ndatabase.max_connections = 11", "worker.lease = \"10s\"");
    // That from now on nothing is told of reloads that go well is told, too.
    change(&home, "[[regions]]", "log.level = \"warn\"\n[[regions]]");
    reload(&home, &daemon).await;
    assert!(pending(0).await);
    assert_eq!(says(&home, "only a restart takes over database.max_connections, worker.lease;"), 1);
    assert!(daemon.terminate().await.success());
}

/// Nothing may need it any more. Whoever took it out too soon hears of it from us, not from web apps.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_out_of_the_keyring_is_named() {
    let (_fleet, home, daemon, address) = given("reload-key").await;
    let old: Value = serde_json::from_slice(&std::fs::read(home.path("keyring.json")).unwrap()).unwrap();
    let kid = old["keys"][0]["kid"].as_str().unwrap();
    let new = generate_key_set(KeyKind::Symmetric, &OsEntropy).unwrap();
    home.write("keyring.json", new.expose_to_keys_generate());

    reload(&home, &daemon).await;

    assert_eq!(says(&home, &format!("key {kid} is no longer in the keyring")), 1);
    let shown = page(&address, "/status").await;
    assert!(shown.contains(&format!("; no longer in the keyring: {kid}")), "{shown}");
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_another_region_takes_in_begins_at_once_and_the_page_tells_the_new_budget() {
    let (fleet, home) = made("reload-regions").await;
    let [mine, another] = [SUFFIX, "elsewhere.example"].map(|suffix| format!("hosts = [\"*.{suffix}\"]"));
    change(&home, &mine, &another);
    let (daemon, address) = started(&home).await;
    fleet.given_tenants(1).await;
    let is_parked = || async {
        !column(&fleet, "SELECT parked_reason FROM tenantd.tenants WHERE parked_reason = 'HostNotAllowed'")
            .await
            .is_empty()
    };
    eventually("no region takes it in", Duration::from_secs(30), is_parked).await;
    change(&home, &another, &mine);
    change(&home, "[[regions]]", "budget.removals_per_hour = 54321\n[[regions]]");

    reload(&home, &daemon).await;

    // The upkeep would see to it within a minute.
    eventually("ready", Duration::from_secs(10), || fleet.is_quiet()).await;
    let shown = page(&address, "/status").await;
    assert!(shown.contains("0 of 54,321"), "{shown}");
    assert!(daemon.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_nothing_is_lost_by_one_reload_after_another() {
    const TENANTS: u32 = 200;
    let (fleet, home, daemon, _) = given("reload-load").await;
    fleet.given_tenants(TENANTS).await;
    let mut reloads = 0;

    while !fleet.is_quiet().await {
        let (from, to) = if reloads % 2 == 0 {
            ("worker.poll = \"100ms\"", "worker.poll = \"150ms\"")
        } else {
            ("worker.poll = \"150ms\"", "worker.poll = \"100ms\"")
        };
        change(&home, from, to);
        reload(&home, &daemon).await;
        reloads += 1;
        assert!(reloads < 1000, "{:?}", fleet.counts().await);
    }

    assert!(daemon.terminate().await.success());
    fleet.assert_true_to_the_ledger(TENANTS as usize).await;
    assert_eq!(says(&home, "changed: worker.poll"), reloads);
    assert!(reloads >= 5, "only {reloads} reloads met work: no test of anything");
}
