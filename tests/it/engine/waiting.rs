//! What is waited for, for how long, and what it costs the tenant.

use std::time::Duration;

use tenantd::ports::Clock;
use tenantd::simulator::{Endpoint, Fault, FaultPlan, RetryAfter, TenantStatus};

use super::{assert_whole, host_of, ledger, rig, row, work_due, work_next};
use crate::support::rig::{Replica, Rig, SUFFIX, terms};

const DAY: Duration = Duration::from_hours(24);

/// A replica whose waits may grow to an hour.
async fn patient(rig: &Rig) -> Replica {
    let mut terms = terms();
    terms.policy.cap = Duration::from_hours(1);
    rig.replica_with(terms, tenantd::vault::KeyKind::Symmetric).await
}

fn always(rig: &Rig, endpoint: Endpoint, fault: &Fault) {
    let plan = FaultPlan::none().with_share(endpoint, 1.0, fault.clone());
    rig.world.plan_faults(|faults| *faults = plan);
}

fn mend(rig: &Rig) {
    rig.world.plan_faults(|faults| *faults = FaultPlan::none());
}

#[tokio::test]
async fn a_throttle_spends_nothing_and_is_obeyed_to_the_second_for_that_tenant_alone() {
    for endpoint in
        [Endpoint::RegionToken, Endpoint::CreateClient, Endpoint::SetConsent, Endpoint::ClientToken]
    {
        for (retry_after, wait) in [
            (RetryAfter::Seconds(90), 90),
            (RetryAfter::Date(Duration::from_secs(45)), 45),
            (RetryAfter::Missing, 1),
        ] {
            let rig = rig().await;
            let replica = rig.replica().await;
            let slow = rig.given_tenant("slow").await;
            rig.given_tenant("other").await;
            rig.world.script(&slow, endpoint, [Fault::throttle(retry_after)]);

            work_due(&rig, &replica).await;

            let throttled = row(&rig, "slow").await;
            assert_eq!(throttled.wait_reason.as_deref(), Some("Throttled"), "{endpoint:?}");
            assert_eq!((throttled.failures, throttled.rests().as_secs()), (0, wait), "{endpoint:?}");
            assert_whole(&rig, &replica, "other").await;
            rig.advance(Duration::from_secs(wait).saturating_sub(Duration::from_millis(1))).await;
            assert_eq!(work_due(&rig, &replica).await, 0, "not a moment too early");
            rig.advance(Duration::from_millis(1)).await;
            assert_eq!(work_due(&rig, &replica).await, 1);
            assert_whole(&rig, &replica, "slow").await;
        }
    }
}

#[tokio::test]
async fn throttles_for_days_never_park_a_tenant_nor_wipe_out_its_failures() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::status(503)]);
    let throttles = std::iter::repeat_n(Fault::throttle(RetryAfter::Seconds(3600)), 72);
    rig.world.script(&host, Endpoint::SetConsent, throttles);

    for _ in 0..73 {
        assert!(work_next(&rig, &replica).await);
    }

    let still = row(&rig, "acme").await;
    assert_eq!((still.wait_reason.as_deref(), still.failures), (Some("Throttled"), 1));
    rig.work_until_quiet(&replica).await;
    assert_whole(&rig, &replica, "acme").await;
}

#[tokio::test]
async fn failures_that_may_pass_are_tried_at_growing_distances_then_parked_with_the_remedy() {
    let rig = rig().await;
    let replica = patient(&rig).await;
    rig.given_tenant("acme").await;
    always(&rig, Endpoint::SetConsent, &Fault::status(503));
    let policy = &replica.terms.policy;

    let mut longest = Duration::ZERO;
    let mut failures = 0;
    while row(&rig, "acme").await.parked_reason.is_none() {
        assert!(work_next(&rig, &replica).await);
        let waiting = row(&rig, "acme").await;
        failures += 1;
        assert_eq!(waiting.failures, failures);
        if waiting.parked_reason.is_none() {
            let ceiling = policy.base * 2_u32.pow(u32::try_from(failures - 1).unwrap().min(20));
            assert!(waiting.rests() <= ceiling.min(policy.cap), "{failures}: {:?}", waiting.rests());
            longest = longest.max(waiting.rests());
        }
    }

    let parked = row(&rig, "acme").await;
    assert!(longest > Duration::from_mins(10), "{longest:?}");
    assert!(parked.without_progress >= 24 * 3_600_000, "{}", parked.without_progress);
    assert_eq!(parked.parked_reason.as_deref(), Some("GaveUp"));
    let message = parked.message.unwrap();
    assert!(message.contains("trust failed for too long") && message.contains("status 503"), "{message}");
    assert!(message.contains("tenantd tenant retry"), "{message}");
}

#[tokio::test]
async fn a_tenant_that_was_given_up_is_taken_up_again_by_retry_and_completes() {
    let rig = rig().await;
    let replica = patient(&rig).await;
    rig.given_tenant("acme").await;
    always(&rig, Endpoint::SetConsent, &Fault::status(503));
    rig.work_until_quiet(&replica).await;
    assert_eq!(row(&rig, "acme").await.parked_reason.as_deref(), Some("GaveUp"));

    assert!(replica.store.retry("acme").await.unwrap());
    let again = row(&rig, "acme").await;
    assert_eq!((again.due_in, again.failures, again.message), (Some(0), 0, None));
    assert!(work_next(&rig, &replica).await);
    assert_eq!(row(&rig, "acme").await.wait_reason.as_deref(), Some("Retrying"), "its patience starts anew");
    mend(&rig);
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).secrets_made, 1);
    assert!(!replica.store.retry("acme").await.unwrap(), "there is nothing to retry on a ready tenant");
}

#[tokio::test]
async fn creates_that_are_never_answered_are_given_up_in_the_end() {
    let rig = rig().await;
    let replica = patient(&rig).await;
    rig.given_tenant("acme").await;
    always(&rig, Endpoint::CreateClient, &Fault::close_before());

    rig.work_until_quiet(&replica).await;

    let parked = row(&rig, "acme").await;
    assert_eq!(parked.parked_reason.as_deref(), Some("GaveUp"));
    assert_eq!((parked.unanswered, parked.client_id), (None, None));
    let (creates, looks) = (
        ledger(&rig).calls_of(Endpoint::CreateClient, None),
        ledger(&rig).calls_of(Endpoint::ListClients, Some(200)),
    );
    assert_eq!(creates, looks, "after every create it looked");
}

#[tokio::test]
async fn a_daemon_that_was_away_for_days_parks_nobody_at_the_first_failure() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let new = rig.given_tenant("new").await;
    rig.advance(3 * DAY).await;
    rig.world.script(&new, Endpoint::CreateClient, [Fault::status(404)]);
    rig.world.script(&new, Endpoint::SetConsent, [Fault::status(503)]);
    assert!(work_next(&rig, &replica).await);
    assert_eq!(row(&rig, "new").await.wait_reason.as_deref(), Some("Retrying"));
    while row(&rig, "new").await.phase == "creating" {
        assert!(work_next(&rig, &replica).await);
    }
    rig.advance(3 * DAY).await;
    rig.world.script(&new, Endpoint::SetConsent, [Fault::status(503)]);

    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "new").await;
}

#[tokio::test]
async fn a_row_that_was_told_to_wait_for_weeks_has_its_whole_patience_when_it_begins() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = host_of("later");
    rig.world.at(rig.clock.now()).add_tenant(&host);
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host, not_before)
         VALUES ('later', $1, tenantd.clock() + interval '21 days')",
    )
    .bind(&host)
    .execute(rig.pool())
    .await
    .unwrap();
    rig.world.script(&host, Endpoint::CreateClient, [Fault::status(404), Fault::close_before()]);

    assert!(work_next(&rig, &replica).await);
    assert_eq!(row(&rig, "later").await.wait_reason.as_deref(), Some("Retrying"));
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "later").await;
}

#[tokio::test]
async fn a_tenant_that_is_wanted_again_after_weeks_has_its_whole_patience() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::status(503), Fault::status(503)]);
    assert!(work_next(&rig, &replica).await);
    let want = |state: &'static str| {
        sqlx::query("UPDATE tenantd.tenants SET desired_state = $1").bind(state).execute(rig.pool())
    };

    want("absent").await.unwrap();
    assert!(work_next(&rig, &replica).await);
    assert_eq!(rig.until_due().await, None, "it waits for the budget");
    rig.advance(21 * DAY).await;
    want("present").await.unwrap();
    assert!(work_next(&rig, &replica).await);

    assert_eq!(row(&rig, "acme").await.wait_reason.as_deref(), Some("Retrying"));
    rig.work_until_quiet(&replica).await;
    assert_whole(&rig, &replica, "acme").await;
}

#[tokio::test]
async fn a_deactivated_tenant_is_blocked_for_as_long_as_it_takes_and_goes_on_by_itself() {
    for status in [TenantStatus::Deactivated, TenantStatus::Disabled] {
        let rig = rig().await;
        let replica = rig.replica().await;
        let host = rig.given_tenant("acme").await;
        rig.world.at(rig.clock.now()).set_status(&host, status);

        for _ in 0..300 {
            assert!(work_next(&rig, &replica).await);
            let blocked = row(&rig, "acme").await;
            assert_eq!((blocked.wait_reason.as_deref(), blocked.failures), (Some("Blocked"), 0));
            assert_eq!(blocked.rests(), Duration::from_mins(15));
        }
        rig.world.at(rig.clock.now()).set_status(&host, TenantStatus::Active);
        rig.work_until_quiet(&replica).await;

        assert_whole(&rig, &replica, "acme").await;
        assert_eq!(ledger(&rig).tenants[&host].clients.len(), 1);
    }
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_yet_is_blocked_until_it_does() {
    let rig = rig().await;
    let replica = rig.replica().await;
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ('early', $1)")
        .bind(format!("early.{SUFFIX}"))
        .execute(rig.pool())
        .await
        .unwrap();

    assert!(work_next(&rig, &replica).await);
    let blocked = row(&rig, "early").await;
    rig.world.at(rig.clock.now()).add_tenant(&host_of("early"));
    rig.work_until_quiet(&replica).await;

    assert_eq!((blocked.wait_reason.as_deref(), blocked.failures), (Some("Blocked"), 0));
    assert_whole(&rig, &replica, "early").await;
}

#[tokio::test]
async fn a_tenant_that_cannot_be_reached_is_retried() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.at(rig.clock.now()).set_status(&host, TenantStatus::Unreachable);

    assert!(work_next(&rig, &replica).await);
    let waiting = row(&rig, "acme").await;
    rig.world.at(rig.clock.now()).set_status(&host, TenantStatus::Active);
    rig.work_until_quiet(&replica).await;

    assert_eq!((waiting.wait_reason.as_deref(), waiting.failures), (Some("Retrying"), 1));
    assert_eq!(waiting.unanswered, None, "nothing was sent");
    assert_whole(&rig, &replica, "acme").await;
}
