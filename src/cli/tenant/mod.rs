//! `tenantd tenant`: the tenants, one or many.
//!
//! The rule: what can be left to the daemon is. Most of these commands read the
//! contract's views and write what an owner may write; only `drift`, `adopt` and `tokens`
//! ask Qlik, and they hold the tenant's lease while they do.

mod add;
mod adopt;
mod choices;
mod drift;
mod explain;
mod forget;
mod history;
mod import;
mod list;
mod matching;
mod named;
mod pause;
mod remove;
mod retry;
mod rotate;
mod show;
mod standing;
mod tokens;
mod wait;

use clap::Subcommand;

use super::exit::Code;
use super::source::Source;

pub(super) use explain::terms;
pub(super) use named::one;

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Insert a tenant, as a pipeline does
    Add(add::AddArgs),
    /// Insert the tenants of a file
    Import(import::ImportArgs),
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
    /// Keep the daemon away from tenants
    Pause(pause::PauseArgs),
    /// End the pause of tenants
    Resume(pause::ResumeArgs),
    /// Ask for another secret, or go back to the previous one
    Rotate(rotate::RotateArgs),
    /// Delete tenants' clients in Qlik, and all that is kept of them
    Remove(remove::RemoveArgs),
    /// End a tenant whose host no longer exists, without a word to Qlik
    Forget(forget::ForgetArgs),
}

pub(super) async fn run(command: TenantCommand, source: &Source) -> anyhow::Result<Code> {
    // A pipeline's login may not read what the store asks at its start.
    if let TenantCommand::Import(args) = command {
        return import::run(&args, source).await;
    }
    let store = source.store().await?;
    match command {
        TenantCommand::Import(args) => import::run(&args, source).await,
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
        TenantCommand::Remove(args) => remove::run(args, &store).await,
        TenantCommand::Forget(args) => forget::run(&args, &store).await,
    }
}
