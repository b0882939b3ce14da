//! The command line: what a person or a script can ask, and how it is answered.
//!
//! One file a command, named after it. Help texts are the doc comments of the
//! arguments. The rules: results go to standard output and nothing else does;
//! messages go to standard error, each with its remedy; exit codes come from one
//! place (`exit`); times are relative in tables and RFC 3339 in JSON, and JSON
//! only grows.

mod census;
mod checked;
mod config;
mod constraints;
mod demo;
mod doctor;
mod exit;
mod fleet;
mod keys;
mod manuals;
mod migrate;
mod os_user;
mod output;
mod pause;
mod private_file;
mod rejoin;
mod run;
mod secret;
mod source;
mod support;
mod tenant;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::telemetry::logs;
use crate::telemetry::panics;

pub use exit::{Code, end};

use source::Source;

/// Gives every Qlik Cloud tenant its trusted impersonation OAuth client.
///
/// Reads new-tenant rows from Postgres and makes each tenant ready: an OAuth
/// client with trusted consent, its secret sealed in the database and proven.
#[derive(Debug, Parser)]
#[command(name = "tenantd", version, propagate_version = true, max_term_width = 100, after_help = exit::HELP)]
pub struct Cli {
    /// TOML file with the configuration; environment variables win over it
    #[arg(long, global = true, env = "TENANTD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::RunArgs),
    /// Take a guided tour on this machine alone
    Demo(demo::DemoArgs),
    /// Run a simulated Qlik Cloud, for other programs' tests
    Simulate(demo::SimulateArgs),
    /// Bring the schema up to this version, or say what is pending
    Migrate(migrate::MigrateArgs),
    /// Check configuration, database, keyring and each region's credential
    Doctor(doctor::DoctorArgs),
    /// Write one file without secrets for whoever helps
    SupportBundle(support::SupportBundleArgs),
    /// Find the way back to what Qlik Cloud knows after a restore from a backup
    Rejoin(rejoin::RejoinArgs),
    /// Hold every client of the fleet against the database, and clean up by a plan
    Census(census::CensusArgs),
    /// Add, list, watch and change tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// See what bounds changes to the fleet, pause and resume it
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Show a tenant's secret
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Make and list the keys that seal secrets, and seal secrets anew
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell
    Completions(manuals::CompletionsArgs),
    /// Print the manual page, or write all of them
    Man(manuals::ManArgs),
}

/// Does what was asked and says how it went.
pub async fn run(cli: Cli) -> ExitCode {
    panics::log_panics();
    end(answer(cli.command, &Source::new(cli.config)).await)
}

async fn answer(command: Command, source: &Source) -> anyhow::Result<Code> {
    // The daemon logs as configured, and the tour into a file.
    if !matches!(command, Command::Run(_) | Command::Demo(_)) {
        // Commands speak for themselves; only a panic would still be logged.
        logs::init(logs::Format::Text, "error")?;
    }
    match command {
        Command::Run(args) => run::run(&args, source).await,
        Command::Demo(args) => demo::demo(&args, source).await,
        Command::Simulate(args) => demo::simulate(args).await,
        Command::Migrate(args) => migrate::run(&args, source).await,
        Command::Doctor(args) => doctor::run(&args, source).await,
        Command::SupportBundle(args) => support::run(&args, source).await,
        Command::Rejoin(args) => rejoin::run(&args, source).await,
        Command::Tenant(command) => tenant::run(command, source).await,
        Command::Census(args) => census::run(args, source).await,
        Command::Fleet(command) => fleet::run(command, source).await,
        Command::Secret(command) => secret::run(command, source).await,
        Command::Keys(command) => keys::run(command, source).await,
        Command::Config(command) => config::run(&command, source),
        Command::Completions(args) => manuals::completions(&args, Cli::command()),
        Command::Man(args) => manuals::man(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../docs/cli.md");

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        let mut below = command.get_subcommands().filter(|sub| sub.get_name() != "help").peekable();
        if below.peek().is_none() {
            found.push(path.to_owned());
        }
        for sub in below {
            leaves(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_its_section_in_the_docs_and_none_is_invented() {
        let mut commands = Vec::new();
        leaves(&Cli::command(), "tenantd", &mut commands);

        let sections: Vec<String> = DOCS
            .lines()
            .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`').map(str::to_owned))
            .collect();

        assert_eq!(sections, commands);
    }

    #[test]
    fn every_option_is_in_its_section_of_the_docs() {
        fn check(command: &clap::Command, path: &str) {
            if let Some((_, rest)) = DOCS.split_once(&format!("## `{path}`\n")) {
                let section = rest.split("\n## ").next().unwrap_or(rest);
                for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                    let is_common = ["help", "version", "config"].contains(&option);
                    assert!(is_common || section.contains(&format!("--{option}")), "{path}: --{option}");
                }
            }
            for sub in command.get_subcommands() {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
        }

        check(&Cli::command(), "tenantd");
    }

    /// Every file below, of these kinds.
    fn files(path: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.extension().and_then(std::ffi::OsStr::to_str) {
                _ if entry.is_dir() => files(&entry, found),
                Some("rs" | "md" | "yaml" | "yml" | "toml" | "service") => found.push(entry),
                Some(_) | None => {}
            }
        }
    }

    /// The long options that stand behind a command, up to the end of what shows it, and what is
    /// wrong with it.
    fn misfit(shown: &str) -> Option<String> {
        let (mut command, mut words) = (Cli::command(), shown.split_whitespace().peekable());
        while let Some(below) = words.peek().and_then(|word| command.find_subcommand(word)).cloned() {
            command = below;
            words.next();
        }
        if command.has_subcommands()
            && words.peek().is_some_and(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        {
            return Some(format!("{} is no command", words.next().unwrap_or_default()));
        }
        let options = words.filter_map(|word| word.strip_prefix("--")).map(|option| {
            option.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default()
        });
        let common = ["help", "version", "config"];
        let known: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).chain(common).collect();
        options
            .into_iter()
            .find(|option| !known.contains(option))
            .map(|option| format!("--{option} is no option"))
    }

    #[test]
    fn every_command_that_is_shown_anywhere_exists() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths = vec![root.join("README.md")];
        for room in ["src", "docs", "deploy", "config", "examples"] {
            files(&root.join(room), &mut paths);
        }
        let (mut seen, mut wrong) = (0, Vec::new());
        for path in paths {
            let text = std::fs::read_to_string(&path).unwrap();
            // In backquotes, or by itself on a line of an example or a page.
            for shown in text.match_indices("tenantd ").map(|(at, name)| &text[at + name.len()..]) {
                let Some(shown) = shown.split(['`', '\n', '"', '|', ';', ')']).next() else { continue };
                if shown.starts_with(|c: char| c.is_ascii_lowercase()) {
                    seen += 1;
                    let subcommand = shown.split_whitespace().next().unwrap_or_default();
                    if Cli::command().find_subcommand(subcommand).is_some()
                        && let Some(what) = misfit(shown)
                    {
                        wrong.push(format!("{}: tenantd {shown}: {what}", path.display()));
                    }
                }
            }
        }

        assert!(seen > 100, "only {seen} commands are shown");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        let mut stack = vec![Cli::command()];
        while let Some(command) = stack.pop() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();

            assert!(!about.is_empty(), "{} says nothing", command.get_name());
            stack.extend(command.get_subcommands().cloned());
        }
    }
}
