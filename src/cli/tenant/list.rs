//! `tenantd tenant list`: who stands where, and why; or, as CSV, what is wanted of each.
//!
//! The rule: **what CSV shows can be imported elsewhere**: it holds the owner's columns, to the
//! byte, and all tenants that match, a page at a time.

use std::io::{self, IsTerminal};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use csv::ByteRecord;

use super::choices;
use super::matching::read;
use crate::cli::exit::Code;
use crate::cli::output::{self, csv_line, or_dash};
use crate::domain::ages::relative;
use crate::domain::choices::reasons;
use crate::domain::filter::{Filter, Term};
use crate::domain::import::{Column, redirect_uris_as_cell};
use crate::domain::phase::Phase;
use crate::domain::text::plain;
use crate::postgres::Store;
use crate::postgres::operator::tenants::{Status, Wanting};

const HEADER: [&str; 7] = ["EXTERNAL ID", "HOST", "PHASE", "REASON", "SINCE", "NEXT", "MESSAGE"];

/// Most tenants of a table, or of JSON, where nobody says.
const MOST: u32 = 1000;
/// Tenants of a page of CSV.
const PAGE: u32 = 1000;

/// How a list is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// For people; may change
    #[default]
    Table,
    /// For programs; only grows
    Json,
    /// What is wanted of each, to be imported elsewhere
    Csv,
}

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
    /// Most tenants to list; 1000 where it is not given, and all of them as CSV
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ListFormat,
}

pub(super) async fn run(args: ListArgs, store: &Store) -> anyhow::Result<Code> {
    let filter = asked(&args)?;
    let most = args.limit.unwrap_or(MOST);
    match args.output {
        ListFormat::Csv => csv(store, &filter, args.limit).await?,
        ListFormat::Json => output::json(&some(store, &filter, most).await?)?,
        ListFormat::Table => match some(store, &filter, most).await? {
            none if none.is_empty() => output::note("no tenant matches"),
            found => {
                let now = store.now().await?;
                output::print(&output::table(&HEADER, found.iter().map(|status| row(status, now))))?;
            }
        },
    }
    Ok(Code::Done)
}

/// As many as may be shown; says whether there are more.
async fn some(store: &Store, filter: &Filter, most: u32) -> anyhow::Result<Vec<Status>> {
    // One more than is shown tells whether there are more.
    let mut found = store.list(filter, "", most.saturating_add(1)).await?;
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    if found.len() > limit {
        output::note(&format!("there are more than these {limit}; --limit N shows more"));
    }
    found.truncate(limit);
    Ok(found)
}

/// All of them, or as many as were asked for, in the columns of an import.
async fn csv(store: &Store, filter: &Filter, limit: Option<u32>) -> anyhow::Result<()> {
    // A file holds what the row holds; a person's terminal is not steered by it.
    let is_seen = io::stdout().is_terminal();
    let line = |cells: [String; Column::ALL.len()]| {
        let shown = cells.map(|cell| if is_seen { plain(&cell) } else { cell });
        csv_line(&ByteRecord::from(shown.to_vec()))
    };
    let mut text = line(Column::ALL.map(|column| column.as_str().to_owned()));
    let (mut after, mut left) = (String::new(), limit.unwrap_or(u32::MAX));
    loop {
        let page = store.wants(filter, &after, left.min(PAGE)).await?;
        text.extend(page.iter().flat_map(|of| line(Column::ALL.map(|column| cell(of, column)))));
        output::bytes(&text)?;
        text.clear();
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        match page.last() {
            Some(last) if left > 0 => after.clone_from(&last.external_id),
            Some(_) | None => return Ok(()),
        }
    }
}

/// As an import reads it: a default that has nothing to say is empty.
fn cell(of: &Wanting, column: Column) -> String {
    match column {
        Column::ExternalId => of.external_id.clone(),
        Column::Host => of.host.clone(),
        Column::Profile => of.profile.clone(),
        Column::ClientName => of.client_name.clone().unwrap_or_default(),
        Column::RedirectUris => redirect_uris_as_cell(of.redirect_uris.as_deref()),
        Column::DesiredState => of.desired_state.clone(),
        Column::Priority => of.priority.to_string(),
        Column::NotBefore => {
            let rfc_3339 = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            of.not_before.map(rfc_3339).unwrap_or_default()
        }
        Column::Labels if of.labels == "{}" => String::new(),
        Column::Labels => of.labels.clone(),
    }
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
