//! `tenantd tenant retry`: after the cause is mended.

use anyhow::anyhow;
use clap::Args;

use super::choices::park_reasons;
use super::named::{for_each, one};
use super::standing::{removal_waits_for, standing};
use crate::cli::exit::Code;
use crate::cli::os_user::os_user;
use crate::cli::output;
use crate::postgres::Store;

/// The tenant is due at once and its patience starts anew. Harmless where there
/// is nothing to do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant retry customer-42
  tenantd tenant retry --all-parked --reason CredentialRefused
  tenantd tenant retry --recreate customer-42")]
pub(in crate::cli) struct RetryArgs {
    /// The tenants, by the pipeline's keys
    #[arg(required_unless_present = "all_parked", conflicts_with = "all_parked", value_name = "EXTERNAL_ID")]
    external_ids: Vec<String>,
    /// Every tenant that is parked
    #[arg(long)]
    all_parked: bool,
    /// Have another client made where somebody deleted ours: only for tenants parked as
    /// `ClientMissing`. The new client has another id; every secret of the old one is shredded
    #[arg(long, conflicts_with = "all_parked")]
    recreate: bool,
    /// With --all-parked: only those parked for this reason
    #[arg(long, requires = "all_parked", value_parser = park_reasons(), hide_possible_values = true)]
    reason: Option<String>,
}

pub(super) async fn run(args: RetryArgs, store: &Store) -> anyhow::Result<Code> {
    if args.all_parked {
        return all_parked(store, args.reason.as_deref()).await;
    }
    if args.recreate {
        let asked = os_user();
        return for_each(&args.external_ids, async |id| recreate(store, id, &asked).await).await;
    }
    for_each(&args.external_ids, async |id| retry(store, id).await).await
}

async fn retry(store: &Store, external_id: &str) -> anyhow::Result<()> {
    let is_retried = store.retry(external_id).await?;
    let status = one(store, external_id).await?;
    let line = if !is_retried {
        format!("nothing to do: {}", standing(&status))
    } else if let (None, Some(what)) = (status.next_attempt_at, removal_waits_for(&status)) {
        format!("{external_id} is no longer parked and waits for {what}")
    } else {
        format!("{external_id} is due at once")
    };
    Ok(output::line(&line)?)
}

async fn recreate(store: &Store, external_id: &str, asked: &str) -> anyhow::Result<()> {
    let is_begun = store.recreate(external_id, asked).await?;
    let status = one(store, external_id).await?;
    if !is_begun {
        return Err(anyhow!(
            "only a tenant that is parked as ClientMissing gets another client: {}",
            standing(&status)
        ));
    }
    Ok(output::line(&format!(
        "{external_id} gets another client, with another id, unless a look finds one of ours; `tenantd tenant wait {external_id}` waits for it"
    ))?)
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
