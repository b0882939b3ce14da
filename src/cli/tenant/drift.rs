//! `tenantd tenant drift`: how clients differ from what they should be, now.
//!
//! The rules: it changes nothing at Qlik; what can be mended is left to the daemon, and
//! what cannot is named with its remedy. Where some tenants differ and others could not
//! be asked, the exit code tells of the differences, and the output of both.

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::matching::{MatchingArg, keys};
use super::named::{not_done, target};
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, OutputArg, or_dash};
use crate::cli::source::Source;
use crate::domain::drift::{Drift, DriftKind, ForPeople, Value};
use crate::domain::filter::{About, Term};
use crate::domain::phase::Phase;
use crate::postgres::operator::inspect::Allowed;
use crate::postgres::operator::inspect::Target;
use crate::postgres::{Store, StoreError};
use crate::visits::inspect::{Audited, NotDone};

const HEADER: [&str; 4] = ["TENANT", "KIND", "WANTED", "FOUND"];

/// One GET for each tenant, under its lease. Exits with 0 when nothing differs, 3 when
/// something does, 1 when nothing differs but some could not be asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantd tenant drift customer-42
  tenantd tenant drift --all --repair")]
pub(in crate::cli) struct DriftArgs {
    /// The tenants, by the pipeline's keys
    #[arg(required_unless_present_any = ["all", "filter"], conflicts_with_all = ["all", "filter"], value_name = "EXTERNAL_ID")]
    external_ids: Vec<String>,
    /// Every tenant that was ready before
    #[arg(long, conflicts_with = "filter")]
    all: bool,
    #[command(flatten)]
    matching: MatchingArg,
    /// With --filter and --repair: yes, all who match
    #[arg(long, requires = "filter")]
    yes: bool,
    /// Have the daemon mend what it can; exits with 0 when that is all there is
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    format: OutputArg,
}

/// One difference as JSON shows it.
#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    wanted: Option<String>,
    found: Option<String>,
    mendable: bool,
    remedy: Option<&'static str>,
}

/// A tenant as JSON shows it.
#[derive(Serialize)]
struct Tenant {
    external_id: String,
    host: String,
    drift: Vec<Shown>,
    /// What can be mended is left to the daemon.
    repairing: bool,
    /// Why it was not asked.
    not_asked: Option<String>,
}

/// Of whom there is something to compare.
const READY_BEFORE: [Phase; 3] = [Phase::Ready, Phase::Rotating, Phase::Proving];

type Visit = (Target, Result<Audited, NotDone>);

pub(super) async fn run(args: &DriftArgs, source: &Source) -> anyhow::Result<Code> {
    let inspector = source.inspector().await?;
    let (targets, mut problem) = targets(args, &inspector.store).await?;
    let visits = inspector.drift_of(targets, args.repair).await;
    match args.format.output {
        Format::Json => output::json(&visits.iter().map(tenant).collect::<Vec<_>>())?,
        Format::Table => table(&visits)?,
    }
    for (target, visit) in visits.iter().filter(|(_, visit)| visit.is_err()) {
        if let Err(error) = visit {
            output::note(&format!("{} was not asked: {error}", target.external_id));
        }
    }
    tell_remedies(&visits, args.repair);
    let left = visits.iter().flat_map(|(_, visit)| visit).any(|audited| is_left(audited, args.repair));
    if left {
        return Ok(Code::Differences);
    }
    if let Some(only) = failure(visits).or(problem.take()) {
        return Err(only);
    }
    Ok(Code::Done)
}

/// The tenants to be asked, and what is wrong with a key that is unknown.
async fn targets(args: &DriftArgs, store: &Store) -> anyhow::Result<(Vec<Target>, Option<anyhow::Error>)> {
    if args.all {
        let all = store.targets(&READY_BEFORE).await?;
        return Ok((all, None));
    }
    // Whoever only looks need not be asked.
    let matching = match args.matching.read()? {
        Some(of) => {
            let of = of.and(Term::new(false, About::Phase(READY_BEFORE.to_vec())));
            keys(store, &of, "repair", args.yes || !args.repair).await?
        }
        None => Vec::new(),
    };
    let (mut targets, mut problem) = (Vec::new(), None);
    for external_id in args.external_ids.iter().chain(&matching) {
        match target(store, external_id).await {
            Ok(target) => targets.push(target),
            Err(error) if error.is::<StoreError>() => return Err(error),
            // The others are not to suffer for it.
            Err(error) => problem = Some(error),
        }
    }
    Ok((targets, problem))
}

/// Whether something stays as it is.
fn is_left(audited: &Audited, repair: bool) -> bool {
    let is_handed = |allowed: &Allowed| allowed.parked.is_none();
    let is_handed = repair && audited.repair.as_ref().is_some_and(is_handed);
    audited.drifts.iter().any(|drift| !(is_handed && drift.kind().is_mendable()))
}

/// The one failure, or how many there were: each was told already.
fn failure(visits: Vec<Visit>) -> Option<anyhow::Error> {
    let all = visits.len();
    let mut failed = visits.into_iter().filter_map(|(target, visit)| Some((target, visit.err()?)));
    let (target, first) = failed.next()?;
    let more = failed.count();
    if all == 1 {
        return Some(not_done(&target.external_id)(first));
    }
    Some(anyhow!(
        "{} of {} could not be asked",
        more + 1,
        output::count(i64::try_from(all).unwrap_or(i64::MAX), "tenant")
    ))
}

fn tell_remedies(visits: &[Visit], repair: bool) {
    let audited = || visits.iter().flat_map(|(_, visit)| visit);
    let kinds = || audited().flat_map(|audited| &audited.drifts).map(Drift::kind);
    for kind in DriftKind::ALL.into_iter().filter(|kind| kinds().any(|found| found == *kind)) {
        if let Some(remedy) = kind.for_people().map(remedy) {
            output::note(&format!("{kind}: {remedy}"));
        }
    }
    for (target, visit) in visits {
        let Some(allowed) = visit.as_ref().ok().and_then(|audited| audited.repair.as_ref()) else { continue };
        let id = &target.external_id;
        if let Some(reason) = &allowed.parked {
            output::note(&format!(
                "{id} is parked ({reason}): mend that and run `tenantd tenant retry {id}`"
            ));
        } else if let Some(reason) = &allowed.paused {
            output::note(&format!(
                "{id} is paused ({reason}): the daemon mends it after `tenantd tenant resume`"
            ));
        }
    }
    let handed = audited().filter(|audited| audited.repair.is_some()).count();
    if handed > 0 {
        let many = output::count(i64::try_from(handed).unwrap_or(i64::MAX), "tenant");
        output::note(&format!(
            "{many} left to the daemon to mend; `tenantd tenant history EXTERNAL_ID` shows what it does, and this command what is left"
        ));
    } else if !repair && kinds().any(DriftKind::is_mendable) {
        output::note("add --repair to have the daemon mend what it can");
    }
}

fn table(visits: &[Visit]) -> anyhow::Result<()> {
    let audited = visits.iter().filter_map(|(target, visit)| Some((target, visit.as_ref().ok()?)));
    let rows: Vec<_> = audited
        .flat_map(|(target, audited)| audited.drifts.iter().map(move |drift| row(target, drift)))
        .collect();
    if rows.is_empty() {
        if visits.iter().any(|(_, visit)| visit.is_ok()) {
            output::note("nothing differs");
        }
        return Ok(());
    }
    Ok(output::print(&output::table(&HEADER, rows))?)
}

fn row(target: &Target, drift: &Drift) -> Vec<String> {
    let (wanted, found) = sides(drift);
    vec![target.external_id.clone(), drift.kind().to_string(), or_dash(wanted), or_dash(found)]
}

fn tenant((target, visit): &Visit) -> Tenant {
    let audited = visit.as_ref().ok();
    Tenant {
        external_id: target.external_id.clone(),
        host: target.host.clone(),
        drift: audited.into_iter().flat_map(|audited| &audited.drifts).map(shown).collect(),
        repairing: audited.and_then(|audited| audited.repair.as_ref()).is_some_and(|r| r.parked.is_none()),
        not_asked: visit.as_ref().err().map(ToString::to_string),
    }
}

fn shown(drift: &Drift) -> Shown {
    let (wanted, found) = sides(drift);
    let kind = drift.kind();
    Shown {
        kind: kind.as_str(),
        wanted,
        found,
        mendable: kind.is_mendable(),
        remedy: kind.for_people().map(remedy),
    }
}

/// What should be, and what is.
fn sides(drift: &Drift) -> (Option<String>, Option<String>) {
    let text = |text: &str| Some(text.to_owned());
    match drift {
        Drift::ClientMissing => (text("the client"), None),
        Drift::Duplicate(client) | Drift::CopiedMark(client) => (None, Some(client.to_string())),
        Drift::Consent => (text("trusted"), text("not trusted")),
        Drift::Disabled => (text("enabled"), text("disabled")),
        Drift::Field { wanted, found } => (said(&wanted.value), said(found)),
        Drift::SecretMissing { hint, standing } => (Some(format!("{hint} ({})", standing.as_str())), None),
        Drift::SecretUnknown { hint, created_by } => {
            let by = created_by.as_ref().map(|user| format!(" (made by {user})")).unwrap_or_default();
            (None, Some(format!("{hint}{by}")))
        }
    }
}

/// `None` of an empty list.
fn said(value: &Value) -> Option<String> {
    Some(value.to_string()).filter(|text| !text.is_empty())
}

/// What to do about a difference that the daemon cannot mend.
fn remedy(of: ForPeople) -> &'static str {
    match of {
        ForPeople::ClientMissing => {
            "somebody deleted the client in Qlik; `tenantd tenant retry --recreate` has another made"
        }
        ForPeople::CopiedMark => {
            "somebody copied our mark into a client's description (its type, its grants or its maker are not ours): take the mark out of it, or delete the client in Qlik"
        }
        ForPeople::Disabled => "enable the client in Qlik's console; no request of Qlik's API does",
        ForPeople::SecretUnknown => {
            "`tenantd census` tells which of them are left over from us; others an administrator made, and may use"
        }
    }
}
