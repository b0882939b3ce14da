//! `tenantd tenant retry`: after the cause is mended.

use anyhow::anyhow;
use clap::Args;

use super::matching::{ToAll, Which, Why, each};
use super::named::{for_each, one};
use super::standing::{removal_waits_for, standing};
use crate::cli::exit::Code;
use crate::cli::os_user::os_user;
use crate::cli::output;
use crate::postgres::Store;
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::verbs::Verb;

/// The tenant is due at once and its patience starts anew. Harmless where there
/// is nothing to do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant retry customer-42
  tenantd tenant retry --filter 'parked:yes reason:CredentialRefused' --reason 'mended'
  tenantd tenant retry --recreate customer-42
  tenantd tenant retry --recreate --filter 'reason:ClientMissing label.team:a' --reason 'deleted by hand'")]
pub(in crate::cli) struct RetryArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: Why,
    /// With --filter: yes, all who match
    #[arg(long, requires = "filter")]
    yes: bool,
    /// Have another client made where somebody deleted ours: only for tenants parked as
    /// `ClientMissing`. The new client has another id; every secret of the old one is shredded
    #[arg(long)]
    recreate: bool,
}

pub(super) async fn run(args: RetryArgs, store: &Store) -> anyhow::Result<Code> {
    if let Some(filter) = args.which.matching.read()? {
        let reason = args.why.reason.as_deref().unwrap_or_default();
        if args.recreate {
            let asked = format!("{}: {reason}", os_user());
            let act = async |id: &str| recreate(store, id, &asked).await.map(|()| true);
            return each(store, &filter, "recreate", args.yes, act).await;
        }
        return ToAll { verb: Verb::Retry, end: End::Open, reason, yes: args.yes }.run(store, &filter).await;
    }
    let external_ids = &args.which.external_ids;
    if args.recreate {
        let asked = os_user();
        return for_each(external_ids, async |id| recreate(store, id, &asked).await).await;
    }
    for_each(external_ids, async |id| retry(store, id).await).await
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
