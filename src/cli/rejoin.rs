//! `tenantd rejoin`: after the database was restored from a backup.
//!
//! The rule: what deletions would touch is shown before they are agreed to.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::exit::Code;
use super::os_user::os_user;
use super::output::{self, Format, OutputArg};
use super::source::Source;
use crate::domain::ages::relative;
use crate::domain::text::plain;
use crate::postgres::Store;
use crate::postgres::operator::rejoin::{Agreed, Finding, Rejoined, Rejoining};

/// Every tenant is looked at before anything is done about it, secrets that are lost
/// are minted anew, and nothing is deleted at Qlik Cloud until you agree.
///
/// The daemon does this by itself, at its start and while it runs, when the database is
/// on another timeline, in another database or on another cluster than before. On another
/// database or cluster it changes nothing at Qlik Cloud until you say that this is the real
/// one. A restored snapshot of the whole machine changes none of them: stop the daemon,
/// run this, start it again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd rejoin             the database came out of a snapshot
  tenantd rejoin --status    what was found since
  tenantd rejoin --confirm   this is the real database and no copy: tenants are worked on
  tenantd rejoin --agree     deletions may go on")]
#[expect(clippy::struct_excessive_bools, reason = "flags, as they are written")]
pub(super) struct RejoinArgs {
    /// Show what was found, and what waits; change nothing
    #[arg(long, conflicts_with_all = ["agree", "confirm"])]
    status: bool,
    /// Say that this is the real database: changes at Qlik Cloud go on, but for deletions
    #[arg(long, conflicts_with = "agree")]
    confirm: bool,
    /// Let deletions at Qlik Cloud go on
    #[arg(long)]
    agree: bool,
    /// Agree although not every tenant has been looked at
    #[arg(long, requires = "agree")]
    yes: bool,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &RejoinArgs, source: &Source) -> anyhow::Result<Code> {
    let store = source.store().await?;
    let settle = source.layered()?.qlik()?.settle;
    if args.agree {
        return agree(&store, args.yes).await;
    }
    if args.confirm {
        return confirm(&store, settle).await;
    }
    if !args.status {
        let rejoined = store.rejoin("an operator ran `tenantd rejoin`", settle).await?;
        output::note(
            "the database counts as a restored one: every tenant is looked at before anything is done about it; \
             nothing is deleted at Qlik Cloud until `tenantd rejoin --agree`",
        );
        are_all_woken(rejoined)?;
    }
    let rejoining = store.rejoining().await?;
    match args.format.output {
        Format::Json => output::json(&rejoining)?,
        Format::Table => output::sheet(&told(&rejoining, store.now().await?))?,
    }
    Ok(Code::Done)
}

async fn agree(store: &Store, is_unseen_too: bool) -> anyhow::Result<Code> {
    let rejoining = store.rejoining().await?;
    let is_confirmed = rejoining.changes_held_at.is_none();
    if rejoining.deletions_held_at.is_some() && is_confirmed && rejoining.to_wake > 0 {
        return Err(not_woken(&output::count(rejoining.to_wake, "tenant")));
    }
    if rejoining.deletions_held_at.is_some() && is_confirmed && rejoining.to_look_at > 0 && !is_unseen_too {
        let left = output::count(rejoining.to_look_at, "tenant");
        return Err(anyhow!(
            "{left} not looked at yet: what is found there may be in use, and would be deleted; wait until \
             `tenantd rejoin --status` has none to look at, or add --yes if they cannot be reached"
        ));
    }
    match store.agree_to_deletions().await? {
        Agreed::Done => output::line("deletions at Qlik Cloud go on")?,
        Agreed::NotHeld => output::line("deletions are not held: there is nothing to agree to")?,
        Agreed::NotConfirmed => {
            return Err(anyhow!(
                "nobody has said yet that this is the real database and no copy; if it is, run `tenantd rejoin --confirm` first"
            ));
        }
        Agreed::NotWoken => return Err(not_woken("at least one tenant")),
    }
    Ok(Code::Done)
}

/// Also with --yes: that is for those that cannot be reached, and these nobody has tried to.
fn not_woken(left: &str) -> anyhow::Error {
    anyhow!(
        "{left} to wake: nobody can have looked at what was not woken since the rejoin, --yes or not; a running daemon wakes \
         all within minutes but those whose rows an open transaction has locked: end it, wait until \
         `tenantd rejoin --status` has none to wake, then agree"
    )
}

/// The rejoin counts whatever became of the waking: whoever ran it again would have all begin anew.
fn are_all_woken(Rejoined { woken: _, stopped }: Rejoined) -> anyhow::Result<()> {
    match stopped {
        None => Ok(()),
        // In words of its own: the database's error alone would have it run again.
        Some(error) => Err(anyhow!(
            "this counts and need not be repeated, but not every tenant was woken for it: {error}; a running daemon wakes the \
             others, `tenantd rejoin --status` says how many are left"
        )),
    }
}

async fn confirm(store: &Store, settle: Duration) -> anyhow::Result<Code> {
    let who = format!("{} said that this is the real database", os_user());
    match store.confirm_as_real(&who, settle).await? {
        Some(rejoined) => {
            are_all_woken(rejoined)?;
            let rejoining = store.rejoining().await?;
            output::line(&format!(
                "changes at Qlik Cloud go on, each tenant's once it was looked at: {}; nothing is deleted at Qlik Cloud \
                 until `tenantd rejoin --agree`",
                left(&rejoining)
            ))?;
        }
        None => output::line("changes are not held: there is nothing to confirm")?,
    }
    Ok(Code::Done)
}

/// How many tenants are left.
fn left(rejoining: &Rejoining) -> String {
    let mut text = output::count(rejoining.to_look_at, "tenant");
    text.push_str(" to look at");
    if rejoining.to_wake > 0 {
        text.push_str(", ");
        text.push_str(&output::count(rejoining.to_wake, "tenant"));
        text.push_str(" to wake for it: nobody works on them yet");
    }
    text
}

fn told(rejoining: &Rejoining, now: chrono::DateTime<chrono::Utc>) -> String {
    let changes = rejoining.changes_held_at.map_or_else(String::new, |since| {
        format!(
            "nothing is changed at Qlik Cloud, {}: this may be a copy; `tenantd rejoin --confirm` if it is the real database\n",
            relative(since, now)
        )
    });
    let mut text = match (rejoining.deletions_held_at, &rejoining.held_reason) {
        (Some(since), Some(reason)) => {
            format!("deletions are held, {}: {}\n", relative(since, now), plain(reason))
        }
        (_, _) => "deletions are not held\n".to_owned(),
    };
    text.insert_str(0, &changes);
    text.push_str(&left(rejoining));
    text.push('\n');
    if rejoining.findings.is_empty() {
        return text + "nothing was found that this database does not know\n";
    }
    let row = |finding: &Finding| {
        let Finding { external_id, host, client_id, finding } = finding.clone();
        vec![external_id, host, output::or_dash(client_id), finding]
    };
    text + "\n" + &output::table(&["TENANT", "HOST", "CLIENT", "FINDING"], rejoining.findings.iter().map(row))
}
