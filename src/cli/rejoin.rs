//! `tenantd rejoin`: after the database was restored from a backup.
//!
//! The rule: what deletions would touch is shown before they are agreed to.

use clap::Args;

use super::ages::relative;
use super::exit::Code;
use super::output::{self, Format, OutputArg};
use super::source::Source;
use crate::domain::text::plain;
use crate::postgres::Store;
use crate::postgres::rejoin::{Finding, Rejoining};

/// Every tenant is looked at before anything is done about it, secrets that are lost
/// are minted anew, and nothing is deleted at Qlik Cloud until you agree.
///
/// The daemon does this by itself when it finds itself on another server, database or
/// timeline than before. A restored snapshot of the whole machine changes none of
/// them: stop the daemon, run this, start it again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd rejoin             the database came out of a snapshot
  tenantd rejoin --status    what was found since
  tenantd rejoin --agree     deletions may go on")]
pub(super) struct RejoinArgs {
    /// Show what was found, and what waits; change nothing
    #[arg(long, conflicts_with = "agree")]
    status: bool,
    /// Let deletions at Qlik Cloud go on
    #[arg(long)]
    agree: bool,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &RejoinArgs, source: &Source) -> anyhow::Result<Code> {
    let store = source.store().await?;
    if args.agree {
        return agree(&store).await;
    }
    if !args.status {
        let rows = store.rejoin("an operator ran `tenantd rejoin`").await?;
        output::note(&format!(
            "{} will be looked at before anything is done about them; nothing is deleted at Qlik Cloud until \
             `tenantd rejoin --agree`",
            output::count(i64::try_from(rows).unwrap_or(i64::MAX), "tenant")
        ));
    }
    let rejoining = store.rejoining().await?;
    match args.format.output {
        Format::Json => output::json(&rejoining)?,
        Format::Table => output::sheet(&told(&rejoining, store.now().await?))?,
    }
    Ok(Code::Done)
}

async fn agree(store: &Store) -> anyhow::Result<Code> {
    let rejoining = store.rejoining().await?;
    if rejoining.deletions_held_at.is_some() && rejoining.to_look_at > 0 {
        let left = output::count(rejoining.to_look_at, "tenant");
        output::note(&format!("{left} not looked at yet: more may be found"));
    }
    if store.agree_to_deletions().await? {
        output::line("deletions at Qlik Cloud go on")?;
    } else {
        output::line("deletions are not held: there is nothing to agree to")?;
    }
    Ok(Code::Done)
}

fn told(rejoining: &Rejoining, now: chrono::DateTime<chrono::Utc>) -> String {
    let mut text = match (rejoining.deletions_held_at, &rejoining.held_reason) {
        (Some(since), Some(reason)) => {
            format!("deletions are held, {}: {}\n", relative(since, now), plain(reason))
        }
        (_, _) => "deletions are not held\n".to_owned(),
    };
    text.push_str(&output::count(rejoining.to_look_at, "tenant"));
    text.push_str(" to look at\n");
    if rejoining.findings.is_empty() {
        return text + "nothing was found that this database does not know\n";
    }
    let row = |finding: &Finding| {
        let Finding { external_id, host, client_id, finding } = finding.clone();
        vec![external_id, host, output::or_dash(client_id), finding]
    };
    text + "\n" + &output::table(&["TENANT", "HOST", "CLIENT", "FINDING"], rejoining.findings.iter().map(row))
}
