//! `tenantd tenant list`: who stands where, and why.

use chrono::{DateTime, Utc};
use clap::Args;

use super::choices::{phases, reasons};
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, OutputArg, or_dash};
use crate::domain::ages::relative;
use crate::postgres::Store;
use crate::postgres::tenants::{Filter, Status};

const HEADER: [&str; 7] = ["EXTERNAL ID", "HOST", "PHASE", "REASON", "SINCE", "NEXT", "MESSAGE"];

/// In the order of their `external_id`. The columns are those of `tenantd.status`.
#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd tenant list --parked")]
pub(in crate::cli) struct ListArgs {
    /// Only tenants in this phase
    #[arg(long, value_parser = phases())]
    phase: Option<String>,
    /// Only tenants that are not ready for this reason
    #[arg(long, value_parser = reasons(), hide_possible_values = true)]
    reason: Option<String>,
    /// Only tenants that wait for somebody to act
    #[arg(long)]
    parked: bool,
    /// Most tenants to list
    #[arg(long, default_value_t = 1000, value_name = "N")]
    limit: u32,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: ListArgs, store: &Store) -> anyhow::Result<Code> {
    let parked = args.parked.then_some(true);
    let filter = Filter { phase: args.phase, reason: args.reason, parked, ..Filter::default() };
    // One more than is shown tells whether there are more.
    let mut found = store.list(&filter, args.limit.saturating_add(1)).await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let is_cut = found.len() > limit;
    found.truncate(limit);
    match args.format.output {
        Format::Json => output::json(&found)?,
        Format::Table if found.is_empty() => output::note("no tenant matches"),
        Format::Table => {
            let now = store.now().await?;
            output::print(&output::table(&HEADER, found.iter().map(|status| row(status, now))))?;
        }
    }
    if is_cut {
        output::note(&format!("there are more than these {limit}; --limit N shows more"));
    }
    Ok(Code::Done)
}

fn row(status: &Status, now: DateTime<Utc>) -> Vec<String> {
    let ago = |instant: Option<DateTime<Utc>>| or_dash(instant.map(|instant| relative(instant, now)));
    vec![
        status.external_id.clone(),
        status.host.clone(),
        status.phase.clone(),
        or_dash(status.reason.as_deref()),
        ago(status.since),
        ago(status.next_attempt_at),
        status.message.clone().unwrap_or_default(),
    ]
}
