//! `tenantd census`: every client of the fleet, held against the database.
//!
//! The rule: looking and acting are two commands with a file between them, which a person
//! reads.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::exit::{Code, Misuse};
use super::os_user::os_user;
use super::output::{self, Format, OutputArg, or_dash};
use super::private_file::NewFile;
use super::source::Source;
use crate::domain::host::Host;
use crate::domain::ids::RegionName;
use crate::domain::text::plain_json;
use crate::visits::census::Scope;
use crate::visits::census::apply::{Applied, Stop};
use crate::visits::census::plan::{Entry, Plan, VERSION};

const HEADER: [&str; 6] = ["HOST", "TENANT", "CLASS", "CLIENT", "SECRET", "ACTION"];

/// Looks at every tenant that is not pending, and changes nothing. Exits with 0 when there
/// is nothing to do, 3 when there is, 1 when there is not but some hosts could not be asked.
///
/// With --apply, carries out the deletions of a plan: each is looked at anew, and refused
/// when it has changed. Exits with 0 when all was done, 3 when something was refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd census --plan census.json
  tenantd census --apply census.json --yes")]
pub(super) struct CensusArgs {
    /// Only tenants of this region of the configuration
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Write what was found into this file, which must not be there
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Look at these hosts too: a file with one a line
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
    /// Carry out the deletions of this plan
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["region", "plan", "hosts"])]
    apply: Option<PathBuf>,
    /// With --apply: do it
    #[arg(long, requires = "apply")]
    yes: bool,
    #[command(flatten)]
    format: OutputArg,
}

/// An entry's end as JSON shows it.
#[derive(Serialize)]
struct Ended {
    host: String,
    external_id: Option<String>,
    class: &'static str,
    client_id: String,
    hint: Option<String>,
    outcome: &'static str,
    reason: Option<String>,
}

pub(super) async fn run(args: CensusArgs, source: &Source) -> anyhow::Result<Code> {
    match &args.apply {
        Some(plan) => apply(&args, plan, source).await,
        None => look(&args, source).await,
    }
}

async fn look(args: &CensusArgs, source: &Source) -> anyhow::Result<Code> {
    let scope = scope(args)?;
    let inspector = source.inspector().await?;
    if let Some(region) = &scope.region
        && !inspector.terms.regions.patterns().any(|(_, known)| known == region)
    {
        return Err(Misuse(format!("the configuration has no region {:?}", region.as_str())).into());
    }
    // Before the walk, which may take long.
    let file = args.plan.as_deref();
    let file = file.map(|path| NewFile::create(path, "choose another name, or remove it")).transpose()?;
    let walk = inspector.census(&scope);
    let plan = match &file {
        Some(file) => file.unless_interrupted(walk).await??,
        None => walk.await?,
    };
    if let Some(file) = file {
        // Somebody reads it before it is applied.
        let text = plain_json(&serde_json::to_string_pretty(&plan)?) + "\n";
        file.write(|file| file.write_all(text.as_bytes()))?;
    }
    match args.format.output {
        Format::Json => output::json(&plan)?,
        Format::Table => tell(&plan, args.plan.as_deref())?,
    }
    Ok(match (plan.is_action_due(), plan.not_asked.is_empty()) {
        (true, _) => Code::Differences,
        (false, false) => Code::Failed,
        (false, true) => Code::Done,
    })
}

fn scope(args: &CensusArgs) -> anyhow::Result<Scope> {
    let region = args.region.clone().map(RegionName::new);
    let Some(path) = &args.hosts else { return Ok(Scope { region, hosts: vec![] }) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Misuse(format!("{} cannot be read: {error}; name a file with one host a line", path.display()))
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let hosts: Vec<_> = lines.map(str::to_owned).collect();
    for host in &hosts {
        Host::parse(host)
            .map_err(|error| Misuse(format!("{}: {host:?} is no tenant host: {error}", path.display())))?;
    }
    Ok(Scope { region, hosts })
}

fn tell(plan: &Plan, file: Option<&Path>) -> anyhow::Result<()> {
    if !plan.entries.is_empty() {
        output::print(&output::table(&HEADER, plan.entries.iter().map(row)))?;
        output::line("")?;
    }
    let counts = &plan.counts;
    output::line(&format!(
        "{} looked at: {} ours, {} missing, {} orphan, {} duplicate, {} look-alike, {} foreign; {} stale secrets",
        output::count(i64::try_from(counts.hosts).unwrap_or(i64::MAX), "host"),
        counts.ours,
        counts.missing,
        counts.orphan,
        counts.duplicate,
        counts.look_alike,
        counts.foreign,
        counts.stale_secret
    ))?;
    for host in &plan.not_asked {
        output::note(&format!("{} was not asked: {}", host.host, host.reason));
    }
    match file {
        Some(file) if plan.is_action_due() => output::note(&format!(
            "the plan is in {0}: read it, take out what should stay, and run `tenantd census --apply {0} --yes`",
            file.display()
        )),
        None if plan.is_action_due() => output::note("with --plan FILE this is written down, to be applied"),
        Some(_) | None => {}
    }
    Ok(())
}

fn row(entry: &Entry) -> Vec<String> {
    vec![
        entry.host.clone(),
        or_dash(entry.external_id.as_deref()),
        entry.class.as_str().to_owned(),
        entry.client_id.clone(),
        or_dash(entry.hint.as_deref()),
        entry.action.as_str().to_owned(),
    ]
}

async fn apply(args: &CensusArgs, path: &Path, source: &Source) -> anyhow::Result<Code> {
    let plan = read(path)?;
    if !args.yes {
        let what = "this deletes clients and secrets at Qlik for good; add --yes if you have read the plan";
        return Err(Misuse(what.to_owned()).into());
    }
    let inspector = source.inspector().await?;
    if plan.installation_id != inspector.store.installation().0 {
        return Err(Misuse(format!(
            "{} was made for another installation ({}); make one with this configuration",
            path.display(),
            plan.installation_id
        ))
        .into());
    }
    let mut ended = Vec::new();
    let stopped =
        inspector.apply(&plan, &os_user(), |entry, applied| ended.push(shown(entry, applied))).await;
    match args.format.output {
        Format::Json => output::json(&ended)?,
        Format::Table => {
            for entry in &ended {
                output::line(&sentence(entry))?;
            }
        }
    }
    match stopped {
        Err(Stop::Store(error)) => return Err(error.into()),
        Err(stop @ (Stop::Spent(_) | Stop::Held(_))) => return Err(anyhow!("stopped: {stop}")),
        Ok(()) => {}
    }
    let any = |outcome| ended.iter().any(|entry| entry.outcome == outcome);
    Ok(match (any("changed"), any("not_asked")) {
        (true, _) => Code::Differences,
        (false, true) => Code::Failed,
        (false, false) => Code::Done,
    })
}

fn read(path: &Path) -> anyhow::Result<Plan> {
    /// Only what tells how to read the rest.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }

    let shown = path.display();
    let unreadable = |error: &dyn std::fmt::Display| {
        Misuse(format!(
            "{shown} cannot be read as a plan: {error}; make it with `tenantd census --plan FILE`"
        ))
    };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let versioned: Versioned = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    if versioned.version != VERSION {
        return Err(unreadable(&format!("it is of version {}, not {VERSION}", versioned.version)).into());
    }
    Ok(serde_json::from_str(&text).map_err(|error| unreadable(&error))?)
}

fn shown(entry: &Entry, applied: &Applied) -> Ended {
    let (outcome, reason) = match applied {
        Applied::Done => ("done", None),
        Applied::Gone => ("gone", None),
        Applied::Changed(reason) => ("changed", Some(reason.clone())),
        Applied::NotAsked(reason) => ("not_asked", Some(reason.clone())),
    };
    Ended {
        host: entry.host.clone(),
        external_id: entry.external_id.clone(),
        class: entry.class.as_str(),
        client_id: entry.client_id.clone(),
        hint: entry.hint.clone(),
        outcome,
        reason,
    }
}

fn sentence(entry: &Ended) -> String {
    let what = match &entry.hint {
        Some(hint) => format!("secret {hint} of client {}", entry.client_id),
        None => format!("client {}", entry.client_id),
    };
    let how = match (entry.outcome, &entry.reason) {
        ("done", _) => "deleted".to_owned(),
        ("gone", _) => "gone already".to_owned(),
        (_, reason) => format!("left as it is: {}", reason.as_deref().unwrap_or_default()),
    };
    format!("{}: {} {what}: {how}", entry.host, entry.class)
}
