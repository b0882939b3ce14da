//! `tenantd tenant show`: all that is known of one tenant.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use super::history;
use super::named::one;
use crate::answers::attempts::Attempt;
use crate::answers::tenants::{Shown, time_to_ready};
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, OutputArg, or_dash};
use crate::domain::ages::relative;
use crate::domain::blame::Blame;
use crate::domain::ids::TenantId;
use crate::domain::text::plain;
use crate::postgres::Store;
use crate::postgres::operator::tenants::Status;

/// Attempts shown below the tenant.
const ATTEMPTS: u32 = 5;

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    #[command(flatten)]
    format: OutputArg,
}

/// The whole, then whose it was; who had nothing of it is left out.
fn told(parts: &[(Blame, Duration); 6]) -> String {
    let whole: Duration = parts.iter().map(|(_, part)| *part).sum();
    let shown =
        |time: &Duration| humantime::format_duration(Duration::from_millis(milliseconds(*time))).to_string();
    let of = parts.iter().filter(|(_, part)| milliseconds(*part) > 0);
    let of: Vec<_> = of.map(|(blame, part)| format!("{} {}", blame.as_str(), shown(part))).collect();
    format!("{}: {}", shown(&whole), of.join(", "))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn run(args: &ShowArgs, store: &Store) -> anyhow::Result<Code> {
    let status = one(store, &args.external_id).await?;
    let past = store.history(TenantId(status.tenant_id), ATTEMPTS).await?;
    let attempts: Vec<_> = past.into_iter().map(Attempt::from).collect();
    let spent = store.spent(TenantId(status.tenant_id)).await?;
    match args.format.output {
        Format::Json => output::json(&Shown::new(status, &spent, attempts))?,
        Format::Table => {
            let now = store.now().await?;
            output::sheet(&sheet(&status, time_to_ready(&status, &spent).as_ref(), now))?;
            if !attempts.is_empty() {
                output::print(&format!("\nlast attempts\n{}", history::table(&attempts, now)))?;
            }
        }
    }
    Ok(Code::Done)
}

/// The columns of `tenantd.status`, one a line; what is empty is left out.
fn sheet(status: &Status, parts: Option<&[(Blame, Duration); 6]>, now: DateTime<Utc>) -> String {
    let at = |instant: DateTime<Utc>| format!("{} ({})", instant.format("%F %T UTC"), relative(instant, now));
    let yes = |is: bool| Some(if is { "yes" } else { "no" }.to_owned());
    let lines = [
        ("tenant_id", Some(status.tenant_id.to_string())),
        ("external_id", Some(status.external_id.clone())),
        ("host", Some(status.host.clone())),
        ("phase", Some(status.phase.clone())),
        ("ready", yes(status.ready)),
        ("parked", yes(status.parked)),
        ("reason", status.reason.clone()),
        ("message", status.message.clone()),
        ("since", status.since.map(at)),
        ("next_attempt_at", status.next_attempt_at.map(at)),
        ("failures", Some(status.failures.to_string())),
        ("client_id", status.client_id.clone()),
        ("version", status.version.map(|version| version.to_string())),
        ("paused", status.paused.then(|| "yes".to_owned())),
        ("drift", Some(status.drift.join(", ")).filter(|drift| !drift.is_empty())),
        ("audited_at", status.audited_at.map(at)),
        ("created_at", Some(at(status.created_at))),
        ("ready_at", status.ready_at.map(at)),
        ("time_to_ready", parts.map(told)),
        ("updated_at", Some(at(status.updated_at))),
        ("labels", Some(status.labels.to_string())),
    ];
    let line = |(name, value): (&str, Option<String>)| format!("{name:<16} {}\n", plain(&or_dash(value)));
    lines.into_iter().filter(|(_, value)| value.is_some()).map(line).collect()
}
