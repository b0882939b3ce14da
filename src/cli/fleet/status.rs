//! `tenantd fleet status`: every brake on the fleet, and how much is left of each budget.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::answers::fleet::{FleetStatus, HourlyBudget};
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, or_dash};
use crate::cli::pause::spoken;
use crate::domain::ages::relative;
use crate::domain::phase::Phase;
use crate::domain::rollout::Bounds;
use crate::domain::text::plain;
use crate::postgres::Store;
use crate::postgres::fleet::rights::MissingRight;
use crate::postgres::operator::fleet::RolloutStatus;
use crate::postgres::operator::pauses::Pause;

pub(super) async fn show(format: Format, bounds: &Bounds, store: &Store) -> anyhow::Result<Code> {
    let status = FleetStatus::of(bounds, store).await?;
    match format {
        Format::Json => output::json(&status)?,
        Format::Table => output::sheet(&sheet(&status, store.now().await?))?,
    }
    Ok(Code::Done)
}

fn sheet(status: &FleetStatus, now: DateTime<Utc>) -> String {
    let held = match &status.deletions_held {
        Some(hold) => {
            let what =
                if hold.changes { "all changes at Qlik are held" } else { "deletions at Qlik are held" };
            format!("{what}, {}: {}\n\n", relative(hold.since, now), plain(&hold.reason))
        }
        None => String::new(),
    };
    format!(
        "{held}{}{}\n{}\n{}\n{}",
        rights(&status.rights_missing, now),
        pauses(&status.pauses, now),
        rollouts(&status.rollouts, now),
        spending(&status.budgets),
        tenants(&status.phases)
    )
}

fn rights(missing: &[MissingRight], now: DateTime<Utc>) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let table = output::table(
        &["REGION", "LACKS THE RIGHT TO", "SINCE", "WAITING", "ANSWER"],
        missing.iter().map(|right| {
            vec![
                right.region.clone(),
                right.effect.clone(),
                relative(right.since, now),
                right.waiting.to_string(),
                right.answer.clone(),
            ]
        }),
    );
    format!("{table}\n")
}

fn pauses(pauses: &[Pause], now: DateTime<Utc>) -> String {
    if pauses.is_empty() {
        return "no region is paused\n".to_owned();
    }
    output::table(
        &["PAUSED", "SINCE", "UNTIL", "REASON"],
        pauses.iter().map(|pause| {
            vec![
                spoken(&pause.region),
                relative(pause.since, now),
                or_dash(pause.until.map(|until| relative(until, now))),
                pause.reason.clone(),
            ]
        }),
    )
}

fn rollouts(rollouts: &[RolloutStatus], now: DateTime<Utc>) -> String {
    output::table(
        &["ROLLOUT", "STAGE", "SINCE", "LAST HOUR", "MESSAGE"],
        rollouts.iter().map(|rollout| {
            vec![
                rollout.kind.clone(),
                rollout.stage.clone(),
                relative(rollout.since, now),
                rollout.spent.to_string(),
                rollout.message.clone().unwrap_or_default(),
            ]
        }),
    )
}

fn spending(budgets: &[HourlyBudget]) -> String {
    output::table(
        &["BUDGET", "SPENT", "LIMIT", "WAITING"],
        budgets.iter().map(|budget| {
            vec![
                budget.name.to_owned(),
                budget.spent.to_string(),
                budget.limit.to_string(),
                or_dash(budget.waiting),
            ]
        }),
    )
}

/// In the order of the way; what a newer version may have comes last.
fn tenants(phases: &BTreeMap<String, i64>) -> String {
    let known = Phase::ALL.map(Phase::as_str);
    let place = |phase: &str| known.iter().position(|known| *known == phase).unwrap_or(known.len());
    let mut sorted: Vec<_> = phases.iter().collect();
    sorted.sort_by_key(|(phase, _)| place(phase));
    output::table(
        &["PHASE", "TENANTS"],
        sorted.into_iter().map(|(phase, tenants)| vec![phase.clone(), tenants.to_string()]),
    )
}
