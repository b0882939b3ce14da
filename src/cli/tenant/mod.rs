//! `tenantd tenant`: the tenants, one or many.
//!
//! The rule: what can be left to the daemon is. Most of these commands read the
//! contract's views and write what an owner may write; only `drift`, `adopt` and `tokens`
//! ask Qlik, and they hold the tenant's lease while they do.

mod add;
mod adopt;
mod drift;
mod history;
mod list;
mod retry;
mod show;
mod tokens;
mod wait;

use anyhow::anyhow;
use clap::Subcommand;
use clap::builder::PossibleValuesParser;

use super::exit::Code;
use super::output;
use super::source::Source;
use crate::domain::phase::Phase;
use crate::domain::reason::{ParkReason, WaitReason};
use crate::engine::inspect::NotDone;
use crate::postgres::Store;
use crate::postgres::inspect::Target;
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
    /// Hold clients against what they should be, now, and have the daemon mend them
    Drift(drift::DriftArgs),
    /// Take over a client that somebody else made
    Adopt(adopt::AdoptArgs),
    /// List and revoke the tokens issued on a tenant
    #[command(subcommand)]
    Tokens(tokens::TokensCommand),
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
        TenantCommand::Drift(args) => drift::run(&args, source).await,
        TenantCommand::Adopt(args) => adopt::run(&args, source).await,
        TenantCommand::Tokens(command) => tokens::run(&command, source).await,
    }
}

/// The tenant of this key.
pub(super) async fn one(store: &Store, external_id: &str) -> anyhow::Result<Status> {
    let found = store.status(external_id).await?;
    found.ok_or_else(|| unknown(external_id))
}

/// The tenant of this key, to be visited.
pub(super) async fn target(store: &Store, external_id: &str) -> anyhow::Result<Target> {
    let found = store.target(external_id).await?;
    found.ok_or_else(|| unknown(external_id))
}

fn unknown(external_id: &str) -> anyhow::Error {
    let shown = output::plain(external_id);
    anyhow!("there is no tenant with the external_id {shown:?}; `tenantd tenant list` shows all")
}

/// A visit's failure, as the end of a command.
pub(super) fn not_done(external_id: &str) -> impl Fn(NotDone) -> anyhow::Error + '_ {
    move |error| match error {
        NotDone::Store(error) => error.into(),
        NotDone::Qlik { .. } | NotDone::Busy(_) | NotDone::Refused(_) => {
            anyhow!("{}: {error}", output::plain(external_id))
        }
    }
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
