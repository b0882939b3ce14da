//! The composition root: the room that puts settings, adapters and the engine together.
//!
//! It turns checked settings into a running daemon, and into what commands that ask Qlik
//! work with.
//!
//! The rule: whatever cannot work is said before the first tenant is claimed, with its
//! remedy. The daemon waits for a database that is away; a command says so and ends.

mod dial;
mod reload;
mod start;
mod terms;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::engine::dispatch::{Left, Mode};
use crate::engine::generations::Generations;
use crate::engine::pulse::Task;
use crate::engine::shutdown::Stop;
use crate::engine::{Engine, Terms};
use crate::ports::Clock;
use crate::postgres::work::listener;
use crate::postgres::{Store, StoreError};
use crate::qlik::{Cloud, CloudOptions};
use crate::settings::{self, Settings};
use crate::system::{OsEntropy, SystemClock};
use crate::telemetry::traces::{Collector, Traces};
use crate::vault::{Keyring, Vault};
use crate::visits::inspect::Inspector;

pub use reload::Reloaded;
use start::LOOK_AGAIN;
pub use start::{
    StartError, api_connections, connections, holder, is_read_only, open_for_work, open_store, reach,
    started, wait_for_store, work_connections,
};
use terms::credentials;
pub use terms::terms;

/// How long a command waits for a tenant that somebody works on: longer than most steps take.
const LEASE_PATIENCE: Duration = Duration::from_secs(20);

/// Qlik Cloud as the settings reach it. Consumes the regions' credentials.
pub fn cloud(settings: &mut Settings, clock: Arc<dyn Clock>) -> Result<Cloud, StartError> {
    let ca_pem = settings.qlik.ca_file.as_ref().map(|path| {
        settings::certificates(path)
            .map_err(|error| StartError::CaFile { path: path.display().to_string(), error })
    });
    let options = CloudOptions {
        request_timeout: settings.qlik.request_timeout,
        connect_timeout: settings.qlik.connect_timeout,
        read_timeout: settings.qlik.read_timeout,
        ca_pem: ca_pem.transpose()?,
        connect_to: settings.qlik.connect_to,
        proxy: settings.qlik.proxy.as_ref().map(|proxy| proxy.expose_secret().to_owned()),
    };
    Ok(Cloud::new(&options, credentials(settings), clock)?)
}

/// What commands that visit tenants at Qlik work with. Opens no connection.
pub fn inspector(mut settings: Settings, store: Store) -> Result<Arc<Inspector<Cloud>>, StartError> {
    let terms = terms(&settings);
    let api = cloud(&mut settings, Arc::new(SystemClock::start()))?;
    Ok(Arc::new(Inspector { api, store, terms, patience: LEASE_PATIENCE }))
}

/// Everything but the database: what can be checked before waiting for that.
pub struct Parts {
    cloud: Cloud,
    vault: Vault,
    terms: Terms,
    traces: Option<(Collector, f64)>,
}

impl Parts {
    /// Loads the keyring and builds the HTTPS client. Takes the regions' credentials.
    pub fn of(settings: &mut Settings) -> Result<Self, StartError> {
        let terms = terms(settings);
        let vault = Vault::new(Keyring::load(&settings.vault.keyring_file)?);
        let cloud = cloud(settings, Arc::new(SystemClock::start()))?;
        let collector = settings.traces.collector.as_ref();
        let collector = collector.map(|it| Collector::new(&it.endpoint, &it.headers)).transpose()?;
        let traces = collector.map(|collector| (collector, settings.traces.ratio));
        Ok(Self { cloud, vault, terms, traces })
    }

    /// An engine on this store.
    #[must_use]
    pub fn engine(self, store: Store) -> Arc<Engine<Cloud>> {
        let clock = Box::new(SystemClock::start());
        let traces = self.traces.map_or_else(Traces::default, |(collector, share)| {
            Traces::start(collector, share, store.holder())
        });
        let mut engine = Engine::new(self.cloud, store, self.vault, clock, Box::new(OsEntropy), self.terms);
        engine.traces = traces;
        Arc::new(engine)
    }
}

/// Why a daemon ended that nobody stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task that the daemon needs has ended: a defect.
    #[error("{0} has ended, a defect of tenantd: please report it; a daemon that is started again goes on")]
    TaskEnded(&'static str),
}

/// Runs an engine with all its loops until stopped, or in [`Mode::Once`] until
/// nothing is due. A loop that ends by itself ends the daemon: others would go on in
/// silence without what it did.
///
/// # Errors
///
/// [`RunError::Store`] when the rows cannot be sorted by region, and in [`Mode::Once`] also
/// when a claim fails. The daemon waits out an outage, [`Mode::Once`] does not.
/// [`RunError::TaskEnded`] when a loop ended by itself.
pub async fn run(engine: Arc<Engine<Cloud>>, stop: Stop, mode: Mode) -> Result<Left, RunError> {
    run_all(Arc::new(Generations::new(engine)), stop, mode).await
}

/// The same under whatever configuration holds.
///
/// # Errors
///
/// As of [`run`].
pub async fn run_all(generations: Arc<Generations<Cloud>>, stop: Stop, mode: Mode) -> Result<Left, RunError> {
    adopt_regions(&generations.now(), &stop, mode).await?;
    let wake = Arc::new(Notify::new());
    let background = stop.abort.child_token();
    let mut tasks = loops(&generations, &wake, &background);
    let ended = Arc::new(OnceLock::new());
    let watching = {
        let (stop, ended, generations, background) =
            (stop.clone(), Arc::clone(&ended), Arc::clone(&generations), background.clone());
        tokio::spawn(async move {
            while let Some(task) = tasks.join_next().await {
                if !background.is_cancelled() {
                    note_end(&generations.now(), task, &ended);
                    stop.drain.cancel();
                }
            }
        })
    };
    if mode == Mode::Once {
        // Nobody else may ever run, and then nobody would ask for what regions lack.
        generations.now().tend_regions().await?;
    }
    // Boxed: it holds all that a claim takes.
    let left = Box::pin(generations.dispatch(&wake, &stop, mode)).await;
    background.cancel();
    stop.abort.run_until_cancelled(watching).await;
    let engine = generations.now();
    stop.abort.run_until_cancelled(engine.traces.finish()).await;
    match ended.get() {
        Some(task) => Err(RunError::TaskEnded(task)),
        None => Ok(left?),
    }
}

/// Everything that goes on beside the claims.
fn loops(
    generations: &Arc<Generations<Cloud>>,
    wake: &Arc<Notify>,
    background: &CancellationToken,
) -> JoinSet<Task> {
    let mut tasks = JoinSet::new();
    {
        let (hearing, wake, stop) = (generations.now(), Arc::clone(wake), background.clone());
        tasks.spawn(async move {
            listener::listen(hearing.store.connections().listening(), &wake, stop).await;
            Task::WakeUps
        });
        let (beating, stop) = (Arc::clone(generations), background.clone());
        tasks.spawn(async move {
            beating.heartbeat(&stop).await;
            Task::Heartbeat
        });
        let (watching, stop) = (Arc::clone(generations), background.clone());
        tasks.spawn(async move {
            watching.watch_breakers(&stop).await;
            Task::Breakers
        });
        let (keeping, stop) = (Arc::clone(generations), background.clone());
        tasks.spawn(async move {
            if let Err(error) = keeping.run_schedules(stop).await {
                tracing::error!(%error, "the upkeep cannot be scheduled: {error}");
            }
            Task::Upkeep
        });
    }
    tasks
}

/// A loop ended that should not have: it returned, or it panicked, and then nobody knows which.
fn note_end(engine: &Engine<Cloud>, task: Result<Task, JoinError>, ended: &OnceLock<&'static str>) {
    let name = task.map_or("a task that panicked", |task| {
        engine.pulse.ended(task);
        task.as_str()
    });
    tracing::error!("{name} has ended: a defect of tenantd, please report it; draining");
    ended.get_or_init(|| name);
}

/// Counts the fleet once, so that whoever finds this process ready finds its numbers too.
/// It waits out an outage. Any other failure is noted, and keeps nobody from work.
pub async fn count_fleet(engine: &Engine<Cloud>, stop: &Stop) {
    while let Some(Err(error)) = stop.drain.run_until_cancelled(engine.gauge()).await {
        engine.outage.note(&error);
        if !error.is_outage() {
            return;
        }
        stop.drain.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await;
    }
}

/// Sorts the rows by the regions of this configuration, before the first claim.
async fn adopt_regions(engine: &Engine<Cloud>, stop: &Stop, mode: Mode) -> Result<(), StoreError> {
    while let Some(adopted) = stop.drain.run_until_cancelled(engine.adopt_regions()).await {
        match adopted {
            Err(error) if error.is_contended() || mode == Mode::Daemon && error.is_outage() => {
                engine.outage.note(&error);
            }
            other => return other,
        }
        stop.drain.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await;
    }
    Ok(())
}
