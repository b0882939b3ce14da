//! `tenantd tenant list`: who stands where, and why.

use chrono::{DateTime, Utc};
use clap::Args;

use super::choices;
use super::matching::read;
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, OutputArg, or_dash};
use crate::domain::ages::relative;
use crate::domain::choices::reasons;
use crate::domain::filter::{Filter, Term};
use crate::domain::phase::Phase;
use crate::postgres::Store;
use crate::postgres::operator::tenants::Status;

const HEADER: [&str; 7] = ["EXTERNAL ID", "HOST", "PHASE", "REASON", "SINCE", "NEXT", "MESSAGE"];

/// In the order of their `external_id`. The columns are those of `tenantd.status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant list --parked
  tenantd tenant list --filter 'phase:creating,created -label.team:a since:15m'")]
pub(in crate::cli) struct ListArgs {
    /// Only tenants that match: key:value, several alternatives with commas, - negates
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    filter: Option<String>,
    /// Short for --filter phase:PHASE
    #[arg(long, value_parser = choices::phases())]
    phase: Option<String>,
    /// Short for --filter reason:REASON
    #[arg(long, value_parser = choices::reasons(), hide_possible_values = true)]
    reason: Option<String>,
    /// Short for --filter parked:yes
    #[arg(long)]
    parked: bool,
    /// Most tenants to list
    #[arg(long, default_value_t = 1000, value_name = "N")]
    limit: u32,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: ListArgs, store: &Store) -> anyhow::Result<Code> {
    let filter = asked(&args)?;
    // One more than is shown tells whether there are more.
    let mut found = store.list(&filter, "", args.limit.saturating_add(1)).await?;
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

/// The filter, with what is short for a part of one.
fn asked(args: &ListArgs) -> anyhow::Result<Filter> {
    let filter = args.filter.as_deref().map(read).transpose()?.unwrap_or_default();
    let phase = args.phase.as_deref().and_then(Phase::parse).map(Term::phase);
    let known = |name: &String| reasons().into_iter().find(|reason| reason == name);
    let reason = args.reason.as_ref().and_then(known).map(Term::reason);
    let parked = args.parked.then(|| Term::parked(true));
    Ok([phase, reason, parked].into_iter().flatten().fold(filter, Filter::and))
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
