//! `tenantd migrate`: the schema, brought up or looked at.

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use sqlx::PgPool;
use sqlx::migrate::MigrateError;

use super::exit::{Code, Misuse};
use super::output::{self, Format, OutputArg};
use super::source::Source;
use crate::app;
use crate::postgres::error::is_forbidden;
use crate::postgres::schema::{self, Step};

/// Run it as the schema's owner, before the new version starts; the previous
/// version goes on working on the new schema.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Change nothing; list the migrations, and exit with 3 when some are pending
    #[arg(long)]
    status: bool,
    #[command(flatten)]
    format: OutputArg,
}

/// A migration as JSON shows it.
#[derive(Serialize)]
struct Shown<'a> {
    version: i64,
    description: &'a str,
    applied: bool,
}

pub(super) async fn run(args: &MigrateArgs, source: &Source) -> anyhow::Result<Code> {
    let pool = source.pool().await?;
    let before = steps(&pool).await?;
    let is_pending = before.iter().any(|step| !step.is_applied);
    if args.status {
        show(&before, args.format.output)?;
        return Ok(if is_pending { Code::Differences } else { Code::Done });
    }
    schema::migrate(&pool).await.map_err(|error| explained(&error))?;
    match args.format.output {
        Format::Json => show(&steps(&pool).await?, Format::Json)?,
        Format::Table => tell(&before)?,
    }
    Ok(Code::Done)
}

async fn steps(pool: &PgPool) -> anyhow::Result<Vec<Step>> {
    Ok(schema::steps(pool).await.map_err(|error| app::started(&error.into()))?)
}

fn show(steps: &[Step], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::json(&steps.iter().map(shown).collect::<Vec<_>>()),
        Format::Table => {
            let header = ["VERSION", "DESCRIPTION", "STATE"];
            Ok(output::print(&output::table(&header, steps.iter().map(row)))?)
        }
    }
}

fn shown(step: &Step) -> Shown<'_> {
    Shown { version: step.version, description: &step.description, applied: step.is_applied }
}

fn row(step: &Step) -> Vec<String> {
    let state = if step.is_applied { "applied" } else { "pending" };
    vec![step.version.to_string(), step.description.clone(), state.to_owned()]
}

fn tell(before: &[Step]) -> anyhow::Result<()> {
    let pending: Vec<_> = before.iter().filter(|step| !step.is_applied).collect();
    for step in &pending {
        output::line(&format!("applied {} {}", step.version, step.description))?;
    }
    if pending.is_empty() {
        output::line("the schema is up to date")?;
    }
    Ok(())
}

fn explained(error: &MigrateError) -> anyhow::Error {
    if let MigrateError::Execute(driver) | MigrateError::ExecuteMigration(driver, _) = error
        && is_forbidden(driver)
    {
        return Misuse(format!(
            "this role may not change the schema ({driver}); run `tenantd migrate` as a role that owns schema tenantd or may create it"
        ))
        .into();
    }
    if let MigrateError::VersionMismatch(version) = error {
        return anyhow!(
            "migration {version} was changed after it ran here; use a released version of tenantd"
        );
    }
    anyhow!(
        "the schema could not be brought up: {error}; what `tenantd migrate --status` does not call applied has changed nothing, so mend the cause and run this again"
    )
}
