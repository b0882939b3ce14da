//! `tenantd tenant explain`: where a tenant stands, what is next, and what keeps it.
//!
//! The rule: this file only shows what [`Explanation`] says.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use super::named::one;
use crate::answers::explanation::Explanation;
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, OutputArg, or_dash};
use crate::cli::source::Source;
use crate::domain::ages::relative;
use crate::domain::region::RegionMap;
use crate::domain::text::plain;
use crate::postgres::Store;
use crate::postgres::work::claim::ClaimTerms;
use crate::settings::Layered;

const HEADER: [&str; 4] = ["BLOCKER", "SINCE", "UNTIL", "WHAT"];

/// Judges the tenant by the very conditions of a claim, with the regions and profiles of
/// this configuration. No blocker means that a daemon takes it as soon as one is free.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &ExplainArgs, source: &Source, store: &Store) -> anyhow::Result<Code> {
    let layered = source.layered()?;
    let (terms, bounds) = (terms(&layered)?, layered.bounds()?);
    let status = one(store, &args.external_id).await?;
    let Some(explanation) = Explanation::of(&status, &terms, &bounds, store).await? else {
        // Its row was deleted meanwhile.
        return one(store, &args.external_id).await.map(|_| Code::Done);
    };
    match args.format.output {
        Format::Json => output::json(&explanation)?,
        Format::Table => output::sheet(&sheet(&explanation, store.now().await?))?,
    }
    Ok(Code::Done)
}

/// The conditions of this configuration; nothing is leased by them.
pub(in crate::cli) fn terms(layered: &Layered) -> anyhow::Result<ClaimTerms> {
    let map = RegionMap::new(layered.region_hosts()?);
    let profiles = layered.profiles()?;
    Ok(ClaimTerms::new(&map, profiles.keys(), Duration::ZERO, Duration::ZERO))
}

fn sheet(explanation: &Explanation, now: DateTime<Utc>) -> String {
    let id = plain(&explanation.external_id);
    let ready = if explanation.ready { "ready" } else { "not ready" };
    let reason = explanation.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
    let message = explanation.message.as_ref().map(|text| format!(": {}", plain(text))).unwrap_or_default();
    let at = match explanation.next_at {
        Some(instant) => relative(instant, now),
        None => "when somebody ends what stands in its way".to_owned(),
    };
    let head = format!(
        "{id} is {ready}, phase {}{reason}{message}\nnext: {}, {at}\n",
        explanation.phase,
        plain(&explanation.next)
    );
    if explanation.blockers.is_empty() {
        return head + "nothing keeps a daemon from it\n";
    }
    let ago = |instant: Option<DateTime<Utc>>| or_dash(instant.map(|instant| relative(instant, now)));
    let rows = explanation.blockers.iter().map(|blocker| {
        vec![blocker.blocker.to_owned(), ago(blocker.since), ago(blocker.until), blocker.message.clone()]
    });
    format!("{head}\n{}", output::table(&HEADER, rows))
}
