//! `tenantd tenant add`: the pipeline's insert, by hand.
//!
//! The rule: adding twice is harmless, and adding something else under the same
//! key is said, not swallowed.

use std::time::Duration;

use clap::Args;

use super::named::one;
use super::standing::standing;
use super::wait;
use crate::cli::constraints::violation;
use crate::cli::exit::{Code, Misuse};
use crate::cli::output::{self, Format, OutputArg};
use crate::postgres::Store;
use crate::postgres::operator::tenants::{NewTenant, Status};

/// Same as `INSERT INTO tenantd.tenants … ON CONFLICT (external_id) DO NOTHING`.
#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd tenant add customer-42 acme42.us.qlikcloud.com --wait")]
pub(in crate::cli) struct AddArgs {
    /// The pipeline's own key of the tenant, 1 to 200 bytes
    external_id: String,
    /// Where the tenant lives, such as acme42.us.qlikcloud.com
    host: String,
    /// Which [profiles.NAME] of the configuration its client is made from
    #[arg(long, default_value = "default", value_name = "NAME")]
    profile: String,
    /// Name of the client in Qlik's console, instead of the profile's
    #[arg(long, value_name = "NAME")]
    client_name: Option<String>,
    /// Redirect URI, instead of the profile's; may be given up to five times
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// -100 to 100; each point is worth a minute of waiting
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "N")]
    priority: i32,
    /// Wait until the tenant is ready, as `tenantd tenant wait` does
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after this long
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration, value_name = "DURATION")]
    timeout: Duration,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: AddArgs, store: &Store) -> anyhow::Result<Code> {
    let (external_id, host) = (args.external_id.clone(), args.host.clone());
    let format = args.format.output;
    let patience = args.wait.then_some(args.timeout);
    let is_new = insert(store, row(args)).await?;
    let status = one(store, &external_id).await?;
    if status.host != host {
        return Err(Misuse(format!(
            "{} is there already, with host {}; a host is changed on its row, and only before anything was sent to it",
            external_id, status.host
        ))
        .into());
    }
    match patience {
        Some(timeout) => {
            wait::until_settled(store, &[wait::Wanted::ready(external_id)], timeout, format).await
        }
        None => told(&status, is_new, format),
    }
}

fn row(args: AddArgs) -> NewTenant {
    NewTenant {
        external_id: args.external_id,
        host: args.host,
        profile: args.profile,
        client_name: args.client_name,
        redirect_uris: Some(args.redirect_uris).filter(|uris| !uris.is_empty()),
        priority: args.priority,
    }
}

async fn insert(store: &Store, new: NewTenant) -> anyhow::Result<bool> {
    store.add_tenant(&new).await.map_err(|error| match violation(&error) {
        Some(sentence) => Misuse(sentence).into(),
        None => error.into(),
    })
}

fn told(status: &Status, is_new: bool, format: Format) -> anyhow::Result<Code> {
    let id = &status.external_id;
    match format {
        Format::Json => output::json(status)?,
        Format::Table if is_new => {
            output::line(&format!("{id} is added; `tenantd tenant wait {id}` waits until it is ready"))?;
        }
        Format::Table => {
            output::line(&format!("{id} was there already, nothing is changed; {}", standing(status)))?;
        }
    }
    Ok(Code::Done)
}
