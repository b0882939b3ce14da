//! `tenantd tenant forget`: the end of a tenant whose host no longer exists.
//!
//! The rule: what may still live at Qlik is printed, because nobody remembers it afterwards.

use clap::Args;

use super::matching::{OneOrMatching, each};
use super::named::one;
use super::remove::what_goes;
use crate::cli::exit::{Code, Unconfirmed};
use crate::cli::os_user::os_user;
use crate::cli::output;
use crate::cli::pause::reason;
use crate::domain::phase::Phase;
use crate::postgres::Store;
use crate::postgres::operator::forget::Forgotten;

/// For a host that never answers again, so that a removal would never end. Nothing is
/// sent to Qlik: if the host exists after all, its client lives on, and its secrets work.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant forget customer-42 --reason 'tenant deleted by Qlik' --yes
  tenantd tenant forget --filter 'label.trial:yes parked:yes' --reason 'trials deleted by Qlik'")]
pub(in crate::cli) struct ForgetArgs {
    #[command(flatten)]
    which: OneOrMatching,
    /// Why, for the tenant's history
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Yes, forget it, or all who match
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: &ForgetArgs, store: &Store) -> anyhow::Result<Code> {
    if let Some(filter) = args.which.matching.read()? {
        let act = async |id: &str| {
            // Given again, as after a break-off: nothing is left of it, nor is its host looked at again.
            let status = one(store, id).await?;
            if status.phase == Phase::Removed.as_str() && status.next_attempt_at.is_none() {
                return Ok(false);
            }
            forget(args, store, id).await.map(|()| true)
        };
        return each(store, &filter, "forget", args.yes, act).await;
    }
    // There, or else a filter is.
    let external_id = args.which.external_id.as_deref().unwrap_or_default();
    let status = one(store, external_id).await?;
    if !args.yes {
        let warning = "this shreds all that is kept of the tenant and deletes nothing in Qlik; where its host still exists, use `tenantd tenant remove`; add --yes if you mean it";
        return Err(Unconfirmed { warning: warning.to_owned(), to: vec![what_goes(&status)] }.into());
    }
    forget(args, store, external_id).await?;
    Ok(Code::Done)
}

async fn forget(args: &ForgetArgs, store: &Store, external_id: &str) -> anyhow::Result<()> {
    let status = one(store, external_id).await?;
    match store.forget(external_id, &args.reason, &os_user()).await? {
        Some(forgotten) => tell(external_id, &status.host, &forgotten),
        // Its row was deleted meanwhile.
        None => one(store, external_id).await.map(drop),
    }
}

fn tell(id: &str, host: &str, forgotten: &Forgotten) -> anyhow::Result<()> {
    let secrets = i64::try_from(forgotten.secrets).unwrap_or(i64::MAX);
    output::line(&format!("{id} is forgotten; {} shredded", output::count(secrets, "secret")))?;
    let mark = &forgotten.mark;
    match &forgotten.client_id {
        Some(client) => {
            output::line(&format!("may still live on {host}: client {client}, which bears {mark}"))?;
        }
        None if forgotten.is_create_unknown => {
            output::line(&format!(
                "may live on {host}: a client that bears {mark}; a create may have been sent"
            ))?;
        }
        None => {}
    }
    Ok(())
}
