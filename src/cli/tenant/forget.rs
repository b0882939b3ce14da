//! `tenantd tenant forget`: the end of a tenant whose host no longer exists.
//!
//! The rule: what may still live at Qlik is printed, because nobody remembers it afterwards.

use clap::Args;

use super::named::one;
use super::remove::what_goes;
use crate::cli::exit::{Code, Unconfirmed};
use crate::cli::os_user::os_user;
use crate::cli::output;
use crate::cli::pause::reason;
use crate::postgres::Store;
use crate::postgres::operator::forget::Forgotten;

/// For a host that never answers again, so that a removal would never end. Nothing is
/// sent to Qlik: if the host exists after all, its client lives on, and its secrets work.
#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd tenant forget customer-42 --reason 'tenant deleted by Qlik' --yes")]
pub(in crate::cli) struct ForgetArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    /// Why, for the tenant's history
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Yes, forget it
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: &ForgetArgs, store: &Store) -> anyhow::Result<Code> {
    let status = one(store, &args.external_id).await?;
    if !args.yes {
        let warning = "this shreds all that is kept of the tenant and deletes nothing in Qlik; where its host still exists, use `tenantd tenant remove`; add --yes if you mean it";
        return Err(Unconfirmed { warning: warning.to_owned(), to: vec![what_goes(&status)] }.into());
    }
    match store.forget(&args.external_id, &args.reason, &os_user()).await? {
        Some(forgotten) => tell(&args.external_id, &status.host, &forgotten)?,
        // Its row was deleted meanwhile.
        None => one(store, &args.external_id).await.map(drop)?,
    }
    Ok(Code::Done)
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
