//! `tenantd tenant retry`: after the cause is mended.

use clap::Args;

use super::{one, park_reasons, standing};
use crate::cli::exit::Code;
use crate::cli::output;
use crate::postgres::Store;

/// The tenant is due at once and its patience starts anew. Harmless where there
/// is nothing to do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant retry customer-42
  tenantd tenant retry --all-parked --reason CredentialRefused")]
pub(in crate::cli) struct RetryArgs {
    /// The tenants, by the pipeline's keys
    #[arg(required_unless_present = "all_parked", conflicts_with = "all_parked", value_name = "EXTERNAL_ID")]
    external_ids: Vec<String>,
    /// Every tenant that is parked
    #[arg(long)]
    all_parked: bool,
    /// With --all-parked: only those parked for this reason
    #[arg(long, requires = "all_parked", value_parser = park_reasons(), hide_possible_values = true)]
    reason: Option<String>,
}

pub(super) async fn run(args: RetryArgs, store: &Store) -> anyhow::Result<Code> {
    if args.all_parked {
        return all_parked(store, args.reason.as_deref()).await;
    }
    let mut unknown = None;
    for external_id in &args.external_ids {
        if let Err(error) = retry(store, external_id).await {
            // The others are not to suffer for it.
            unknown = Some(error);
        }
    }
    unknown.map_or(Ok(Code::Done), Err)
}

async fn retry(store: &Store, external_id: &str) -> anyhow::Result<()> {
    let is_retried = store.retry(external_id).await?;
    let status = one(store, external_id).await?;
    let line = if is_retried {
        format!("{} is due at once", output::plain(external_id))
    } else if status.reason.as_deref() == Some("NotYetSupported") {
        let id = output::plain(external_id);
        format!(
            "nothing to do: {id} has desired_state absent, and removal is not built in this version; set it back to present, or delete the client by hand in Qlik"
        )
    } else {
        format!("nothing to do: {}", standing(&status))
    };
    Ok(output::line(&line)?)
}

async fn all_parked(store: &Store, reason: Option<&str>) -> anyhow::Result<Code> {
    let mut retried = 0;
    for external_id in store.parked(reason).await? {
        if store.retry(&external_id).await? {
            retried += 1;
        }
    }
    output::line(&format!("{} due at once", output::count(retried, "tenant")))?;
    Ok(Code::Done)
}
