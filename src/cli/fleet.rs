//! `tenantd fleet`: what bounds changes to many tenants, and how to stop them all.
//!
//! The rule: `status` shows every brake there is, so that nobody has to guess which one
//! is on.

mod status;

use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::exit::{Code, Misuse};
use super::output::{self, OutputArg};
use super::pause::{PauseTerms, spoken};
use super::source::Source;
use crate::postgres::Store;
use crate::postgres::operator::pauses::FLEET;

#[derive(Debug, Subcommand)]
pub(super) enum FleetCommand {
    /// Show pauses, rollouts, budgets and how many tenants are in which phase
    Status(StatusArgs),
    /// Keep every daemon away from a region, or from all tenants
    Pause(PauseArgs),
    /// End a pause, or let a halted rollout begin anew
    Resume(ResumeArgs),
}

/// Budgets count the last hour, over all replicas.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    format: OutputArg,
}

/// No tenant is taken up any more; who is being worked on is finished first. Consumers are
/// not disturbed.
#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd fleet pause --region us --reason 'Qlik maintenance' --for 4h")]
pub(super) struct PauseArgs {
    /// Only this region, instead of the whole fleet
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    #[command(flatten)]
    terms: PauseTerms,
}

/// Ends the pause of the fleet, or of one region; pauses of single tenants go on.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The pause of this region, instead of that of the whole fleet
    #[arg(long, value_name = "NAME", conflicts_with = "rollout")]
    region: Option<String>,
    /// A rollout that halted: it begins anew with a canary when it is next due
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(["rotation", "repair"]))]
    rollout: Option<String>,
}

pub(super) async fn run(command: FleetCommand, source: &Source) -> anyhow::Result<Code> {
    match command {
        FleetCommand::Status(args) => {
            let bounds = source.layered()?.bounds()?;
            status::show(args.format.output, &bounds, &source.store().await?).await
        }
        FleetCommand::Pause(args) => pause(&args, &source.store().await?).await,
        FleetCommand::Resume(args) => resume(&args, &source.store().await?).await,
    }
}

async fn pause(args: &PauseArgs, store: &Store) -> anyhow::Result<Code> {
    let end = args.terms.end(store).await?;
    let region = named(args.region.as_deref());
    if !store.pause_region(region, &args.terms.reason, end).await? {
        return Err(unknown(region, store).await?.into());
    }
    let by_hand = match &args.region {
        Some(region) => format!("`tenantd fleet resume --region {region}`"),
        None => "`tenantd fleet resume`".to_owned(),
    };
    output::line(&format!("{} is paused {}", spoken(region), args.terms.ending(&by_hand)))?;
    Ok(Code::Done)
}

async fn unknown(region: &str, store: &Store) -> anyhow::Result<Misuse> {
    let known: Vec<_> =
        store.breakers().await?.into_iter().map(|breaker| breaker.region.to_string()).collect();
    let known =
        if known.is_empty() { "none, because no daemon ever ran".to_owned() } else { known.join(", ") };
    Ok(Misuse(format!("there is no region {region:?}; known are: {known}")))
}

async fn resume(args: &ResumeArgs, store: &Store) -> anyhow::Result<Code> {
    if let Some(kind) = &args.rollout {
        return resume_rollout(kind, store).await;
    }
    let region = named(args.region.as_deref());
    let line = if store.resume_region(region).await? {
        format!("{} goes on", spoken(region))
    } else {
        format!("nothing to do: {} is not paused", spoken(region))
    };
    output::line(&line)?;
    Ok(Code::Done)
}

async fn resume_rollout(kind: &str, store: &Store) -> anyhow::Result<Code> {
    if store.resume_rollout(kind).await? {
        output::line(&format!("the rollout of {kind} begins anew, with its canary, when it is next due"))?;
        return Ok(Code::Done);
    }
    let rollouts = store.rollouts().await?;
    let rollout = rollouts.into_iter().find(|rollout| rollout.kind == kind);
    let rollout =
        rollout.ok_or_else(|| anyhow!("the schema knows no rollout of {kind}; run `tenantd migrate`"))?;
    output::line(&format!("nothing to do: the rollout of {kind} is {}, not halted", rollout.stage))?;
    Ok(Code::Done)
}

fn named(region: Option<&str>) -> &str {
    region.unwrap_or(FLEET)
}
