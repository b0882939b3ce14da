//! The fleet: how many stand where, what holds them back, and what failed lately.
//!
//! The rule: it is told by what the commands and the status page tell, and none of it reads the
//! whole fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::bundle::Bundle;
use crate::answers::attention::Attention;
use crate::answers::fleet::FleetStatus;
use crate::answers::overview::Overview;
use crate::answers::regions::RegionStatus;
use crate::postgres::Store;
use crate::postgres::operator::support::Failed;
use crate::settings::Layered;

/// Most failures that are told one by one.
const FAILURES: u32 = 500;

pub(super) async fn ask(bundle: &mut Bundle, layered: &Layered, store: &Store, since: Duration) {
    let status = async { Ok(FleetStatus::of(&layered.bounds()?, store).await?) };
    bundle.ask("fleet/status.json", "holds, missing rights, pauses, rollouts, budgets and tenants by phase; as `tenantd fleet status`", status).await;
    let regions = async { Ok(RegionStatus::all(store).await?) };
    bundle
        .ask("fleet/regions.json", "each region: its breaker, pause, last token and missing rights", regions)
        .await;
    bundle
        .ask(
            "fleet/waiting.json",
            "tenants by the reason for which they wait, and since when work is due",
            waiting(layered, store),
        )
        .await;
    bundle
        .ask(
            "fleet/parked.json",
            "tenants that wait for somebody, by reason, some of each by name",
            parked(store),
        )
        .await;
    let schedules = async { Ok(store.schedules().await?) };
    bundle
        .ask("fleet/schedules.json", "the jobs for the whole fleet: when due, when last taken", schedules)
        .await;
    let workers = async { Ok(store.holders().await?) };
    bundle.ask("fleet/workers.json", "who works on tenants now", workers).await;
    let about = format!(
        "attempts that failed in the last {}: the last {FAILURES}, and how many of each kind",
        humantime::format_duration(since)
    );
    bundle.ask("fleet/failures.json", &about, failures(store, since)).await;
}

async fn waiting(layered: &Layered, store: &Store) -> anyhow::Result<Value> {
    let overview = Overview::of(&layered.bounds()?, store).await?;
    let waiting = overview.waiting.iter().map(|waiting| {
        json!({ "reason": waiting.reason, "tenants": waiting.tenants, "is_estimate": waiting.is_estimate })
    });
    Ok(json!({
        "read_at": overview.read_at,
        "waiting": waiting.collect::<Vec<_>>(),
        "paused_alone": overview.paused.tenants,
        "oldest_due_seconds": overview.oldest_due.as_secs(),
        "drifted": overview.drifted.iter().cloned().collect::<BTreeMap<_, _>>(),
        "ready_lately": overview.lately.map(|lately| json!({
            "tenants": lately.tenants,
            "since": lately.since,
            "p50_seconds": lately.p50.as_secs_f64(),
            "p95_seconds": lately.p95.as_secs_f64(),
        })),
    }))
}

async fn parked(store: &Store) -> anyhow::Result<Value> {
    let attention = Attention::of(store).await?;
    let groups = attention.groups.iter().map(|group| {
        let first = group.first.iter().map(|tenant| {
            json!({
                "external_id": tenant.external_id,
                "host": tenant.host,
                "since": tenant.since,
                "message": tenant.message,
            })
        });
        json!({ "reason": group.reason, "tenants": group.tenants, "first": first.collect::<Vec<_>>() })
    });
    Ok(Value::Array(groups.collect()))
}

async fn failures(store: &Store, since: Duration) -> anyhow::Result<Value> {
    let failures = store.failures(since, FAILURES).await?;
    Ok(json!({ "by_kind": by_kind(&failures), "failures": failures }))
}

/// The most of them first.
fn by_kind(failures: &[Failed]) -> Vec<Value> {
    let mut kinds: BTreeMap<_, u32> = BTreeMap::new();
    for failed in failures {
        let kind = (&failed.region, &failed.effect, &failed.outcome, failed.http_status, &failed.error_code);
        *kinds.entry(kind).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, attempts)| std::cmp::Reverse(*attempts));
    let kind = |((region, effect, outcome, status, code), attempts): ((_, _, _, Option<i16>, _), u32)| {
        json!({
            "attempts": attempts, "region": region, "effect": effect, "outcome": outcome,
            "http_status": status, "error_code": code,
        })
    };
    kinds.into_iter().map(kind).collect()
}
