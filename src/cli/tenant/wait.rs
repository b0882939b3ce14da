//! `tenantd tenant wait`: until every tenant is ready, or needs a human.
//!
//! The rule: notifications only shorten the wait. The answer is what
//! `tenantd.status` says, and it is asked again and again.

use std::time::Duration;

use clap::Args;
use sqlx::postgres::PgListener;

use super::{needs_human, one, standing};
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, OutputArg};
use crate::postgres::tenants::Status;
use crate::postgres::{Store, StoreError};

/// The contract's channel of events.
const EVENTS: &str = "tenantd_events";
/// How often to look without being called.
const POLL: Duration = Duration::from_secs(1);

/// Ends when each tenant is ready or needs a human: with 0 when all are ready,
/// 4 when one needs a human, 5 when the time is up before that.
#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArgs {
    /// The tenants, by the pipeline's keys
    #[arg(required = true, value_name = "EXTERNAL_ID")]
    external_ids: Vec<String>,
    /// Give up after this long
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration, value_name = "DURATION")]
    timeout: Duration,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &WaitArgs, store: &Store) -> anyhow::Result<Code> {
    until_settled(store, args.external_ids.clone(), args.timeout, args.format.output).await
}

/// Waits, and says where each tenant stands in the end.
pub(super) async fn until_settled(
    store: &Store,
    external_ids: Vec<String>,
    timeout: Duration,
    format: Format,
) -> anyhow::Result<Code> {
    let in_time = tokio::time::timeout(timeout, settle(store, &external_ids)).await;
    let is_late = in_time.is_err();
    let last = match in_time {
        Ok(settled) => settled?,
        Err(_) => standings(store, &external_ids).await?,
    };
    match format {
        Format::Json => output::json(&last)?,
        Format::Table => {
            for status in &last {
                output::line(&standing(status))?;
            }
        }
    }
    Ok(verdict(&last, is_late))
}

fn verdict(last: &[Status], is_late: bool) -> Code {
    if last.iter().all(|status| status.ready) {
        Code::Done
    } else if is_late {
        Code::TimedOut
    } else {
        Code::NeedsHuman
    }
}

async fn settle(store: &Store, external_ids: &[String]) -> anyhow::Result<Vec<Status>> {
    // Listening before looking: what happens in between is not missed.
    let mut events = listen(store).await?;
    loop {
        let now = standings(store, external_ids).await?;
        if now.iter().all(|status| status.ready || needs_human(status)) {
            return Ok(now);
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            called = events.try_recv() => {
                called.map_err(StoreError::from)?;
            }
        }
    }
}

async fn listen(store: &Store) -> Result<PgListener, StoreError> {
    let mut events = PgListener::connect_with(store.pool()).await?;
    events.listen(EVENTS).await?;
    Ok(events)
}

async fn standings(store: &Store, external_ids: &[String]) -> anyhow::Result<Vec<Status>> {
    let mut found = Vec::with_capacity(external_ids.len());
    for external_id in external_ids {
        found.push(one(store, external_id).await?);
    }
    Ok(found)
}
