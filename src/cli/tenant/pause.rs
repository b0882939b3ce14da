//! `tenantd tenant pause` and `resume`: the daemon is kept away, and let back.

use clap::Args;

use super::matching::{OneOrMatching, ToAll};
use super::named::one;
use crate::cli::exit::Code;
use crate::cli::output;
use crate::cli::pause::{PauseTerms, reason};
use crate::postgres::Store;
use crate::postgres::pauses::End;
use crate::postgres::verbs::Verb;

/// The tenant keeps what it has, consumers are not disturbed, and nothing is sent to
/// Qlik for it until the pause ends. Who works on it ends the step under way first.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: tenantd tenant pause customer-42 --reason 'migration at the customer' --for 2h"
)]
pub(in crate::cli) struct PauseArgs {
    #[command(flatten)]
    which: OneOrMatching,
    #[command(flatten)]
    terms: PauseTerms,
    /// With --filter: yes, all who match
    #[arg(long, requires = "filter")]
    yes: bool,
}

/// Ends the pause and nothing else: a parked tenant stays parked. A pause of its region
/// or of the fleet goes on.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArgs {
    #[command(flatten)]
    which: OneOrMatching,
    /// With --filter: why, for the history of each
    #[arg(long, value_name = "TEXT", value_parser = reason, requires = "filter", required_unless_present = "external_id")]
    reason: Option<String>,
    /// With --filter: yes, all who match
    #[arg(long, requires = "filter")]
    yes: bool,
}

pub(super) async fn pause(args: &PauseArgs, store: &Store) -> anyhow::Result<Code> {
    let filter = args.which.matching.read()?;
    let end = args.terms.end(store).await?;
    if let Some(filter) = filter {
        let to_all = ToAll { verb: Verb::Pause, end, reason: &args.terms.reason, yes: args.yes };
        return to_all.run(store, &filter).await;
    }
    let id = args.which.external_id.as_deref().unwrap_or_default();
    if !store.pause(id, &args.terms.reason, end).await? {
        one(store, id).await?;
    }
    let ending = args.terms.ending(&format!("`tenantd tenant resume {id}`"));
    output::line(&format!("{id} is paused {ending}"))?;
    Ok(Code::Done)
}

pub(super) async fn resume(args: &ResumeArgs, store: &Store) -> anyhow::Result<Code> {
    if let Some(filter) = args.which.matching.read()? {
        let reason = args.reason.as_deref().unwrap_or_default();
        return ToAll { verb: Verb::Resume, end: End::Open, reason, yes: args.yes }.run(store, &filter).await;
    }
    let id = args.which.external_id.as_deref().unwrap_or_default();
    let is_resumed = store.resume(id).await?;
    let status = one(store, id).await?;
    let line = match (is_resumed, status.paused) {
        (true, false) => format!("{id} goes on"),
        (true, true) => {
            format!("{id} is no longer paused itself, but its region is; `tenantd fleet status` shows it")
        }
        (false, true) => {
            format!(
                "nothing to do: {id} is not paused itself, but its region is; `tenantd fleet resume` ends that"
            )
        }
        (false, false) => format!("nothing to do: {id} is not paused"),
    };
    output::line(&line)?;
    Ok(Code::Done)
}
