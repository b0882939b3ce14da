//! `tenantd config`: what is set, and whether it can run.

use clap::Subcommand;

use super::checked;
use super::exit::Code;
use super::output::{self, Format, OutputArg};
use super::source::Source;
use crate::app::Parts;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every setting with its value and origin, secrets redacted
    ///
    /// Works on a faulty configuration too.
    Show(OutputArg),
    /// Tell every fault at once, and what is merely unwise
    ///
    /// Also reads the files the configuration names: secrets, keyring, certificates.
    Check,
}

pub(super) fn run(command: &ConfigCommand, source: &Source) -> anyhow::Result<Code> {
    match command {
        ConfigCommand::Show(format) => show(format.output, source),
        ConfigCommand::Check => check(source),
    }
}

fn show(format: Format, source: &Source) -> anyhow::Result<Code> {
    let rows = source.layered()?.rows();
    match format {
        Format::Json => output::json(&rows)?,
        Format::Table => {
            let rows = rows.into_iter().map(|row| vec![row.key, row.value, row.origin]);
            output::print(&output::table(&["KEY", "VALUE", "ORIGIN"], rows))?;
        }
    }
    Ok(Code::Done)
}

fn check(source: &Source) -> anyhow::Result<Code> {
    let layered = source.layered()?;
    for warning in &layered.warnings() {
        output::note(&format!("warning: {warning}"));
    }
    Parts::of(&mut checked::settings(&layered)?)?;
    output::line("the configuration is sound; `tenantd doctor` tries it out")?;
    Ok(Code::Done)
}
