//! `tenantd tenant pause` and `resume`: the daemon is kept away, and let back.

use clap::Args;

use super::named::one;
use crate::cli::exit::Code;
use crate::cli::output;
use crate::cli::pause::PauseTerms;
use crate::postgres::Store;

/// The tenant keeps what it has, consumers are not disturbed, and nothing is sent to
/// Qlik for it until the pause ends. Who works on it ends the step under way first.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: tenantd tenant pause customer-42 --reason 'migration at the customer' --for 2h"
)]
pub(in crate::cli) struct PauseArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    #[command(flatten)]
    terms: PauseTerms,
}

/// Ends the pause and nothing else: a parked tenant stays parked. A pause of its region
/// or of the fleet goes on.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
}

pub(super) async fn pause(args: &PauseArgs, store: &Store) -> anyhow::Result<Code> {
    let end = args.terms.end(store).await?;
    if !store.pause(&args.external_id, &args.terms.reason, end).await? {
        one(store, &args.external_id).await?;
    }
    let id = &args.external_id;
    let ending = args.terms.ending(&format!("`tenantd tenant resume {id}`"));
    output::line(&format!("{id} is paused {ending}"))?;
    Ok(Code::Done)
}

pub(super) async fn resume(args: &ResumeArgs, store: &Store) -> anyhow::Result<Code> {
    let is_resumed = store.resume(&args.external_id).await?;
    let status = one(store, &args.external_id).await?;
    let id = &args.external_id;
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
