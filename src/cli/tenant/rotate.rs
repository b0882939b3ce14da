//! `tenantd tenant rotate`: another secret, or the previous one again.
//!
//! The rule: consumers are never without a credential that works. The old secret lives
//! on as the previous one until it is acknowledged or `rotation.overlap` is over.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::matching::{ToAll, Which, Why, each};
use super::named::{for_each, one};
use super::standing::standing;
use super::wait::{self, Wanted};
use crate::cli::exit::Code;
use crate::cli::os_user::os_user;
use crate::cli::output::{self, Format};
use crate::cli::source::Source;
use crate::postgres::Store;
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::rollback::{Rollback, Twice, Versions};
use crate::postgres::operator::verbs::Verb;

/// Same as `UPDATE tenantd.tenants SET desired_version = desired_version + 1`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant rotate customer-42 --wait
  tenantd tenant rotate --filter 'ready:yes label.team:a' --reason 'leaked backup'
  tenantd tenant rotate --rollback customer-42
  tenantd tenant rotate --rollback --filter 'label.team:a' --reason 'their app refuses the new one'")]
pub(in crate::cli) struct RotateArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    why: Why,
    /// With --filter: yes, all who match
    #[arg(long, requires = "filter")]
    yes: bool,
    /// Make the previous secret the current one again, under the next version, while it lives
    #[arg(long, conflicts_with = "wait")]
    rollback: bool,
    /// Wait until the new versions serve, as `tenantd tenant wait --version` does
    #[arg(long, conflicts_with = "filter")]
    wait: bool,
    /// With --wait: give up after this long
    #[arg(long, default_value = "5m", value_parser = humantime::parse_duration, value_name = "DURATION")]
    timeout: Duration,
}

pub(super) async fn run(args: RotateArgs, source: &Source, store: &Store) -> anyhow::Result<Code> {
    if let Some(filter) = args.which.matching.read()? {
        let reason = args.why.reason.as_deref().unwrap_or_default();
        if args.rollback {
            let overlap = source.layered()?.rotation()?.overlap;
            let asked = format!("{}: {reason}", os_user());
            // An interrupted run is given again, and must not turn anybody a second time.
            let act = async |id: &str| roll_back(store, id, overlap, &asked, Twice::Refused).await;
            return each(store, &filter, "roll back", args.yes, act).await;
        }
        return ToAll { verb: Verb::Rotate, end: End::Open, reason, yes: args.yes }.run(store, &filter).await;
    }
    let external_ids = &args.which.external_ids;
    if args.rollback {
        let overlap = source.layered()?.rotation()?.overlap;
        let asked = os_user();
        return for_each(external_ids, async |id| {
            roll_back(store, id, overlap, &asked, Twice::Allowed).await.map(drop)
        })
        .await;
    }
    let mut wanted = Vec::new();
    let code = for_each(external_ids, async |id| {
        wanted.push(rotate(store, id).await?);
        Ok(())
    })
    .await?;
    if args.wait {
        return wait::until_settled(store, &wanted, args.timeout, Format::Table).await;
    }
    Ok(code)
}

async fn rotate(store: &Store, external_id: &str) -> anyhow::Result<Wanted> {
    let Some(version) = store.rotate(external_id).await? else {
        let status = one(store, external_id).await?;
        return Err(anyhow!("{external_id} has no secret to rotate: {}", standing(&status)));
    };
    output::line(&format!(
        "{external_id} gets version {version}; `tenantd tenant wait {external_id} --version {version}` waits for it"
    ))?;
    Ok(Wanted { external_id: external_id.to_owned(), version: Some(version) })
}

/// Whether there was anything to do.
async fn roll_back(
    store: &Store,
    external_id: &str,
    overlap: Duration,
    asked: &str,
    twice: Twice,
) -> anyhow::Result<bool> {
    let why_not = match store.roll_back(external_id, overlap, asked, twice).await? {
        Rollback::Done(Versions { promoted, version, replaced }) => {
            output::line(&format!(
                "{external_id}: the secret of version {promoted} is current again, as version {version}; version {replaced} lives on for {}",
                humantime::format_duration(overlap)
            ))?;
            return Ok(true);
        }
        Rollback::Unknown => return one(store, external_id).await.map(|_| false),
        Rollback::Before => {
            output::note(&format!(
                "{external_id} was rolled back before; `tenantd tenant rotate --rollback {external_id}` turns it to the newer secret again"
            ));
            return Ok(false);
        }
        Rollback::Unwanted => "its desired_state is absent".to_owned(),
        Rollback::Leased => "a daemon works on it at this moment; try again".to_owned(),
        Rollback::NotReady(phase) => format!(
            "its phase is {phase}, and only a tenant that is ready turns back; `tenantd tenant explain {external_id}` says what it waits for"
        ),
        Rollback::NoPrevious => {
            "no previous secret of it lives: it was retired, acknowledged away, or never there; `tenantd tenant rotate` makes a new one".to_owned()
        }
    };
    Err(anyhow!("{external_id} is not rolled back: {why_not}"))
}
