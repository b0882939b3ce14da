//! `tenantd tenant`: the tenants, one or many.
//!
//! The rule: nothing here talks to Qlik. These commands read the contract's
//! views and write what an owner may write; the daemon does the rest.

mod add;
mod history;
mod list;
mod retry;
mod show;
mod wait;

use anyhow::anyhow;
use clap::Subcommand;
use clap::builder::PossibleValuesParser;

use super::exit::Code;
use super::output;
use super::source::Source;
use crate::domain::phase::Phase;
use crate::domain::reason::{ParkReason, WaitReason};
use crate::postgres::Store;
use crate::postgres::tenants::Status;

/// Reasons that `tenantd.status` derives from the row.
const DERIVED: [&str; 5] = ["Queued", "Working", "NotBefore", "BreakerOpen", "NotYetSupported"];

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Insert a tenant, as a pipeline does
    Add(add::AddArgs),
    /// List tenants, and why they are not ready
    List(list::ListArgs),
    /// Show all about one tenant, with its last attempts
    Show(show::ShowArgs),
    /// List what was tried for a tenant, oldest first
    History(history::HistoryArgs),
    /// Wait until tenants are ready
    Wait(wait::WaitArgs),
    /// Un-park tenants, or bring their next attempt forward
    Retry(retry::RetryArgs),
}

pub(super) async fn run(command: TenantCommand, source: &Source) -> anyhow::Result<Code> {
    let store = source.store().await?;
    match command {
        TenantCommand::Add(args) => add::run(args, &store).await,
        TenantCommand::List(args) => list::run(args, &store).await,
        TenantCommand::Show(args) => show::run(&args, &store).await,
        TenantCommand::History(args) => history::run(&args, &store).await,
        TenantCommand::Wait(args) => wait::run(&args, &store).await,
        TenantCommand::Retry(args) => retry::run(args, &store).await,
    }
}

/// The tenant of this key.
pub(super) async fn one(store: &Store, external_id: &str) -> anyhow::Result<Status> {
    let found = store.status(external_id).await?;
    found.ok_or_else(|| {
        let shown = output::plain(external_id);
        anyhow!("there is no tenant with the external_id {shown:?}; `tenantd tenant list` shows all")
    })
}

/// One line on where a tenant stands.
fn standing(status: &Status) -> String {
    let id = output::plain(&status.external_id);
    if status.ready {
        return format!("{id} is ready");
    }
    let (phase, reason) = (&status.phase, status.reason.as_deref().unwrap_or_default());
    let message = output::plain(status.message.as_deref().unwrap_or_default());
    if needs_human(status) {
        format!("{id} needs a human, phase {phase}, {reason}: {message}")
    } else {
        format!("{id} is not ready yet, phase {phase}, {reason}: {message}")
    }
}

/// Whether the tenant stays as it is until somebody acts.
fn needs_human(status: &Status) -> bool {
    !status.ready && (status.parked || status.reason.as_deref() == Some("NotYetSupported"))
}

fn phases() -> PossibleValuesParser {
    PossibleValuesParser::new(Phase::ALL.map(Phase::as_str))
}

fn reasons() -> PossibleValuesParser {
    let (waits, parks) = (WaitReason::ALL.map(WaitReason::as_str), ParkReason::ALL.map(ParkReason::as_str));
    let mut all: Vec<&'static str> = DERIVED.into_iter().chain(waits).chain(parks).collect();
    all.sort_unstable();
    all.dedup();
    PossibleValuesParser::new(all)
}

fn park_reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(ParkReason::ALL.map(ParkReason::as_str))
}
