//! The database is restored from a backup: Qlik knows more than it does.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::ports::Clock;
use tenantd::simulator::{Behaviour, FaultPlan, Ledger, World};
use tenantd::system::SystemClock;
use tenantd::vault::{Keyring, SealedFor, Vault};
use uuid::Uuid;

use crate::support::fleet::Fleet;
use crate::support::process::Home;
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
    retry.base = "100ms"
    retry.cap = "1s"
    audit.every = "never"
"#;

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn ledger(fleet: &Fleet) -> Ledger {
    fleet.ledger()
}

/// What lives at Qlik: clients and their secrets, by host.
fn alive(fleet: &Fleet) -> BTreeMap<String, Vec<(String, Vec<String>)>> {
    let ledger = ledger(fleet);
    let live = |(host, tenant): (&String, &tenantd::simulator::TenantLedger)| {
        let clients = tenant.live_clients().map(|client| {
            (client.client_id.clone(), client.live_secrets().map(|secret| secret.hint.clone()).collect())
        });
        (host.clone(), clients.collect())
    };
    ledger.tenants.iter().map(live).collect()
}

/// How many current credentials of this database get a token.
async fn working(fleet: &Fleet, pool: &PgPool, vault: &Vault) -> usize {
    let rows: Vec<(Uuid, String, String, String)> = sqlx::query_as(
        "SELECT tenant_id, host, client_id, sealed FROM tenantd.credentials WHERE stage = 'current'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let works = |(tenant, host, client, sealed): &(Uuid, String, String, String)| {
        let (parsed, client_id) = (Host::parse(host).unwrap(), ClientId::new(client.as_str()));
        let row = SealedFor { tenant_id: TenantId(*tenant), host: &parsed, client_id: &client_id };
        let secret = vault.open(sealed, &row).unwrap();
        let mut world = fleet.world.at(SystemClock::start().now());
        world.accepts(host, client, secret.expose_to_token_endpoint())
    };
    rows.iter().filter(|row| works(row)).count()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, from the backup to the agreement")]
async fn after_a_restore_nothing_is_made_twice_nothing_is_deleted_unasked_and_every_tenant_works_again() {
    let faults = FaultPlan::none().with_latency(Duration::from_millis(5));
    let fleet =
        Fleet::new(World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, faults, 41)).await;
    let home = Home::for_fleet(&fleet, "restore", BRISK);
    let vault = Vault::new(Keyring::load(&home.path("keyring.json")).unwrap());

    // 40 tenants, and 10 rows that nobody has worked on yet, are in the backup.
    fleet.given_more_tenants(1, 40).await;
    let daemon = home.daemon("before.log");
    until_rows(fleet.pool(), 40, "phase = 'ready'").await;
    assert!(daemon.terminate().await.success());
    fleet.given_more_tenants(41, 50).await;
    let dump = home.path("backup.sql");
    run("pg_dump", &["--file", dump.to_str().unwrap(), &fleet.db.url]);

    // 20 more are provisioned: those 10, and 10 whose rows the backup does not know.
    // 20 are rotated, and for 10 of these the old secret is gone before the restore.
    let daemon = home.daemon("between.log");
    fleet.given_more_tenants(51, 60).await;
    until_rows(fleet.pool(), 60, "phase = 'ready'").await;
    let twenty = "external_id IN (SELECT 'customer-' || n FROM generate_series(1, 20) AS n)";
    let rotate = format!("UPDATE tenantd.tenants SET desired_version = 2 WHERE {twenty}");
    sqlx::query(AssertSqlSafe(rotate)).execute(fleet.pool()).await.unwrap();
    until_rows(fleet.pool(), 20, "phase = 'ready' AND current_version = 2").await;
    for number in 1..=10 {
        sqlx::query("SELECT tenantd.acknowledge('customer-' || $1::int, 2)")
            .bind(number)
            .execute(fleet.pool())
            .await
            .unwrap();
    }
    until_rows(fleet.pool(), 50, "phase = 'ready' AND retire_at IS NULL AND due_at IS NULL").await;
    assert!(daemon.terminate().await.success());
    let before = alive(&fleet);

    // The restore: another database on the same server.
    let original: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(fleet.pool()).await.unwrap();
    let name = format!("{original}_restored");
    let restored = fleet.db.url.replace(&original, &name);
    let mut owner = PgConnection::connect(&fleet.db.url).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut owner).await.unwrap();
    run("psql", &["--quiet", "--set", "ON_ERROR_STOP=1", "--file", dump.to_str().unwrap(), &restored]);
    let config = std::fs::read_to_string(home.path("tenantd.toml")).unwrap();
    home.write("tenantd.toml", &config.replace(&fleet.db.url, &restored));
    let pool = PgPool::connect(&restored).await.unwrap();
    assert_eq!(working(&fleet, &pool, &vault).await, 30, "ten stored secrets are no good any more");

    // Until somebody says that this is no copy, it is looked at and nothing is changed.
    let daemon = home.daemon("after.log");
    until_rows(&pool, 40, "phase = 'ready' AND NOT must_look AND lease_holder IS NULL").await;
    until_rows(&pool, 10, "wait_reason = 'ChangesHeld'").await;
    assert_eq!(alive(&fleet), before, "a copy changes nothing");
    let refused = home.output(&["rejoin", "--agree"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--confirm"));
    assert!(home.output(&["rejoin", "--confirm"]).status.success());
    until_rows(&pool, 50, "phase = 'ready' AND NOT must_look AND lease_holder IS NULL").await;
    assert_eq!(working(&fleet, &pool, &vault).await, 50, "every tenant works");
    let log = std::fs::read_to_string(home.path("after.log")).unwrap();
    assert_eq!(log.matches("this is another database than the one tenantd ran on").count(), 1, "{log}");
    // Pipelines insert again what the backup lost.
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host)
         SELECT 'customer-' || n, 't' || n || '.' || $1 FROM generate_series(51, 60) AS n",
    )
    .bind(SUFFIX)
    .execute(&pool)
    .await
    .unwrap();
    until_rows(&pool, 10, "parked_reason = 'EarlierClientFound'").await;
    let held = alive(&fleet);
    for (host, clients) in &before {
        assert_eq!(held[host].len(), 1, "{host}: one client");
        assert_eq!(held[host][0].0, clients[0].0, "{host}: the same client");
        let is_kept = |hint: &String| held[host][0].1.contains(hint);
        assert!(clients[0].1.iter().all(is_kept), "{host}: a secret was deleted");
    }
    let (known, versions): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE drift = '{secret_unknown}'), count(*) FILTER (WHERE current_version > 100)
           FROM tenantd.tenants",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(versions, 20, "numbers that consumers may have seen are skipped");
    let status = home.output(&["rejoin", "--status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("deletions are held"), "{status}");
    assert_eq!(status.matches("a client of a row that this database does not know").count(), 10, "{status}");
    let told = status.matches("a secret that this database does not know").count();
    assert_eq!(i64::try_from(told).unwrap(), known, "{status}");
    assert!(known >= 20, "{known} tenants with secrets that the database does not know: {status}");

    // The operator agrees: what works stays, and what may still be in use, though no row knows it.
    until_rows(&pool, 0, crate::failover::UNSEEN).await;
    assert!(home.output(&["rejoin", "--agree"]).status.success());
    until_rows(
        &pool,
        50,
        "phase = 'ready' AND NOT is_adopted AND mint_snapshot IS NULL AND lease_holder IS NULL",
    )
    .await;
    assert!(daemon.terminate().await.success());
    let after = alive(&fleet);
    for (host, clients) in &before {
        let is_kept = |hint: &String| after[host][0].1.contains(hint);
        assert!(clients[0].1.iter().all(is_kept), "{host}: a secret that may be in use was deleted");
    }
    assert_eq!(working(&fleet, &pool, &vault).await, 50);
    assert_eq!(ledger(&fleet).live_clients, 60);
    println!("{}", status.lines().take(3).collect::<Vec<_>>().join("; "));

    pool.close().await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)")))
        .execute(&mut owner)
        .await
        .unwrap();
}
