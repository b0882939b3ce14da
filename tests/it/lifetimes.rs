//! Whole lives of a fleet under real daemons that are killed all the while: from the
//! insert through rotations to the removal.

use std::collections::BTreeMap;
use std::time::Duration;

use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::ports::{Clock, Entropy};
use tenantd::simulator::{Behaviour, ClientLedger, Draft, Endpoint, Fault, FaultPlan, World};
use tenantd::system::{OsEntropy, SystemClock};
use tenantd::vault::{Keyring, SealedFor, Vault};
use uuid::Uuid;

use crate::support::fleet::Fleet;
use crate::support::process::{Daemon, Home};
use crate::support::rig::SUFFIX;
use crate::support::waiting::until_rows;

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
    rotation.overlap = "1m"
    audit.every = "never"
    budget.removals_per_hour = 1000
    log.level = "warn"
"#;

const TENANTS: u32 = 300;
const PATIENCE: Duration = Duration::from_mins(3);

async fn fleet() -> Fleet {
    let faults = FaultPlan::none()
        .with_latency(Duration::from_millis(10))
        .with_share(Endpoint::CreateClient, 0.05, Fault::close_after())
        .with_share(Endpoint::MintSecret, 0.10, Fault::close_after())
        .with_share(Endpoint::DeleteClient, 0.10, Fault::close_after())
        .with_share_of_all(0.03, Fault::status(503));
    Fleet::new(World::new(Behaviour { rate_limits: None, ..Behaviour::default() }, faults, 31)).await
}

/// Two replicas, one of which is always about to be killed.
struct Replicas<'a> {
    home: &'a Home,
    both: [Daemon; 2],
    kills: usize,
    hits: usize,
}

impl<'a> Replicas<'a> {
    fn start(home: &'a Home) -> Self {
        Self { home, both: [home.daemon("a.log"), home.daemon("b.log")], kills: 0, hits: 0 }
    }

    /// Kills one of them at a random moment and starts it again.
    async fn kill(&mut self, fleet: &Fleet) {
        let moment = 20 + OsEntropy.bits() % 230;
        tokio::time::sleep(Duration::from_millis(u64::try_from(moment).unwrap())).await;
        let victim = self.kills % 2;
        self.both[victim].kill();
        self.kills += 1;
        self.hits += usize::from(fleet.held_leases().await > 0);
        self.both[victim] = self.home.daemon(["a.log", "b.log"][victim]);
    }

    async fn terminate(self) {
        for replica in self.both {
            assert!(replica.terminate().await.success(), "a daemon that is asked to stop ends well");
        }
    }
}

/// Clients that are none of ours: half of them look exactly like ours but for the mark.
fn plant_strangers(fleet: &Fleet) -> Vec<(String, ClientLedger)> {
    let mut planted = Vec::new();
    let mut world = fleet.world.at(SystemClock::start().now());
    for number in 1..=40 {
        let host = format!("t{number}.{SUFFIX}");
        let is_alike = number % 2 == 0;
        let draft = Draft {
            app_type: "web".into(),
            client_name: if is_alike { "tenantd".into() } else { format!("by hand {number}") },
            description: if is_alike { "[tenantd:1:not-a-mark]".into() } else { String::new() },
            allowed_grant_types: vec!["client_credentials".into()],
            allowed_scopes: vec!["user_default".into()],
            ..Draft::default()
        };
        let made = world.console(&host, "admin").unwrap().add_client(draft, is_alike).unwrap();
        planted.push((host, made.client_id));
    }
    let ledger = world.ledger();
    let known = |(host, id): (String, String)| {
        let client = ledger.tenants[&host].client(&id).unwrap().clone();
        (host, client)
    };
    planted.into_iter().map(known).collect()
}

async fn count(fleet: &Fleet, condition: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM tenantd.tenants WHERE {condition}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(fleet.pool()).await.unwrap()
}

/// Writes what an owner writes, for the tenants numbered `first` to `last`.
async fn update(fleet: &Fleet, set: &str, first: u32, last: u32) {
    let statement = format!(
        "UPDATE tenantd.tenants SET {set}
          WHERE external_id IN (SELECT 'customer-' || n FROM generate_series({first}, {last}) AS n)"
    );
    let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(fleet.pool()).await.unwrap();
    assert_eq!(done.rows_affected(), u64::from(last + 1 - first));
}

/// Nothing of ours is left anywhere, and the strangers are as they were. Returns how many
/// clients were made, and the most secrets that one ever had at a time.
async fn assert_nothing_is_left_but(fleet: &Fleet, strangers: &[(String, ClientLedger)]) -> (usize, usize) {
    let ledger = fleet.ledger();
    let ours = || {
        let of_tenant = |(host, tenant): (&String, &tenantd::simulator::TenantLedger)| {
            let host = host.clone();
            let ours = tenant.clients.iter().filter(|client| client.description.contains("[tenantd:1:"));
            let ours: Vec<_> =
                ours.filter(|client| !client.description.contains("not-a-mark")).cloned().collect();
            (host, ours)
        };
        ledger.tenants.iter().map(of_tenant).collect::<BTreeMap<_, _>>()
    };
    let mut made = 0;
    for (host, clients) in ours() {
        for client in clients {
            made += 1;
            assert!(client.deleted_at.is_some(), "{host}: client {} lives", client.client_id);
            assert!(!ledger.tenants[&host].has_bot_of(&client.client_id), "{host}: a bot user is left");
        }
    }
    for (host, before) in strangers {
        let after = ledger.tenants[host].client(&before.client_id);
        assert_eq!(after, Some(before), "{host}: somebody else's client was touched");
    }
    assert_eq!(ledger.live_clients, strangers.len());
    assert!(ledger.most_secrets <= 5, "{} secrets at a time", ledger.most_secrets);
    let secrets: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.secrets").fetch_one(fleet.pool()).await.unwrap();
    assert_eq!(secrets, 0, "every ciphertext is shredded");
    (made, ledger.most_secrets)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_lives_under_a_hundred_kills_leave_nothing_behind_and_touch_nobody_else() {
    let fleet = fleet().await;
    fleet.given_more_tenants(1, 40).await;
    let strangers = plant_strangers(&fleet);
    let home = Home::for_fleet(&fleet, "lives", BRISK);
    let mut replicas = Replicas::start(&home);
    let rotate = "desired_version = desired_version + 1";

    // 26 kills while they come, 25 at each rotation, 24 while they go.
    for chunk in 4..30 {
        fleet.given_more_tenants(chunk * 10 + 1, chunk * 10 + 10).await;
        replicas.kill(&fleet).await;
    }
    until_rows(fleet.pool(), 300, "phase = 'ready'").await;
    for version in [2, 3] {
        for chunk in 0..25 {
            update(&fleet, rotate, chunk * 12 + 1, chunk * 12 + 12).await;
            replicas.kill(&fleet).await;
        }
        let rotated = format!("phase = 'ready' AND current_version = {version}");
        until_rows(fleet.pool(), 300, &rotated).await;
    }
    for chunk in 0..24 {
        let first = chunk * TENANTS / 24 + 1;
        update(&fleet, "desired_state = 'absent'", first, (chunk + 1) * TENANTS / 24).await;
        replicas.kill(&fleet).await;
    }
    let gone = "phase = 'removed' AND due_at IS NULL AND lease_holder IS NULL";
    until_rows(fleet.pool(), 300, gone).await;

    let (kills, hits) = (replicas.kills, replicas.hits);
    replicas.terminate().await;
    let (made, most) = assert_nothing_is_left_but(&fleet, &strangers).await;
    println!(
        "{kills} kills, {hits} of them with leases held; {made} clients made and deleted, at most {most} secrets at a time"
    );
    assert_eq!(kills, 100);
    assert!(hits > 33, "only {hits} kills met work under way: no test of anything");
}

/// A web app: reads the view, opens what it finds, gets a token with it, and says when
/// it has switched.
struct Consumer<'a> {
    fleet: &'a Fleet,
    vault: Vault,
    tokens: u32,
    failures: Vec<String>,
    acknowledged: BTreeMap<String, i32>,
}

impl Consumer<'_> {
    async fn look(&mut self) {
        let rows: Vec<(Uuid, String, String, String, i32, String)> = sqlx::query_as(
            "SELECT tenant_id, external_id, host, client_id, version, sealed FROM tenantd.credentials
              WHERE stage = 'current' ORDER BY external_id",
        )
        .fetch_all(self.fleet.pool())
        .await
        .unwrap();
        if rows.len() != APPS as usize {
            self.failures.push(format!("{} current credentials", rows.len()));
        }
        for (tenant, external_id, host, client, version, sealed) in rows {
            let (parsed, client_id) = (Host::parse(&host).unwrap(), ClientId::new(client.as_str()));
            let sealed_for = SealedFor { tenant_id: TenantId(tenant), host: &parsed, client_id: &client_id };
            let secret = self.vault.open(&sealed, &sealed_for).unwrap();
            let works = {
                let mut world = self.fleet.world.at(SystemClock::start().now());
                world.accepts(&host, &client, secret.expose_to_token_endpoint())
            };
            if works {
                self.tokens += 1;
            } else {
                self.failures.push(format!("{external_id}: version {version} got no token"));
            }
            if self.acknowledged.get(&external_id) != Some(&version) {
                self.acknowledge(&external_id, version).await;
            }
        }
    }

    async fn acknowledge(&mut self, external_id: &str, version: i32) {
        let said = sqlx::query("SELECT tenantd.acknowledge($1, $2)")
            .bind(external_id)
            .bind(version)
            .execute(self.fleet.pool())
            .await;
        // It may have rotated on since the view was read: then the next look says so.
        if said.is_ok() {
            self.acknowledged.insert(external_id.to_owned(), version);
        }
    }
}

const APPS: i32 = 5;
const ROTATIONS: i32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_has_a_working_credential_throughout_fifty_rotations_with_faults_and_kills() {
    let fleet = fleet().await;
    fleet.given_more_tenants(1, u32::try_from(APPS).unwrap()).await;
    let home = Home::for_fleet(&fleet, "consumer", BRISK);
    let vault = Vault::new(Keyring::load(&home.path("keyring.json")).unwrap());
    let mut replicas = Replicas::start(&home);
    until_rows(fleet.pool(), 5, "phase = 'ready'").await;
    let mut consumer =
        Consumer { fleet: &fleet, vault, tokens: 0, failures: vec![], acknowledged: BTreeMap::new() };

    let (clock, mut killed) = (SystemClock::start(), Duration::ZERO);
    while count(&fleet, &format!("phase = 'ready' AND current_version > {ROTATIONS}")).await < 5 {
        assert!(clock.elapsed() < PATIENCE, "not within {PATIENCE:?}: {:?}", fleet.counts().await);
        sqlx::query(
            "UPDATE tenantd.tenants SET desired_version = desired_version + 1
              WHERE phase = 'ready' AND current_version = desired_version AND current_version <= $1
                AND acknowledged_version = current_version",
        )
        .bind(ROTATIONS)
        .execute(fleet.pool())
        .await
        .unwrap();
        consumer.look().await;
        if clock.elapsed() > killed + Duration::from_millis(700) {
            // The consumer goes on looking while the victim is awaited.
            let ((), ()) = tokio::join!(consumer.look(), replicas.kill(&fleet));
            killed = clock.elapsed();
        }
    }
    consumer.look().await;

    let (kills, hits, tokens) = (replicas.kills, replicas.hits, consumer.tokens);
    drop(replicas);
    assert_eq!(consumer.failures, Vec::<String>::new());
    let ledger = fleet.ledger();
    assert!(ledger.most_secrets <= 5, "{} secrets at a time", ledger.most_secrets);
    println!(
        "{} rotations, {kills} kills ({hits} with leases held), {tokens} tokens, 0 failures",
        APPS * ROTATIONS
    );
    assert!(kills >= 5 && tokens > 200, "{kills} kills and {tokens} tokens: no test of anything");
}
