//! Passes over all tenants: begun when the configuration changed, gone on with, and ended.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantd::domain::host::HostPattern;
use tenantd::domain::ids::RegionName;
use tenantd::domain::region::RegionMap;
use tenantd::vault::KeyKind;

use super::rig;
use crate::support::rig::{Replica, Rig, terms};

/// More than a slice, and than one statement changes.
const TENANTS: u64 = 11_000;
const HOUR: Duration = Duration::from_hours(1);

async fn write(rig: &Rig, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(rig.pool()).await.unwrap();
}

async fn one<T>(rig: &Rig, query: &str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(rig.pool()).await.unwrap()
}

/// Ready tenants, made past everything.
async fn fleet(rig: &Rig) {
    let insert = format!(
        "SET session_replication_role = replica;
         INSERT INTO tenantd.tenants (external_id, host, phase, client_id, current_version, ready_at, region, due_at)
         SELECT 't' || n, 't' || n || '.us.qlikcloud.com', 'ready', 'c', 1, tenantd.clock(), 'us', NULL
           FROM generate_series(1, {TENANTS}) AS n;
         RESET session_replication_role;
         SELECT tenantd.recount()"
    );
    write(rig, &insert).await;
}

async fn replica_of(rig: &Rig, region: &str) -> Replica {
    let mut terms = terms();
    let pattern = HostPattern::parse("*.us.qlikcloud.com").unwrap();
    terms.regions = RegionMap::new([(pattern, RegionName::new(region))]);
    rig.replica_with(terms, KeyKind::Symmetric).await
}

async fn adopt(replica: &Replica) -> u64 {
    replica.store.adopt_regions(&replica.terms.claim_terms()).await.unwrap()
}

#[tokio::test]
async fn every_row_is_sorted_after_the_configuration_changed_and_once_more_an_hour_later() {
    let rig = rig().await.with_replicas_as_daemon().await;
    fleet(&rig).await;
    let renamed = replica_of(&rig, "renamed").await;

    assert_eq!(adopt(&renamed).await, TENANTS);
    assert_eq!(one::<i64>(&rig, "SELECT count(*) FROM tenantd.tenants WHERE region = 'us'").await, 0);

    // What a daemon of the configuration before leaves behind.
    let leave = "UPDATE tenantd.tenants SET region = 'us' WHERE external_id IN ('t1', 't11000')";
    write(&rig, leave).await;
    assert_eq!(adopt(&renamed).await, 0, "the pass has ended");
    rig.advance(HOUR).await;
    assert_eq!(adopt(&renamed).await, 2);
    write(&rig, leave).await;
    rig.advance(HOUR).await;
    assert_eq!(adopt(&renamed).await, 0, "an hour is long enough for every old daemon");
    rig.advance(HOUR * 24).await;
    assert_eq!(adopt(&renamed).await, 2, "and every day");
}

/// By mistake, say: nobody may have to wait for the next claim of each until pauses, probes and
/// filters by region find them again.
#[tokio::test]
async fn a_region_that_went_and_comes_back_has_its_tenants_again() {
    let rig = rig().await.with_replicas_as_daemon().await;
    fleet(&rig).await;
    write(&rig, "UPDATE tenantd.tenants SET lease_epoch = 1 WHERE external_id <> 't7'").await;
    let mut without = terms();
    let pattern = HostPattern::parse("*.eu.qlikcloud.com").unwrap();
    without.regions = RegionMap::new([(pattern, RegionName::new("eu"))]);
    let without = rig.replica_with(without, KeyKind::Symmetric).await;
    assert_eq!(adopt(&without).await, TENANTS);

    let back = replica_of(&rig, "us").await;

    assert_eq!(adopt(&back).await, TENANTS - 1);
    let left = "SELECT external_id FROM tenantd.tenants WHERE region = ''";
    assert_eq!(one::<String>(&rig, left).await, "t7", "who was never claimed is sorted by the first claim");
}

#[tokio::test]
async fn a_pass_goes_on_where_it_was_broken_off() {
    let rig = rig().await;
    fleet(&rig).await;
    let renamed = replica_of(&rig, "renamed").await;
    adopt(&renamed).await;
    write(
        &rig,
        "UPDATE tenantd.tenants SET region = 'us';
         UPDATE tenantd.passes SET ended_at = NULL,
                resume_after = (SELECT tenant_id FROM tenantd.tenants ORDER BY tenant_id OFFSET 5999 LIMIT 1)
          WHERE pass = 'sort_regions'",
    )
    .await;

    assert_eq!(adopt(&renamed).await, TENANTS - 6000);
    assert_eq!(adopt(&renamed).await, 0);
}

#[tokio::test]
async fn audits_are_planned_anew_when_their_interval_is_another_and_for_who_became_ready_since() {
    let rig = rig().await.with_replicas_as_daemon().await;
    fleet(&rig).await;
    let replica = rig.replica().await;
    let store = &replica.store;
    let planned = "SELECT count(*) FROM tenantd.tenants WHERE audit_at BETWEEN tenantd.clock() AND tenantd.clock() + interval '1 hour'";

    assert_eq!(store.plan_audits(Some(HOUR * 24)).await.unwrap(), TENANTS);
    assert_eq!(store.plan_audits(Some(HOUR * 24)).await.unwrap(), 0);
    write(&rig, "UPDATE tenantd.tenants SET audit_at = NULL WHERE external_id = 't5'").await;
    assert_eq!(store.plan_audits(Some(HOUR * 24)).await.unwrap(), 1, "who became ready since");
    let within: i64 = one(&rig, planned).await;
    let moved = store.plan_audits(Some(HOUR)).await.unwrap();
    assert_eq!(moved + u64::try_from(within).unwrap(), TENANTS, "the interval is shorter");
    assert_eq!(one::<i64>(&rig, planned).await.unsigned_abs(), TENANTS);
    assert_eq!(store.plan_audits(None).await.unwrap(), TENANTS, "audits are off");
    assert_eq!(store.plan_audits(None).await.unwrap(), 0);
}
