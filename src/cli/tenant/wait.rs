//! `tenantd tenant wait`: until every tenant is ready, or needs a human.
//!
//! The rule: notifications only shorten the wait. The answer is what
//! `tenantd.status` says, and it is asked again and again.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use sqlx::postgres::PgListener;

use super::matching::{MatchingArg, keys};
use super::named::unknown;
use super::standing::{needs_human, standing};
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, OutputArg};
use crate::postgres::operator::tenants::Status;
use crate::postgres::work::listener::listener;
use crate::postgres::{Store, StoreError};

/// The contract's channel of events.
const EVENTS: &str = "tenantd_events";
/// How often to look without being called.
const POLL: Duration = Duration::from_secs(1);
/// Tenants that are asked for at once.
const PAGE: usize = 1000;

/// Ends when each tenant is ready or needs a human: with 0 when all are ready,
/// 4 when one needs a human or is removed, 5 when the time is up before that.
// `--version` is that of a credential here, not of the program.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(in crate::cli) struct WaitArgs {
    /// The tenants, by the pipeline's keys
    #[arg(required_unless_present = "filter", conflicts_with = "filter", value_name = "EXTERNAL_ID")]
    external_ids: Vec<String>,
    #[command(flatten)]
    matching: MatchingArg,
    /// Wait until the current credential has this version or a later one
    #[arg(long, value_name = "N")]
    version: Option<i32>,
    /// Give up after this long
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration, value_name = "DURATION")]
    timeout: Duration,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &WaitArgs, store: &Store) -> anyhow::Result<Code> {
    let matching = match args.matching.read()? {
        // Whoever only looks need not be asked.
        Some(of) => keys(store, &of, "wait for", true).await?,
        None => Vec::new(),
    };
    let wanted: Vec<_> = args
        .external_ids
        .iter()
        .chain(&matching)
        .map(|id| Wanted { external_id: id.clone(), version: args.version })
        .collect();
    until_settled(store, &wanted, args.timeout, args.format.output).await
}

/// What is waited for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) external_id: String,
    /// At least this version; any, where none is named.
    pub(super) version: Option<i32>,
}

impl Wanted {
    /// Any version of this tenant.
    pub(super) fn ready(external_id: String) -> Self {
        Self { external_id, version: None }
    }

    fn is_there(&self, status: &Status) -> bool {
        status.ready && self.version.is_none_or(|version| status.version >= Some(version))
    }

    /// It stays away until somebody acts. A tenant that serves may be parked for the next version.
    fn needs_human(&self, status: &Status) -> bool {
        !self.is_there(status) && (needs_human(status) || status.parked)
    }
}

/// Waits, and says where each tenant stands in the end.
pub(super) async fn until_settled(
    store: &Store,
    wanted: &[Wanted],
    timeout: Duration,
    format: Format,
) -> anyhow::Result<Code> {
    let in_time = tokio::time::timeout(timeout, settle(store, wanted)).await;
    let is_late = in_time.is_err();
    let last = match in_time {
        Ok(settled) => settled?,
        Err(_) => standings(store, wanted).await?,
    };
    match format {
        Format::Json => output::json(&last)?,
        Format::Table => {
            for (wanted, status) in wanted.iter().zip(&last) {
                output::line(&line(wanted, status))?;
            }
        }
    }
    Ok(verdict(wanted, &last, is_late))
}

fn line(wanted: &Wanted, status: &Status) -> String {
    match wanted.version {
        Some(version) if status.ready && !wanted.is_there(status) => {
            let message = status.message.as_deref().unwrap_or("the next one is under way");
            let (id, current) = (&status.external_id, output::or_dash(status.version));
            format!("{id} has version {current} and not {version} yet: {message}")
        }
        Some(_) | None => standing(status),
    }
}

fn verdict(wanted: &[Wanted], last: &[Status], is_late: bool) -> Code {
    if wanted.iter().zip(last).all(|(wanted, status)| wanted.is_there(status)) {
        Code::Done
    } else if is_late {
        Code::TimedOut
    } else {
        Code::NeedsHuman
    }
}

async fn settle(store: &Store, wanted: &[Wanted]) -> anyhow::Result<Vec<Status>> {
    // Listening before looking: what happens in between is not missed.
    let mut events = listen(store).await?;
    loop {
        let is_settled =
            |(wanted, status): (&Wanted, &Status)| wanted.is_there(status) || wanted.needs_human(status);
        match standings(store, wanted).await {
            Ok(now) if wanted.iter().zip(&now).all(is_settled) => return Ok(now),
            Ok(_) => {}
            // The table is locked, as a migration does; whoever waits has time.
            Err(error) if error.downcast_ref().is_some_and(StoreError::is_contended) => {}
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            called = hear(events.as_mut()) => called?,
        }
    }
}

/// `None` where a pooler lets nobody listen: then it is looked from time to time.
async fn listen(store: &Store) -> Result<Option<PgListener>, StoreError> {
    Ok(match store.connections().listening() {
        Some(address) => Some(listener(address, EVENTS).await?),
        None => None,
    })
}

async fn hear(events: Option<&mut PgListener>) -> Result<(), StoreError> {
    match events {
        Some(events) => Ok(events.try_recv().await.map(drop)?),
        None => std::future::pending().await,
    }
}

async fn standings(store: &Store, wanted: &[Wanted]) -> anyhow::Result<Vec<Status>> {
    let mut known = HashMap::new();
    for page in wanted.chunks(PAGE) {
        let keys: Vec<String> = page.iter().map(|wanted| wanted.external_id.clone()).collect();
        let found = store.statuses(&keys).await?;
        known.extend(found.into_iter().map(|status| (status.external_id.clone(), status)));
    }
    let standing = |wanted: &Wanted| {
        // One that was named twice is told twice.
        known.get(&wanted.external_id).cloned().ok_or_else(|| unknown(&wanted.external_id))
    };
    wanted.iter().map(standing).collect()
}
