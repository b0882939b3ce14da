//! `tenantd doctor`: one check after another, each with its remedy.
//!
//! The rule: it changes nothing, and it goes on after a failure wherever the next
//! check can still tell something.

mod database;
mod finding;
mod keyring;
mod regions;
mod rights;

use clap::Args;

use super::exit::Code;
use super::output::OutputArg;
use super::source::Source;
use crate::app;
use crate::postgres::Store;
use crate::settings::{InvalidSettings, Layered, Settings};

pub(super) use finding::Findings;
use finding::Verdict;

/// Each line is ok, warn or FAIL, what was found, and how to mend it. Exits with
/// 0 when nothing fails, 1 when something does, 2 when the configuration does.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &DoctorArgs, source: &Source) -> anyhow::Result<Code> {
    let mut findings = Findings::new(args.format.output);
    let code = check(source, &mut findings).await?;
    findings.end()?;
    Ok(code)
}

/// Every check; what was found so far is there however it ends.
pub(super) async fn check(source: &Source, findings: &mut Findings) -> anyhow::Result<Code> {
    match source.layered().and_then(|layered| read(&layered, findings)) {
        Ok(settings) => examine(settings, findings).await?,
        Err(invalid) => {
            for fault in invalid.faults() {
                findings.fail("configuration", fault.message())?;
            }
            return Ok(Code::Usage);
        }
    }
    Ok(if findings.has(Verdict::Fail) { Code::Failed } else { Code::Done })
}

fn read(layered: &Layered, findings: &mut Findings) -> Result<Settings, InvalidSettings> {
    let (settings, warnings) = layered.settings()?;
    findings.configured(&warnings);
    Ok(settings)
}

async fn examine(settings: Settings, findings: &mut Findings) -> anyhow::Result<()> {
    findings.flush()?;
    let store = store(&settings, findings).await?;
    keyring::check(&settings, store.as_ref(), findings).await?;
    regions::check(settings, store.as_ref(), findings).await
}

/// The store, if the database is good enough for one.
async fn store(settings: &Settings, findings: &mut Findings) -> anyhow::Result<Option<Store>> {
    let connections = match app::connections(&settings.database) {
        Ok(connections) => connections,
        Err(error) => {
            findings.fail("database", error.message())?;
            return Ok(None);
        }
    };
    if let Err(error) = app::reach(&connections).await {
        findings.fail("database", error.message())?;
        return Ok(None);
    }
    findings.ok("database", "it answers")?;
    database::role(&connections, findings).await?;
    let store = database::schema(&connections, findings).await?;
    database::wake_ups(&connections, settings.worker.poll, findings).await?;
    database::clock(&connections, findings).await?;
    Ok(store)
}
