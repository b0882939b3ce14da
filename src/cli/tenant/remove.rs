//! `tenantd tenant remove`: the owner's `desired_state = 'absent'`, by hand.
//!
//! The rule: nothing is asked for before it is agreed to, and before that every tenant that was
//! named is told with what would be deleted; of those who match a filter, the first ten.

use clap::Args;

use super::matching::{ToAll, Which, Why};
use super::named::{for_each, one};
use super::standing::{held_for, standing};
use crate::cli::exit::{Code, Unconfirmed};
use crate::cli::output;
use crate::postgres::Store;
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::tenants::Status;
use crate::postgres::operator::verbs::Verb;

/// Consumers lose the credential at once. The daemon then deletes the client, its tokens
/// and its bot user in Qlik and shreds its secrets, as the removal budget allows.
#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd tenant remove customer-42 --yes")]
pub(in crate::cli) struct RemoveArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: Why,
    /// Yes, delete them
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: RemoveArgs, store: &Store) -> anyhow::Result<Code> {
    if let Some(filter) = args.which.matching.read()? {
        let reason = args.why.reason.as_deref().unwrap_or_default();
        return ToAll { verb: Verb::Remove, end: End::Open, reason, yes: args.yes }.run(store, &filter).await;
    }
    let external_ids = &args.which.external_ids;
    if !args.yes {
        return Err(warning(external_ids, store).await?.into());
    }
    for_each(external_ids, async |id| remove(store, id).await).await
}

async fn warning(external_ids: &[String], store: &Store) -> anyhow::Result<Unconfirmed> {
    let mut to = Vec::with_capacity(external_ids.len());
    for external_id in external_ids {
        to.push(what_goes(&one(store, external_id).await?));
    }
    let tenants = output::count(i64::try_from(to.len()).unwrap_or(i64::MAX), "tenant");
    let warning = format!(
        "this removes {tenants} for good, as [budget] removals_per_hour allows; add --yes if you mean it"
    );
    Ok(Unconfirmed { warning, to })
}

/// What a removal deletes.
pub(super) fn what_goes(status: &Status) -> String {
    let (id, host) = (&status.external_id, &status.host);
    match &status.client_id {
        Some(client) => {
            format!(
                "{id}: client {client} on {host}, its tokens, its bot user, and every secret that is kept"
            )
        }
        None => format!("{id}: no client is known on {host}; phase {}", status.phase),
    }
}

async fn remove(store: &Store, external_id: &str) -> anyhow::Result<()> {
    let removed = store.remove(external_id).await?;
    let status = one(store, external_id).await?;
    let line = match (removed, held_for(&status)) {
        (None, _) => format!("nothing to do: {}", standing(&status)),
        (Some(_), Some(who)) => format!("{external_id} is to be removed, and waits for {who}"),
        (Some(unwanted), None) if unwanted.awaits_budget => format!(
            "{external_id} is to be removed, as [budget] removals_per_hour allows; `tenantd fleet status` shows what is left of it"
        ),
        (Some(unwanted), None) if unwanted.phase == "removed" => {
            format!("{external_id} is removed: nothing was ever sent for it")
        }
        (Some(_), None) => format!("{external_id} is to be removed"),
    };
    Ok(output::line(&line)?)
}
