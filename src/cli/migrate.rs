//! `tenantd migrate`: the schema, brought up or looked at.

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use sqlx::migrate::MigrateError;

use super::exit::{Code, Misuse};
use super::output::{self, Format, OutputArg};
use super::source::Source;
use crate::app;
use crate::postgres::Connections;
use crate::postgres::error::Meaning;
use crate::postgres::migrate::{NotMigrated, migrate};
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
    let connections = source.connections().await?;
    if args.status {
        let steps = steps(&connections).await?;
        show(&steps, args.format.output)?;
        let is_pending = steps.iter().any(|step| !step.is_applied);
        return Ok(if is_pending { Code::Differences } else { Code::Done });
    }
    let waiting = |holder: &str| output::note(&format!("waiting for another migration, by {holder}"));
    let applied = migrate(&connections, waiting).await.map_err(explained)?;
    match args.format.output {
        Format::Json => show(&steps(&connections).await?, Format::Json)?,
        Format::Table => tell(&applied)?,
    }
    Ok(Code::Done)
}

async fn steps(connections: &Connections) -> anyhow::Result<Vec<Step>> {
    Ok(schema::steps(connections).await.map_err(|error| app::started(&error.into()))?)
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

fn tell(applied: &[Step]) -> anyhow::Result<()> {
    for step in applied {
        output::line(&format!("applied {} {}", step.version, step.description))?;
    }
    if applied.is_empty() {
        output::line("the schema is up to date")?;
    }
    Ok(())
}

fn explained(error: NotMigrated) -> anyhow::Error {
    let error = match error {
        NotMigrated::Migrator(error) => error,
        NotMigrated::Encoding(_) | NotMigrated::Pooler => return Misuse(error.to_string()).into(),
        NotMigrated::Busy { .. } => return anyhow!("{error}"),
    };
    if let MigrateError::Execute(driver) | MigrateError::ExecuteMigration(driver, _) = &error {
        match Meaning::of(driver) {
            Meaning::Forbidden => {
                return Misuse(format!(
                    "this role may not change the schema ({driver}); run `tenantd migrate` as a role that owns schema tenantd or may create it"
                ))
                .into();
            }
            Meaning::Contended
            | Meaning::Away
            | Meaning::Refused
            | Meaning::Pooler
            | Meaning::ReadOnly
            | Meaning::Elsewhere
            | Meaning::SchemaMissing
            | Meaning::Values
            | Meaning::Defect => {}
        }
    }
    if let MigrateError::VersionMismatch(version) = error {
        return anyhow!(
            "migration {version} was changed after it ran here; use a released version of tenantd"
        );
    }
    anyhow!(
        "the schema could not be brought up, and nothing was changed: {error}; mend the cause and run this again"
    )
}
