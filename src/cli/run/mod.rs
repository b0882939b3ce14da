//! `tenantd run`: the daemon, from its settings to its last word.
//!
//! The rule: a daemon that cannot work says so before it waits for anything. While it
//! waits for a database that is away, its HTTP port already answers.

mod once;
mod readiness;
mod reload;
mod signals;
mod summary;
mod systemd;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::anyhow;
use arc_swap::ArcSwap;
use clap::Args;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use self::readiness::Progress;
use self::reload::{Reloading, given};
use super::checked;
use super::exit::Code;
use super::source::Source;
use crate::api::{self, Api, Given};
use crate::app::{self, Parts};
use crate::engine::dispatch::Mode;
use crate::engine::generations::Generations;
use crate::engine::shutdown::Stop;
use crate::http::{self, Door, Pages, Token, TokenSource};
use crate::page::{self, Page};
use crate::settings::{Http, Log, Settings, TokenFile};
use crate::system::{OsEntropy, SystemClock};
use crate::telemetry::logs::{self, Level};
use crate::telemetry::metrics::Metrics;

/// Runs until SIGTERM or SIGINT: the first finishes the steps under way, the
/// second breaks off. SIGHUP reads the configuration anew, all of it or nothing. Waits
/// for a database that is away, starting or read-only, and says so once.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Do what is due, then exit: 0 when nothing is left or the rest is due later, 4
    /// when a tenant is parked or a region lacks its credential or a right. Serves no
    /// HTTP and does not wait for a database; SIGHUP stops it as SIGTERM does
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(args: &RunArgs, source: &Source) -> anyhow::Result<Code> {
    let layered = source.layered()?;
    // Before what they mark: a file that changes meanwhile is found to differ at the next reload.
    let marks = layered.marks();
    let settings = checked::settings(&layered)?;
    let level = start_log(&settings.log)?;
    for warning in &layered.warnings() {
        tracing::warn!("{warning}");
    }
    let (stop, hangups) = (signals::stop()?, signals::hangups()?);
    if args.once {
        signals::drain_at(hangups, &stop);
        return once::run(settings, stop).await;
    }
    let given = Arc::new(ArcSwap::from_pointee(given(&settings)));
    let (source, at_restart) = (source.clone(), vec![]);
    let reloading = Reloading { source, marks, at_restart, level, given, hangups, is_asked: false };
    serve(settings, reloading, stop).await
}

fn start_log(log: &Log) -> Result<Level, logs::InitError> {
    logs::init(log.format, &log.level)
}

/// The daemon between its HTTP port and its work.
async fn serve(mut settings: Settings, reloading: Reloading, stop: Stop) -> anyhow::Result<Code> {
    let metrics = Metrics::install()?;
    let progress = Progress::default();
    let door = door(&settings.http);
    let api = api(&settings, door.clone(), Arc::clone(&reloading.given))?;
    let pages = Pages {
        readiness: readiness::of(app::connections(&settings.database)?, progress.clone()),
        metrics,
        status: status(api.clone()),
        api: api::router(api),
        door,
    };
    let address = settings.http.listen;
    let parts = Parts::of(&mut settings)?;
    let listener = listen(address).await?;
    let closing = CancellationToken::new();
    let http = tokio::spawn(http::serve(listener, pages, closing.clone()));
    let pings = tokio::spawn(systemd::watchdog(progress.clone()));
    let ended = work(parts, &settings, &progress, reloading, stop).await;
    systemd::tell(&[NotifyState::Stopping]);
    pings.abort();
    closing.cancel();
    http.await?;
    ended
}

/// The API, on connections of its own: it cannot keep the work from the database.
fn api(settings: &Settings, door: Door, given: Arc<ArcSwap<Given>>) -> anyhow::Result<Api> {
    Ok(Api::new(api::Parts {
        connections: app::api_connections(&settings.database)?,
        holder: app::holder(&OsEntropy),
        door,
        given,
        store: OnceCell::new(),
    }))
}

/// The page for people, on the same connections.
fn status(api: Api) -> axum::Router {
    let clock = Box::new(SystemClock::start());
    page::router(Page::new(page::Parts { api, clock }))
}

/// The tokens of the port, each read from its file at every request.
fn door(http: &Http) -> Door {
    let source = |file: &TokenFile| {
        let file = file.clone();
        TokenSource::new(move || file.read().map(|read| Token::new(&read.token, read.name)))
    };
    Door { looks: http.looks.as_ref().map(source), acts: http.acts.as_ref().map(source) }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        anyhow!(
            "http.listen {address} cannot be used: {error}; choose another address or port, or stop who has it"
        )
    })?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "http://{address} serves /healthz, /readyz, /metrics, /api/v1 and /status");
    Ok(listener)
}

/// Waits for the store, then claims and works until stopped.
async fn work(
    parts: Parts,
    settings: &Settings,
    progress: &Progress,
    mut reloading: Reloading,
    stop: Stop,
) -> anyhow::Result<Code> {
    // Boxed: it is done once, and would make the daemon's own future larger.
    let opening = Box::pin(app::wait_for_store(&settings.database, settings.qlik.settle));
    let opening = reloading.after(opening);
    let Some(store) = stop.drain.run_until_cancelled(opening).await else {
        tracing::info!("stopped before the database could be used; nothing was claimed");
        return Ok(Code::Done);
    };
    let store = store?;
    let generations = Arc::new(Generations::new(parts.engine(store.clone())));
    app::count_fleet(&generations.now(), &stop).await;
    progress.begin(&generations);
    systemd::tell(&[NotifyState::Ready, NotifyState::Status("claiming due tenants")]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), holder = %store.holder(), "ready: claiming due tenants");
    let reloads = tokio::spawn(reloading.whenever_asked(Arc::clone(&generations)));
    let left = app::run_all(generations, stop.clone(), Mode::Daemon).await;
    reloads.abort();
    let left = left?;
    summary::of_daemon(&store, left, &stop).await
}
