//! Everything a tour needs, set up in order and taken down again.
//!
//! The rule: whatever was made is removed, whether the tour was seen to its end,
//! failed half way or was interrupted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::config_file::{self, CONCURRENCY, TOO_LATE};
use super::daemon::Daemon;
use super::database::Database;
use super::error::TourError;
use super::samples::{CORRECTED_HOST, SUFFIXES, Sample};
use super::{log_file, screen::Screen};
use crate::app;
use crate::demo::config::{Reach, pattern};
use crate::demo::faults;
use crate::demo::scratch::Scratch;
use crate::ports::{Clock, Entropy};
use crate::postgres::Store;
use crate::settings::Layered;
use crate::simulator::tls::{self, Server};
use crate::simulator::{Behaviour, Ledger, World};
use crate::system::{OsEntropy, SystemClock};
use crate::vault::{KeyKind, generate_key_set};

/// How long every answer of the simulated Qlik Cloud takes, so that one can watch.
const LATENCY: Duration = Duration::from_millis(80);
/// The id of the regions' OAuth client.
const REGION_CLIENT: &str = "tenantd-demo";

pub(super) struct Stage {
    pub(super) daemon: Daemon,
    pub(super) store: Store,
    pub(super) database: Database,
    pub(super) files: Files,
    cloud: Cloud,
    scratch: Scratch,
}

/// What people find their way with.
pub(super) struct Files {
    pub(super) config: PathBuf,
    pub(super) database_url: PathBuf,
}

/// The simulated Qlik Cloud.
struct Cloud {
    world: World,
    clock: Arc<SystemClock>,
    server: Server,
    secret: SecretString,
}

impl Stage {
    /// Sets everything up and tells of it.
    pub(super) async fn set(
        given: Option<SecretString>,
        seed: u64,
        customers: &[Sample],
        screen: &mut Screen,
    ) -> Result<Self, TourError> {
        let scratch = Scratch::create().map_err(TourError::os("make a directory under /tmp"))?;
        let log = begin_log(&scratch)?;
        let database = Database::open(given).await?;
        match furnish(&scratch, &database, seed, customers, screen).await {
            Ok((cloud, files, store, daemon)) => {
                let log = log.map_or_else(String::new, |log| format!("; its log: {}", log.display()));
                tell(screen, &format!("the daemon runs, {CONCURRENCY} tenants at a time{log}"))?;
                Ok(Self { daemon, store, database, files, cloud, scratch })
            }
            Err(error) => {
                // Its own failure would hide the cause.
                if let Err(also) = database.close().await {
                    tracing::warn!("the demo's database could not be closed: {also}");
                }
                Err(error)
            }
        }
    }

    /// What happened at Qlik Cloud so far.
    pub(super) fn ledger(&self) -> Ledger {
        self.cloud.world.at(self.cloud.clock.now()).ledger()
    }

    /// Takes everything down.
    pub(super) async fn strike(self) -> Result<(), TourError> {
        self.daemon.stop().await;
        self.cloud.server.stop().await;
        let closed = self.database.close().await;
        let removed = tokio::task::spawn_blocking(move || drop(self.scratch)).await;
        removed.map_err(|error| TourError::panicked("remove the demo's directory", error))?;
        closed
    }
}

async fn furnish(
    scratch: &Scratch,
    database: &Database,
    seed: u64,
    customers: &[Sample],
    screen: &mut Screen,
) -> Result<(Cloud, Files, Store, Daemon), TourError> {
    let (version, migrations) = (database.version().await?, database.migrate().await?);
    let (whose, fate) = match database.private_directory() {
        Some(directory) => (format!("of its own, in {}", directory.display()), ""),
        None => ("of yours".to_owned(), ", dropped at the end"),
    };
    tell(screen, &format!("PostgreSQL {version} {whose}; schema tenantd, {migrations} migrations{fate}"))?;

    let cloud = Cloud::open(seed, customers).await?;
    let hosts = SUFFIXES.map(pattern).join(" and ");
    tell(screen, &format!("Qlik Cloud, simulated over TLS on {}, for {hosts}", cloud.server.addr()))?;

    let files = write_files(scratch, database, &cloud)?;
    let (settings, _deliberate_haste) = Layered::load(Some(&files.config), [])?.settings()?;
    let store = app::open_store(&database.connections).await?;
    Ok((cloud, files, store, Daemon::start(settings).await?))
}

fn tell(screen: &mut Screen, what: &str) -> Result<(), TourError> {
    let mark = screen.paint().good("✓");
    screen.say(&format!("  {mark} {what}")).map_err(TourError::os("write to standard output"))
}

/// The log's path, unless this process logs elsewhere already.
fn begin_log(scratch: &Scratch) -> Result<Option<PathBuf>, TourError> {
    let (path, file) = scratch.file("daemon.log").map_err(TourError::os("make the log file"))?;
    Ok(log_file::begin(file).then_some(path))
}

impl Cloud {
    async fn open(seed: u64, customers: &[Sample]) -> Result<Self, TourError> {
        let secret = format!("{:032x}", OsEntropy.bits());
        let behaviour = Behaviour { any_host: true, ..Behaviour::default() };
        let world = World::new(behaviour, faults::by_chance().with_latency(LATENCY), seed);
        let world =
            SUFFIXES.iter().fold(world, |world, suffix| world.with_region(suffix, REGION_CLIENT, &secret));
        let hosts: Vec<&str> = customers.iter().map(|customer| customer.host.as_str()).collect();
        faults::script(&world, &hosts, TOO_LATE);
        faults::spare(&world, CORRECTED_HOST);
        let clock = Arc::new(SystemClock::start());
        let suffixes = SUFFIXES.map(str::to_owned).to_vec();
        let options = tls::Options { suffixes, ..tls::Options::default() };
        let server = Server::start(world.clone(), Arc::clone(&clock), options).await?;
        Ok(Self { world, clock, server, secret: secret.into() })
    }
}

fn write_files(scratch: &Scratch, database: &Database, cloud: &Cloud) -> Result<Files, TourError> {
    let write = |name: &str, text: &str| {
        scratch.write(name, text).map_err(TourError::os(format!("write {name} to the demo's directory")))
    };
    let keys = generate_key_set(KeyKind::Symmetric, &OsEntropy)?;
    let keyring = write("keyring.json", keys.expose_to_keys_generate())?;
    let database_url = write("database-url", database.url.expose_secret())?;
    let reach = Reach {
        addr: cloud.server.addr(),
        ca_file: &write("ca.pem", cloud.server.ca_pem())?,
        suffixes: &SUFFIXES.map(str::to_owned),
        client_id: REGION_CLIENT,
        client_secret: &cloud.secret,
    };
    let config = write("tenantd.toml", &config_file::text(&database_url, &keyring, &reach))?;
    Ok(Files { config, database_url })
}
