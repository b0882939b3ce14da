//! Stored secrets are sealed anew under another key while daemons rotate and the command is
//! killed: every secret opens, none is lost.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, KeyId, TenantId};
use tenantd::domain::secret::ClientSecret;
use tenantd::ports::Clock;
use tenantd::postgres::Store;
use tenantd::postgres::operator::rekey::Exchange;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tenantd::system::{OsEntropy, SystemClock};
use tenantd::vault::{KeyKind, Keyring, SealedFor, Vault, generate_key_set};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::fleet::Fleet;
use crate::support::postgres::{connections, test_db};
use crate::support::process::{Home, eventually};
use crate::support::rig::SUFFIX;

/// Tenants of a real daemon, which are rotated all the time.
const ROTATED: u32 = 8;
const BRISK: &str = r#"
    worker.poll = "100ms"
    audit.every = "never"
    budget.changes_per_hour = 1000000
"#;

/// A key set and its keys, as JSON.
fn key_set(kind: KeyKind) -> Value {
    serde_json::from_str(generate_key_set(kind, &OsEntropy).unwrap().expose_to_keys_generate()).unwrap()
}

/// One set with the keys of these, in this order.
fn joined(sets: &[&Value]) -> String {
    let keys: Vec<_> = sets.iter().flat_map(|set| set["keys"].as_array().unwrap().clone()).collect();
    json!({ "keys": keys }).to_string()
}

fn vault(sets: &[&Value]) -> Vault {
    Vault::new(Keyring::parse(joined(sets).as_bytes()).unwrap())
}

fn kid(set: &Value) -> &str {
    set["keys"][0]["kid"].as_str().unwrap()
}

fn text_of(number: i32) -> String {
    format!("the secret of {number}")
}

/// So many tenants that nobody works on, each with a secret of this vault's.
async fn given_stored(pool: &PgPool, vault: &Vault, count: i32) {
    for first in (1..=count).step_by(10_000) {
        let numbers: Vec<i32> = (first..=count.min(first + 9_999)).collect();
        let made: Vec<(Uuid, String, String)> = sqlx::query_as(
            "INSERT INTO tenantd.tenants (external_id, host)
             SELECT 'stored-' || n, 's' || n || '.' || $2 FROM unnest($1) AS n
             RETURNING tenant_id, external_id, host",
        )
        .bind(&numbers)
        .bind(SUFFIX)
        .fetch_all(pool)
        .await
        .unwrap();
        sqlx::query(
            "UPDATE tenantd.tenants SET phase = 'ready', client_id = 'cid', current_version = 1, ready_at = now(), due_at = NULL
              WHERE external_id LIKE 'stored-%' AND phase = 'pending'",
        )
        .execute(pool)
        .await
        .unwrap();
        let client = ClientId::new("cid");
        let sealed: Vec<(Uuid, String, String)> = made
            .into_iter()
            .map(|(tenant, external_id, host)| {
                let number = external_id.trim_start_matches("stored-").parse().unwrap();
                let host = Host::parse(&host).unwrap();
                let row = SealedFor { tenant_id: TenantId(tenant), host: &host, client_id: &client };
                let sealed = vault.seal(&row, &ClientSecret::new(text_of(number)), &OsEntropy).unwrap();
                (tenant, sealed.as_str().to_owned(), sealed.kid().as_str().to_owned())
            })
            .collect();
        sqlx::query(
            "INSERT INTO tenantd.secrets (tenant_id, client_id, sealed, key_id, standing, version, proven_at)
             SELECT t, 'cid', s, k, 'current', 1, now() FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (t, s, k)",
        )
        .bind(sealed.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(sealed.iter().map(|it| it.1.clone()).collect::<Vec<_>>())
        .bind(sealed.iter().map(|it| it.2.clone()).collect::<Vec<_>>())
        .execute(pool)
        .await
        .unwrap();
    }
}

async fn held_by(pool: &PgPool, kid: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM tenantd.secrets WHERE key_id = $1")
        .bind(kid)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Every secret with what is in it: tenant, host, client, standing, and the text.
async fn opened(pool: &PgPool, vault: &Vault) -> Vec<(String, Host, String, String, ClientSecret)> {
    let rows: Vec<(Uuid, String, String, String, String, String)> = sqlx::query_as(
        "SELECT t.tenant_id, t.external_id, t.host, s.client_id, s.standing, s.sealed
           FROM tenantd.secrets AS s JOIN tenantd.tenants AS t USING (tenant_id)",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let open = |(tenant, external_id, host, client, standing, sealed): (
        Uuid,
        String,
        String,
        String,
        String,
        String,
    )| {
        let (host, client_id) = (Host::parse(&host).unwrap(), ClientId::new(client.clone()));
        let row = SealedFor { tenant_id: TenantId(tenant), host: &host, client_id: &client_id };
        let secret = vault.open(&sealed, &row).unwrap_or_else(|error| panic!("{external_id}: {error}"));
        (external_id, host, client, standing, secret)
    };
    rows.into_iter().map(open).collect()
}

/// Whoever uses them has switched: what was before retires at once.
async fn acknowledge(pool: &PgPool) {
    let current = "SELECT tenantd.acknowledge(external_id, version) FROM tenantd.credentials
                    WHERE stage = 'current' AND external_id LIKE 'customer-%'";
    // One of them may just be rotated again.
    sqlx::query(current).execute(pool).await.ok();
}

/// Asks for one rotation after another until told to stop.
async fn rotate_until(pool: PgPool, stop: CancellationToken) -> u64 {
    let mut asked = 0;
    while !stop.is_cancelled() {
        let done = sqlx::query(
            "UPDATE tenantd.tenants SET desired_version = desired_version + 1
              WHERE external_id LIKE 'customer-%' AND phase = 'ready'",
        );
        asked += done.execute(&pool).await.unwrap().rows_affected();
        acknowledge(&pool).await;
        stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(100))).await;
    }
    asked
}

struct Rekeying<'a> {
    home: &'a Home,
    per_second: &'a str,
}

impl Rekeying<'_> {
    fn command(&self) -> Command {
        self.home.command(&[
            "keys",
            "rekey",
            "--keyring",
            self.home.path("both.json").to_str().unwrap(),
            "--per-second",
            self.per_second,
            "--output",
            "json",
        ])
    }

    fn start(&self) -> Child {
        self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts it and kills it so often, further on each time; returns how many met it under way.
    async fn killed(&self, pool: &PgPool, new: &str, count: i32, kills: i32) -> i32 {
        let mut hit = 0;
        for kill in 1..=kills {
            let mut running = self.start();
            let far = i64::from(count) * i64::from(kill) / i64::from(kills + 1);
            eventually("some are sealed anew", Duration::from_mins(10), || async {
                held_by(pool, new).await >= far
            })
            .await;
            hit += i32::from(running.try_wait().unwrap().is_none());
            running.kill().unwrap();
            running.wait().unwrap();
        }
        hit
    }

    /// Runs it to its end: its exit code, and what it says.
    async fn finish(&self) -> (i32, Value) {
        let mut command = self.command();
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = serde_json::from_slice(&output.stdout);
        let said = said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), said)
    }
}

/// Seals so many secrets anew beside a daemon that rotates, with so many kills on the way.
async fn prove(name: &str, count: i32, kills: i32, per_second: &str) {
    let world = World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, FaultPlan::none(), 11);
    let fleet = Fleet::new(world).await;
    let home = Home::for_fleet(&fleet, name, BRISK);
    let old: Value = serde_json::from_slice(&std::fs::read(home.path("keyring.json")).unwrap()).unwrap();
    let new = key_set(KeyKind::Symmetric);
    home.write("both.json", &joined(&[&new, &old]));
    given_stored(fleet.pool(), &vault(&[&old]), count).await;
    fleet.given_tenants(ROTATED).await;
    let daemon = home.daemon("daemon.log");
    eventually("ready", Duration::from_mins(1), || fleet.is_quiet()).await;
    let stop = CancellationToken::new();
    let rotating = tokio::spawn(rotate_until(fleet.pool().clone(), stop.clone()));

    let rekeying = Rekeying { home: &home, per_second };
    let clock = SystemClock::start();
    let hit = rekeying.killed(fleet.pool(), kid(&new), count, kills).await;
    assert!(hit * 2 >= kills, "only {hit} kills met work under way: no test of anything");
    let (code, beside_the_old) = rekeying.finish().await;
    assert!([0, 3].contains(&code), "{beside_the_old}");
    let took = clock.elapsed();
    assert_eq!(beside_the_old["unopened"], json!({}), "{beside_the_old}");
    // From here on the daemon seals under the new key too.
    home.write("keyring.json", &joined(&[&new, &old]));
    daemon.signal("HUP");
    let is_told =
        || async { std::fs::read_to_string(home.path("daemon.log")).unwrap().contains("was read anew") };
    eventually("the configuration is read anew", Duration::from_secs(30), is_told).await;
    eventually("nothing is left", Duration::from_mins(1), || async { rekeying.finish().await.0 == 0 }).await;
    stop.cancel();
    let asked = rotating.await.unwrap();
    let at_rest = || async {
        acknowledge(fleet.pool()).await;
        fleet.is_quiet().await
    };
    eventually("at rest", Duration::from_mins(1), at_rest).await;
    assert!(daemon.terminate().await.success());

    let found = opened(fleet.pool(), &vault(&[&new])).await;
    let stored: Vec<_> = found.iter().filter(|it| it.0.starts_with("stored-")).collect();
    assert_eq!(stored.len(), usize::try_from(count).unwrap(), "secrets that nobody rotated");
    for (external_id, _, _, _, secret) in stored {
        let number = external_id.trim_start_matches("stored-").parse().unwrap();
        assert_eq!(secret.expose_to_vault(), text_of(number), "{external_id}");
    }
    let current: Vec<_> =
        found.iter().filter(|it| it.0.starts_with("customer-") && it.3 == "current").collect();
    assert_eq!(current.len(), ROTATED as usize);
    for (external_id, host, client, _, secret) in current {
        let mut world = fleet.world.at(SystemClock::start().now());
        assert!(world.accepts(host.as_str(), client, secret.expose_to_vault()), "{external_id}");
    }
    assert_eq!(held_by(fleet.pool(), kid(&old)).await, 0);
    assert!(asked > u64::from(ROTATED), "only {asked} rotations were asked for");
    println!(
        "{count} secrets sealed anew in {took:?} with {hit} kills under way ({:.0} a second), {asked} rotations meanwhile",
        f64::from(count) / took.as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_lost_by_kills_and_rotations() {
    prove("rekey", 240, 4, "100").await;
}

/// `make rekey-check`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make rekey-check"]
async fn a_hundred_thousand_secrets_survive_twenty_kills() {
    prove("rekey-check", 100_000, 20, "2000").await;
}

#[tokio::test]
async fn a_text_is_exchanged_only_while_it_is_the_one_that_was_read_and_nobody_is_waited_for() {
    let db = test_db().await;
    let (old, new) = (key_set(KeyKind::Symmetric), key_set(KeyKind::Symmetric));
    given_stored(&db.pool, &vault(&[&old]), 3).await;
    let store =
        Store::open(connections(&db.url, None), tenantd::domain::ids::Holder(Uuid::nil())).await.unwrap();
    let key = KeyId::new(kid(&new));
    let slice = store.slice_of_secrets(0, &key, 10).await.unwrap();
    assert_eq!(slice.others.len(), 3);
    let text = |place: usize, was: &str| Exchange {
        secret_id: slice.others[place].secret_id,
        was: was.to_owned(),
        sealed: "e.e.e.e.e".to_owned(),
    };
    let texts = [
        text(0, &slice.others[0].sealed),
        text(1, "another.text.was.read.before"),
        text(2, &slice.others[2].sealed),
    ];
    let told = "SELECT string_agg(concat_ws(' ', generation, updated_at, current_version), ',' ORDER BY host) FROM tenantd.tenants";
    let before: String = sqlx::query_scalar(told).fetch_one(&db.pool).await.unwrap();
    let mut events = sqlx::postgres::PgListener::connect_with(&db.pool).await.unwrap();
    events.listen_all(["tenantd_events", "tenantd_work"]).await.unwrap();
    let mut other = db.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM tenantd.secrets WHERE secret_id = $1 FOR UPDATE")
        .bind(slice.others[2].secret_id)
        .execute(&mut *other)
        .await
        .unwrap();

    let exchanged = tokio::time::timeout(Duration::from_secs(3), store.exchange_sealed(&key, &texts)).await;

    assert_eq!(exchanged.unwrap().unwrap(), [slice.others[0].secret_id]);
    other.rollback().await.unwrap();
    // It goes on behind those that need nothing.
    let first = store.slice_of_secrets(0, &key, 1).await.unwrap();
    assert_eq!((first.others.len(), first.end), (0, Some(slice.others[0].secret_id)));
    assert_eq!((held_by(&db.pool, kid(&new)).await, held_by(&db.pool, kid(&old)).await), (1, 2));
    let after: String = sqlx::query_scalar(told).fetch_one(&db.pool).await.unwrap();
    assert_eq!(before, after, "no version, no wake-up");
    sqlx::query("SELECT pg_notify('tenantd_events', 'mine')").execute(&db.pool).await.unwrap();
    assert_eq!(events.recv().await.unwrap().payload(), "mine", "no event");
}
