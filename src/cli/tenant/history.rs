//! `tenantd tenant history`: what was tried, and what came of it.

use chrono::{DateTime, Utc};
use clap::Args;

use super::named::one;
use crate::answers::attempts::Attempt;
use crate::cli::exit::Code;
use crate::cli::output::{self, Format, OutputArg, or_dash};
use crate::domain::ages::relative;
use crate::domain::ids::TenantId;
use crate::postgres::Store;

const HEADER: [&str; 8] = ["STARTED", "TOOK", "EFFECT", "OUTCOME", "PHASE", "STATUS", "TRACE ID", "MESSAGE"];

/// Attempts are kept for history.keep. The trace id is for Qlik's support.
#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// The tenant, by the pipeline's key
    external_id: String,
    /// Most attempts to list, the last ones
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: u32,
    #[command(flatten)]
    format: OutputArg,
}

pub(super) async fn run(args: &HistoryArgs, store: &Store) -> anyhow::Result<Code> {
    let status = one(store, &args.external_id).await?;
    let past = store.history(TenantId(status.tenant_id), args.limit).await?;
    let attempts: Vec<_> = past.into_iter().map(Attempt::from).collect();
    match args.format.output {
        Format::Json => output::json(&attempts)?,
        Format::Table if attempts.is_empty() => output::note("nothing was tried yet"),
        Format::Table => output::print(&table(&attempts, store.now().await?))?,
    }
    Ok(Code::Done)
}

/// Attempts as people read them.
pub(super) fn table(attempts: &[Attempt], now: DateTime<Utc>) -> String {
    output::table(&HEADER, attempts.iter().map(|attempt| row(attempt, now)))
}

fn row(attempt: &Attempt, now: DateTime<Utc>) -> Vec<String> {
    let code = attempt.error_code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    vec![
        relative(attempt.started_at, now),
        format!("{}ms", attempt.duration_ms),
        attempt.effect.clone(),
        attempt.outcome.clone(),
        attempt.phase.clone(),
        or_dash(attempt.http_status.map(|status| format!("{status}{code}"))),
        or_dash(attempt.trace_id.as_deref()),
        attempt.message.clone().unwrap_or_default(),
    ]
}
