//! The history: what was tried, when, and what came of it.

use std::time::Duration;

use tenantd::domain::ids::TenantId;
use tenantd::postgres::operator::attempts::PastAttempt;
use tenantd::simulator::{Endpoint, Fault, RetryAfter};

use super::{rig, row};
use crate::support::rig::{Replica, Rig};

async fn history(rig: &Rig, replica: &Replica) -> Vec<PastAttempt> {
    let tenant = TenantId(row(rig, "acme").await.tenant_id);
    replica.store.history(tenant, 100).await.unwrap()
}

#[tokio::test]
async fn every_effect_tried_is_one_line_of_history_with_what_qlik_said() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_after()]);
    rig.world.script(&host, Endpoint::SetConsent, [Fault::status(503)]);
    rig.world.script(&host, Endpoint::ClientToken, [Fault::throttle(RetryAfter::Seconds(5))]);

    rig.work_until_quiet(&replica).await;

    let history = history(&rig, &replica).await;
    let lines: Vec<_> = history
        .iter()
        .map(|a| (a.effect.as_str(), a.outcome.as_str(), a.phase.as_str(), a.http_status))
        .collect();
    assert_eq!(
        lines,
        [
            ("create", "ambiguous", "creating", None),
            ("look", "done", "creating", None),
            ("compare", "done", "creating", None),
            ("mint", "done", "created", None),
            ("compare", "done", "created", None),
            ("tidy", "done", "created", None),
            ("compare", "done", "created", None),
            ("trust", "transient", "created", Some(503)),
            ("trust", "done", "trusted", None),
            ("prove", "throttled", "trusted", Some(429)),
            ("prove", "done", "ready", None),
            ("recheck", "done", "ready", None),
        ]
    );
    let refused = &history[7];
    assert_eq!(refused.error_code.as_deref(), Some("HTTP-503"));
    assert_eq!(refused.trace_id.as_ref().map(String::len), Some(32));
    assert_eq!(refused.message.as_deref(), Some("the tenant failed (status 503, code HTTP-503)"));
    assert!(history.is_sorted_by_key(|attempt| attempt.started_at));
}

#[tokio::test]
async fn rest_without_an_effect_leaves_no_line() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_before()]);
    assert!(super::work_next(&rig, &replica).await);
    assert!(replica.store.retry("acme").await.unwrap());

    // Brought forward, it still has to settle.
    assert!(super::work_next(&rig, &replica).await);

    assert_eq!(row(&rig, "acme").await.wait_reason.as_deref(), Some("Settling"));
    assert_eq!(history(&rig, &replica).await.len(), 1);
}

#[tokio::test]
async fn history_is_pruned_by_age_in_batches() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::throttle(RetryAfter::Seconds(3600))]);
    rig.work_until_quiet(&replica).await;
    let written = history(&rig, &replica).await;
    assert_eq!(written.len(), 4, "create and the first trust, and an hour later trust and prove");

    rig.advance(Duration::from_mins(30)).await;
    let keep = Duration::from_hours(1);
    let batches = [
        replica.store.prune_history(keep, 1).await.unwrap(),
        replica.store.prune_history(keep, 5).await.unwrap(),
        replica.store.prune_history(keep, 5).await.unwrap(),
    ];

    assert_eq!(batches, [1, 1, 0]);
    let left = history(&rig, &replica).await;
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|attempt| attempt.started_at > written[1].started_at));
}
