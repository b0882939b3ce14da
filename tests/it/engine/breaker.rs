//! The region's own credential is refused.

use std::time::Duration;

use tenantd::domain::host::HostPattern;
use tenantd::domain::ids::RegionName;
use tenantd::domain::region::RegionMap;
use tenantd::engine::breaker::{PROBE_EVERY, WINDOW};
use tenantd::ports::Clock;
use tenantd::simulator::{Endpoint, Fault, FaultPlan, TenantStatus};
use tenantd::vault::KeyKind;
use uuid::Uuid;

use super::{assert_whole, host_of, ledger, rig, row, work_due, work_next};
use crate::support::rig::{LEASE, Replica, Rig, terms};

const DAY: Duration = Duration::from_hours(24);

/// From now on no tenant gives a token for the region's credential.
fn refuse_the_credential(rig: &Rig) {
    let refused = FaultPlan::none().with_share(Endpoint::RegionToken, 1.0, Fault::status(401));
    rig.world.plan_faults(|plan| *plan = refused);
}

fn mend_the_credential(rig: &Rig) {
    rig.world.plan_faults(|plan| *plan = FaultPlan::none());
}

async fn is_open(replica: &Replica) -> bool {
    let breakers = replica.store.breakers().await.unwrap();
    breakers.iter().any(|breaker| breaker.open_for.is_some())
}

fn requests(rig: &Rig) -> u64 {
    ledger(rig).tenants.values().map(|tenant| tenant.requests).sum()
}

/// Lets time pass and one probe be made; says of whom, where that did not close the breaker.
async fn probed(rig: &Rig, replica: &Replica) -> Option<Uuid> {
    rig.advance(PROBE_EVERY).await;
    replica.probe_open_breakers().await.unwrap();
    sqlx::query_scalar("SELECT probed_tenant_id FROM tenantd.regions").fetch_one(rig.pool()).await.unwrap()
}

/// Three refused tenants, and so an open breaker.
async fn given_open_breaker(rig: &Rig, replica: &Replica) {
    refuse_the_credential(rig);
    for name in ["one", "two", "three"] {
        rig.given_tenant(name).await;
    }
    assert_eq!(work_due(rig, replica).await, 3);
    assert!(is_open(replica).await);
}

#[tokio::test]
async fn two_refused_tenants_open_nothing_however_often_and_a_third_opens_the_breaker() {
    let rig = rig().await;
    let replica = rig.replica().await;
    refuse_the_credential(&rig);
    rig.given_tenant("one").await;
    rig.given_tenant("two").await;

    for _ in 0..10 {
        assert!(work_next(&rig, &replica).await);
        assert!(!is_open(&replica).await, "each tenant counts once");
    }
    rig.given_tenant("three").await;
    while !is_open(&replica).await {
        assert!(row(&rig, "three").await.failures == 0, "the third is refused once");
        assert!(work_next(&rig, &replica).await);
    }

    assert_eq!(row(&rig, "three").await.wait_reason.as_deref(), Some("CredentialRefused"));
}

#[tokio::test]
async fn refusals_further_apart_than_the_window_open_nothing() {
    let rig = rig().await;
    let replica = rig.replica().await;
    refuse_the_credential(&rig);

    for name in ["one", "two", "three", "four"] {
        rig.given_tenant(name).await;
        let claimed = replica.store.claim(&replica.terms.claim_terms(), 1).await.unwrap().rows;
        let only_once = claimed.into_iter().next().unwrap();
        super::work(&rig, &replica, only_once).await;
        sqlx::query("UPDATE tenantd.tenants SET desired_state = 'absent'").execute(rig.pool()).await.unwrap();
        rig.advance(WINDOW).await;
        assert!(!is_open(&replica).await, "{name}");
    }
}

#[tokio::test]
async fn while_the_breaker_is_open_nothing_is_claimed_and_the_status_says_why() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_open_breaker(&rig, &replica).await;
    let sent = requests(&rig);
    rig.given_tenant("newcomer").await;

    for _ in 0..10 {
        rig.advance(Duration::from_mins(10)).await;
        assert_eq!(work_due(&rig, &replica).await, 0);
    }

    assert_eq!(requests(&rig), sent);
    for name in ["one", "newcomer"] {
        let status = replica.store.status(name).await.unwrap().unwrap();
        assert_eq!(status.reason.as_deref(), Some("BreakerOpen"));
        assert!(status.message.unwrap().contains("region us"), "it names what to mend");
    }
}

#[tokio::test]
async fn one_tenant_at_a_time_is_probed_whatever_the_number_of_replicas() {
    let rig = rig().await;
    let (first, second) = (rig.replica().await, rig.replica().await);
    given_open_breaker(&rig, &first).await;

    for round in 1..=5 {
        let sent = requests(&rig);
        rig.advance(PROBE_EVERY).await;
        let (one, two) = tokio::join!(first.probe_open_breakers(), second.probe_open_breakers());
        one.unwrap();
        two.unwrap();
        assert_eq!(requests(&rig), sent + 1, "round {round}");
    }
}

#[tokio::test]
async fn probes_go_round_all_tenants_and_begin_with_one_that_was_ready() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for name in ["gone", "served"] {
        rig.given_tenant(name).await;
    }
    rig.work_until_quiet(&replica).await;
    rig.advance(DAY).await;
    given_open_breaker(&rig, &replica).await;
    let ready = [row(&rig, "gone").await.tenant_id, row(&rig, "served").await.tenant_id];

    let mut probes = Vec::new();
    for _ in 0..10 {
        probes.push(probed(&rig, &replica).await.expect("the breaker stays open"));
    }

    assert!(ready.contains(&probes[0]), "one that worked before comes first");
    assert!(probes.windows(2).all(|pair| pair[0] != pair[1]), "never the same twice in a row: {probes:?}");
    for name in ["gone", "served", "one", "two", "three"] {
        let tenant = row(&rig, name).await.tenant_id;
        assert_eq!(probes.iter().filter(|probe| **probe == tenant).count(), 2, "{name}: nobody is left out");
    }
}

#[tokio::test]
async fn tenants_that_are_gone_do_not_keep_the_breaker_open_for_ever() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for name in ["dead-1", "dead-2", "dead-3"] {
        rig.given_tenant(name).await;
    }
    rig.work_until_quiet(&replica).await;
    rig.advance(DAY).await;
    given_open_breaker(&rig, &replica).await;
    for name in ["dead-1", "dead-2", "dead-3"] {
        rig.world.at(rig.clock.now()).set_status(&host_of(name), TenantStatus::Deactivated);
    }

    mend_the_credential(&rig);
    for _ in 0..6 {
        probed(&rig, &replica).await;
    }

    assert!(!is_open(&replica).await);
}

#[tokio::test]
async fn a_probe_whose_prober_died_is_made_by_another() {
    let rig = rig().await;
    let (dying, heir) = (rig.replica().await, rig.replica().await);
    given_open_breaker(&rig, &dying).await;
    sqlx::query("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id <> 'one'")
        .execute(rig.pool())
        .await
        .unwrap();
    rig.advance(PROBE_EVERY).await;
    let (tenant, _) =
        dying.store.take_probe(&RegionName::new("us"), PROBE_EVERY).await.unwrap().expect("its turn");
    dying.store.lease_one(tenant, LEASE).await.unwrap().expect("nobody has it");
    mend_the_credential(&rig);

    rig.advance(LEASE).await;
    heir.probe_open_breakers().await.unwrap();

    assert!(!is_open(&heir).await);
    rig.work_until_quiet(&heir).await;
    assert_whole(&rig, &heir, "one").await;
}

/// A replica that was configured with these patterns and their regions.
async fn replica_of(rig: &Rig, patterns: &[(&str, &str)]) -> Replica {
    let mut terms = terms();
    let pattern =
        |(text, region): &(&str, &str)| (HostPattern::parse(text).unwrap(), RegionName::new(*region));
    terms.regions = RegionMap::new(patterns.iter().map(pattern));
    rig.replica_with(terms, KeyKind::Symmetric).await
}

#[tokio::test]
async fn a_breaker_of_a_region_that_is_configured_no_more_is_closed_and_its_tenants_go_on() {
    let rig = rig().await;
    let before = rig.replica().await;
    given_open_breaker(&rig, &before).await;
    let after = replica_of(&rig, &[("*.us.qlikcloud.com", "renamed")]).await;

    after.adopt_regions().await.unwrap();

    assert!(!is_open(&after).await);
    for name in ["one", "two", "three"] {
        assert_eq!(row(&rig, name).await.due_in, Some(0), "{name}");
    }
    let regions: Vec<String> = sqlx::query_scalar("SELECT DISTINCT region FROM tenantd.tenants")
        .fetch_all(rig.pool())
        .await
        .unwrap();
    assert_eq!(regions, ["renamed"]);
}

#[tokio::test]
async fn only_who_knows_the_region_and_counts_the_host_to_it_probes() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_open_breaker(&rig, &replica).await;
    let stranger = replica_of(&rig, &[("*.us.qlikcloud.com", "renamed")]).await;
    let divided = replica_of(&rig, &[("*.us.qlikcloud.com", "us"), ("*.eu.qlikcloud.com", "eu")]).await;
    let sent = requests(&rig);

    rig.advance(PROBE_EVERY).await;
    stranger.probe_open_breakers().await.unwrap();
    assert_eq!(requests(&rig), sent);
    replica.probe_open_breakers().await.unwrap();
    assert_eq!(requests(&rig), sent + 1, "the turn was left to us");

    // Sorted by another configuration, under which these hosts are of region eu.
    sqlx::raw_sql("UPDATE tenantd.regions SET region = 'eu'; UPDATE tenantd.tenants SET region = 'eu'")
        .execute(rig.pool())
        .await
        .unwrap();
    rig.advance(PROBE_EVERY).await;
    divided.probe_open_breakers().await.unwrap();
    assert_eq!(requests(&rig), sent + 1, "another region's token proves nothing");
}

#[tokio::test]
async fn among_tenants_that_never_worked_one_that_was_never_refused_is_probed_first() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_open_breaker(&rig, &replica).await;
    // The one that would be last by its key.
    let never_refused: Uuid = sqlx::query_scalar(
        "UPDATE tenantd.tenants SET credential_refused_at = NULL
          WHERE tenant_id = (SELECT tenant_id FROM tenantd.tenants ORDER BY tenant_id DESC LIMIT 1)
         RETURNING tenant_id",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();

    let mut probes = Vec::new();
    for _ in 0..4 {
        probes.push(probed(&rig, &replica).await.expect("the breaker stays open"));
    }

    assert_eq!((probes[0], probes[3]), (never_refused, never_refused), "{probes:?}");
    assert!(
        probes[1] != probes[2] && !probes[1..3].contains(&never_refused),
        "nobody is left out: {probes:?}"
    );
}

#[tokio::test]
async fn a_probe_that_was_taken_over_on_its_way_closes_the_breaker_all_the_same() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_open_breaker(&rig, &replica).await;
    sqlx::raw_sql(
        "CREATE FUNCTION tenantd_test.take_over() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             UPDATE tenantd.tenants SET lease_epoch = lease_epoch + 1 WHERE tenant_id = NEW.tenant_id;
             RETURN NULL;
         END $$;
         CREATE TRIGGER take_over AFTER UPDATE OF lease_holder ON tenantd.tenants
            FOR EACH ROW WHEN (OLD.lease_holder IS NULL AND NEW.lease_holder IS NOT NULL)
            EXECUTE FUNCTION tenantd_test.take_over()",
    )
    .execute(rig.pool())
    .await
    .unwrap();

    mend_the_credential(&rig);
    rig.advance(PROBE_EVERY).await;
    replica.probe_open_breakers().await.unwrap();

    assert!(!is_open(&replica).await);
}

#[tokio::test]
async fn a_tenant_that_is_served_closes_the_breaker_and_nobody_has_spent_anything() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_open_breaker(&rig, &replica).await;
    let before = row(&rig, "one").await;

    for _ in 0..5 {
        probed(&rig, &replica).await;
    }
    // Longer than a row may be without progress.
    rig.advance(3 * DAY).await;
    mend_the_credential(&rig);
    probed(&rig, &replica).await;

    assert!(!is_open(&replica).await);
    let after = row(&rig, "one").await;
    assert_eq!(after.failures, before.failures);
    let claimed = replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap().rows;
    assert_eq!(claimed.len(), 3, "all go on at once");
    for row in claimed {
        assert!(row.tenant.without_progress <= Duration::from_secs(1), "{:?}", row.tenant.without_progress);
        super::work(&rig, &replica, row).await;
    }
    assert!(row(&rig, "one").await.without_progress >= 0, "no patience is given in advance");
    for name in ["one", "two", "three"] {
        assert_whole(&rig, &replica, name).await;
    }
}

#[tokio::test]
async fn the_time_a_breaker_was_open_is_credited_exactly_once() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_open_breaker(&rig, &replica).await;

    rig.advance(3 * DAY).await;
    mend_the_credential(&rig);
    probed(&rig, &replica).await;
    let claimed = replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap().rows;

    assert_eq!(claimed.len(), 3);
    let ahead: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.tenants WHERE progress_at > tenantd.clock()")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert_eq!(ahead, 0, "a row whose progress lies in the future has more patience than it should");
}

#[tokio::test]
async fn tenants_that_refuse_while_another_is_served_never_open_the_breaker() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("served").await;
    rig.work_until_quiet(&replica).await;
    for name in ["one", "two", "three", "four"] {
        let host = rig.given_tenant(name).await;
        rig.world.script(&host, Endpoint::RegionToken, std::iter::repeat_n(Fault::status(401), 100));
    }

    let end = rig.clock.elapsed() + WINDOW;
    while rig.clock.elapsed() + rig.until_due().await.unwrap() < end {
        assert!(work_next(&rig, &replica).await);
        assert!(!is_open(&replica).await);
    }

    for name in ["one", "two", "three", "four"] {
        assert!(row(&rig, name).await.failures > 3, "{name} was refused again and again");
    }
    assert_whole(&rig, &replica, "served").await;
}

#[tokio::test]
async fn a_credential_of_a_tenant_that_is_refused_at_its_proof_counts_for_no_breaker() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let plan = FaultPlan::none().with_share(Endpoint::ClientToken, 1.0, Fault::status(401));
    rig.world.plan_faults(|faults| *faults = plan);
    for name in ["one", "two", "three", "four"] {
        rig.given_tenant(name).await;
    }
    assert_eq!(work_due(&rig, &replica).await, 4);
    // Past the window in which the region's own tokens speak for it.
    rig.advance(WINDOW).await;

    for _ in 0..20 {
        assert!(work_next(&rig, &replica).await);
        assert!(!is_open(&replica).await);
    }

    let counted: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.tenants WHERE credential_refused_at IS NOT NULL")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert_eq!(counted, 0);
}
