//! `tenantd tenant`: the tenants, one or many.
//!
//! The rule: what can be left to the daemon is. Most of these commands read the
//! contract's views and write what an owner may write; only `drift`, `adopt` and `tokens`
//! ask Qlik, and they hold the tenant's lease while they do.

mod add;
mod adopt;
mod drift;
mod explain;
mod forget;
mod history;
mod list;
mod pause;
mod remove;
mod retry;
mod rotate;
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
const DERIVED: [&str; 7] =
    ["Queued", "Working", "NotBefore", "BreakerOpen", "AwaitingBudget", "Paused", REMOVED];
/// What a tenant stays until its owner wants it back.
const REMOVED: &str = "Removed";

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
    /// Say where a tenant stands, what is next, and what keeps it from going on
    Explain(explain::ExplainArgs),
    /// Hold clients against what they should be, now, and have the daemon mend them
    Drift(drift::DriftArgs),
    /// Take over a client that somebody else made
    Adopt(adopt::AdoptArgs),
    /// List and revoke the tokens issued on a tenant
    #[command(subcommand)]
    Tokens(tokens::TokensCommand),
    /// Keep the daemon away from a tenant
    Pause(pause::PauseArgs),
    /// End a tenant's pause
    Resume(pause::ResumeArgs),
    /// Ask for another secret, or go back to the previous one
    Rotate(rotate::RotateArgs),
    /// Delete tenants' clients in Qlik, and all that is kept of them
    Remove(remove::RemoveArgs),
    /// End a tenant whose host no longer exists, without a word to Qlik
    Forget(forget::ForgetArgs),
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
        TenantCommand::Explain(args) => explain::run(&args, source, &store).await,
        TenantCommand::Pause(args) => pause::pause(&args, &store).await,
        TenantCommand::Resume(args) => pause::resume(&args, &store).await,
        TenantCommand::Rotate(args) => rotate::run(args, source, &store).await,
        TenantCommand::Remove(args) => remove::run(&args, &store).await,
        TenantCommand::Forget(args) => forget::run(&args, &store).await,
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
    anyhow!("there is no tenant with the external_id {external_id:?}; `tenantd tenant list` shows all")
}

/// A visit's failure, as the end of a command.
pub(super) fn not_done(external_id: &str) -> impl Fn(NotDone) -> anyhow::Error + '_ {
    move |error| match error {
        NotDone::Store(error) => error.into(),
        NotDone::Qlik { .. } | NotDone::Busy(_) | NotDone::Refused(_) => anyhow!("{external_id}: {error}"),
    }
}

/// One line on where a tenant stands.
fn standing(status: &Status) -> String {
    let id = &status.external_id;
    if status.ready {
        return format!("{id} is ready");
    }
    let (phase, reason) = (&status.phase, status.reason.as_deref().unwrap_or_default());
    let message = status.message.as_deref().unwrap_or_default();
    if needs_human(status) {
        format!("{id} needs a human, phase {phase}, {reason}: {message}")
    } else {
        format!("{id} is not ready yet, phase {phase}, {reason}: {message}")
    }
}

/// Whether the tenant stays as it is until somebody acts.
fn needs_human(status: &Status) -> bool {
    !status.ready && (status.parked || status.reason.as_deref() == Some(REMOVED))
}

/// What the removal of a tenant waits for, where it may not begin yet.
fn removal_waits_for(status: &Status) -> Option<&'static str> {
    match status.reason.as_deref() {
        Some("AwaitingBudget") => Some("the removal budget"),
        _ => held_for(status),
    }
}

/// Who has to say something before anything is deleted, where somebody has.
fn held_for(status: &Status) -> Option<&'static str> {
    match status.reason.as_deref() {
        Some("DeletionsHeld") => Some("an operator who agrees to deletions with `tenantd rejoin --agree`"),
        Some("ChangesHeld") => {
            Some("somebody to say that this is the real database, with `tenantd rejoin --confirm`")
        }
        _ => None,
    }
}

/// Does something for each tenant; one that cannot be does not keep it from the others.
async fn for_each(
    external_ids: &[String],
    mut act: impl AsyncFnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Code> {
    let mut first = None;
    for external_id in external_ids {
        if let Err(error) = act(external_id).await {
            match &first {
                // The last word is the first error; the others are told as they come.
                None => first = Some(error),
                Some(_) => output::note(&format!("error: {error:#}")),
            }
        }
    }
    first.map_or(Ok(Code::Done), Err)
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
