//! `tenantd completions` and `tenantd man`: made from the arguments themselves.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::Code;
use super::output;

/// Install it where your shell looks for completions.
#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd completions bash > /etc/bash_completion.d/tenantd")]
pub(super) struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: tenantd man --out /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write one page for each command into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// `tenantd` is the whole command line.
pub(super) fn completions(args: &CompletionsArgs, mut tenantd: Command) -> anyhow::Result<Code> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tenantd, "tenantd", &mut script);
    output::print(&String::from_utf8(script)?)?;
    Ok(Code::Done)
}

/// `tenantd` is the whole command line.
pub(super) fn man(args: &ManArgs, tenantd: Command) -> anyhow::Result<Code> {
    if let Some(directory) = &args.out {
        clap_mangen::generate_to(tenantd, directory).map_err(|error| {
            let directory = directory.display();
            anyhow::anyhow!(
                "no pages can be written to {directory}: {error}; name a directory that you may write to"
            )
        })?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(tenantd).render(&mut page)?;
        output::print(&String::from_utf8(page)?)?;
    }
    Ok(Code::Done)
}
