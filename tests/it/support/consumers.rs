//! Web apps that read and use credentials all the time, and never forget what they saw.
//!
//! A consumer takes the highest version it ever saw of a tenant and goes on with that, as
//! the README tells it to. What is counted: secrets that were deleted at Qlik while a
//! consumer used them, and numbers that were given to two secrets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::ports::Clock;
use tenantd::simulator::World;
use tenantd::system::SystemClock;
use tenantd::vault::{Keyring, SealedFor, Vault};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// What a consumer has in use for a tenant.
#[derive(Debug, Clone)]
struct InUse {
    version: i32,
    host: String,
    client_id: String,
    secret: String,
}

/// What all of them saw.
#[derive(Debug, Default)]
struct Seen {
    in_use: BTreeMap<String, InUse>,
    /// By tenant and version.
    numbers: BTreeMap<(String, i32), String>,
    /// Clients of tenants that were removed.
    given_up: Vec<String>,
    deleted: Vec<String>,
    twice: Vec<String>,
    reads: u32,
}

/// Consumers at work; dropped, they stop.
pub(crate) struct Consumers {
    seen: Arc<Mutex<Seen>>,
    working: JoinHandle<()>,
}

type Row = (Uuid, String, String, String, i32, String);

impl Consumers {
    /// They read the database at this address, when it is to be had.
    pub(crate) fn of(url: &str, keyring: &Path, world: &World) -> Self {
        Self::start(url, keyring, world, false)
    }

    /// The same, and they acknowledge each version when they have switched to it.
    pub(crate) fn that_acknowledge(url: &str, keyring: &Path, world: &World) -> Self {
        Self::start(url, keyring, world, true)
    }

    fn start(url: &str, keyring: &Path, world: &World, acknowledges: bool) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(1));
        let pool = pool.connect_lazy(url).unwrap();
        let (vault, world, noting) =
            (Vault::new(Keyring::load(keyring).unwrap()), world.clone(), Arc::clone(&seen));
        let working = tokio::spawn(async move {
            loop {
                let rows = sqlx::query_as::<_, Row>(
                    "SELECT tenant_id, external_id, host, client_id, version, sealed FROM tenantd.credentials",
                )
                .fetch_all(&pool)
                .await;
                let taken = noting.lock().unwrap().take_note(rows.unwrap_or_default(), &vault, &world);
                for (external_id, version) in taken.into_iter().filter(|_| acknowledges) {
                    let acknowledge = sqlx::query("SELECT tenantd.acknowledge($1, $2)");
                    // A database that was promoted meanwhile may not know the version any more.
                    acknowledge.bind(external_id).bind(version).execute(&pool).await.ok();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { seen, working }
    }

    /// How often they read.
    pub(crate) fn reads(&self) -> u32 {
        self.seen.lock().unwrap().reads
    }

    /// The highest version that was ever seen of a tenant.
    pub(crate) fn highest(&self, external_id: &str) -> Option<i32> {
        self.seen.lock().unwrap().in_use.get(external_id).map(|in_use| in_use.version)
    }

    /// Nothing that was in use was taken away, and no number was given twice.
    pub(crate) fn assert_unharmed(&self, after: &str) {
        let seen = self.seen.lock().unwrap();
        assert!(seen.deleted.is_empty(), "after {after}: deleted while in use: {:#?}", seen.deleted);
        assert!(seen.twice.is_empty(), "after {after}: given to two secrets: {:#?}", seen.twice);
    }

    /// The tenant is not wanted any more: what becomes of the client that it has harms nobody.
    pub(crate) fn forget(&self, external_id: &str) {
        let mut seen = self.seen.lock().unwrap();
        if let Some(in_use) = seen.in_use.remove(external_id) {
            seen.given_up.push(in_use.client_id);
        }
    }
}

impl Drop for Consumers {
    fn drop(&mut self) {
        self.working.abort();
    }
}

impl Seen {
    /// Returns what it takes up now.
    fn take_note(&mut self, rows: Vec<Row>, vault: &Vault, world: &World) -> Vec<(String, i32)> {
        let mut taken = Vec::new();
        self.reads += u32::from(!rows.is_empty());
        for (tenant, external_id, host, client_id, version, sealed) in rows {
            let (parsed, client) = (Host::parse(&host).unwrap(), ClientId::new(client_id.as_str()));
            let row = SealedFor { tenant_id: TenantId(tenant), host: &parsed, client_id: &client };
            let secret = vault.open(&sealed, &row).unwrap().expose_to_token_endpoint().to_owned();
            let first = self.numbers.entry((external_id.clone(), version)).or_insert_with(|| secret.clone());
            if *first != secret {
                self.twice.push(format!("{external_id} version {version}"));
            }
            let is_newer = self.in_use.get(&external_id).is_none_or(|in_use| in_use.version < version);
            if is_newer && !self.given_up.contains(&client_id) {
                taken.push((external_id.clone(), version));
                self.in_use.insert(external_id, InUse { version, host, client_id, secret });
            }
        }
        let mut world = world.at(SystemClock::start().now());
        let mut gone = Vec::new();
        for (external_id, InUse { version, host, client_id, secret }) in &self.in_use {
            if !world.accepts(host, client_id, secret) {
                gone.push(external_id.clone());
                self.deleted.push(format!("{external_id} version {version}"));
            }
        }
        for external_id in gone {
            self.in_use.remove(&external_id);
        }
        taken
    }
}
