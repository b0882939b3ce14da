//! A bad row harms only itself: before anything is sent it is parked.

use std::time::Duration;

use tenantd::domain::host::HostPattern;
use tenantd::domain::ids::{ProfileName, RegionName};
use tenantd::domain::region::RegionMap;
use tenantd::engine::Terms;
use tenantd::ports::Clock;
use tenantd::simulator::{Endpoint, Fault};
use tenantd::vault::KeyKind;

use super::{assert_whole, host_of, ledger, rig, row, work_due, work_next};
use crate::support::rig::{Rig, terms};

async fn insert(rig: &Rig, name: &str, host: &str, profile: &str) {
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host, profile) VALUES ($1, $2, $3)")
        .bind(name)
        .bind(host)
        .bind(profile)
        .execute(rig.pool())
        .await
        .unwrap();
}

/// Terms whose only profile has this name.
fn terms_with_profile(name: &str) -> Terms {
    let mut terms = terms();
    let profile = terms.profiles.remove(&ProfileName::new("default")).unwrap();
    terms.profiles.insert(ProfileName::new(name), profile);
    terms
}

#[tokio::test]
async fn no_request_is_ever_sent_to_a_host_that_no_region_allows() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let hosts = [
        "acme.example.com",
        "acme.us.qlikcloud.com.evil.example",
        "a.acme.us.qlikcloud.com",
        "acme.eu.qlikcloud.com",
        "us.qlikcloud.com",
    ];
    for host in hosts {
        insert(&rig, host, host, "default").await;
        rig.world.at(rig.clock.now()).add_tenant(host);
    }
    rig.given_tenant("good").await;

    rig.work_until_quiet(&replica).await;

    for host in hosts {
        let bad = row(&rig, host).await;
        assert_eq!((bad.phase.as_str(), bad.parked_reason.as_deref()), ("pending", Some("HostNotAllowed")));
        let message = bad.message.unwrap();
        assert!(message.contains(host) && message.contains("[[regions]]"), "{message}");
        assert_eq!(ledger(&rig).requests_to(host), 0, "{host}");
    }
    assert_whole(&rig, &replica, "good").await;
}

#[tokio::test]
async fn a_thousand_bad_rows_are_claimed_once_each_and_then_never_in_the_way() {
    let rig = rig().await;
    let replica = rig.replica().await;
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host)
         SELECT 'bad-' || n, 'bad-' || n || '.example.com' FROM generate_series(1, 1000) AS n",
    )
    .execute(rig.pool())
    .await
    .unwrap();
    let terms = replica.terms.claim_terms();
    rig.given_tenant("good").await;

    let mut claims = 0;
    loop {
        let claimed = replica.store.claim(&terms, 64).await.unwrap().rows;
        if claimed.is_empty() {
            break;
        }
        claims += 1;
        for row in claimed {
            super::work(&rig, &replica, row).await;
        }
    }
    rig.given_tenant("later").await;
    let next = replica.store.claim(&terms, 64).await.unwrap().rows;

    assert_eq!(claims, 1001_usize.div_ceil(64));
    assert_whole(&rig, &replica, "good").await;
    assert_eq!(next.len(), 1, "the next claim meets the next good row and no other");
    let again: i64 = sqlx::query_scalar("SELECT count(*) FROM tenantd.tenants WHERE lease_epoch > 1")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(again, 0, "no row was claimed twice");
}

#[tokio::test]
async fn a_corrected_host_goes_on_by_itself() {
    let rig = rig().await;
    let replica = rig.replica().await;
    insert(&rig, "acme", "acme.us.qlikcloud.con", "default").await;
    assert_eq!(work_due(&rig, &replica).await, 1);
    rig.world.at(rig.clock.now()).add_tenant(&host_of("acme"));

    sqlx::query("UPDATE tenantd.tenants SET host = $1")
        .bind(host_of("acme"))
        .execute(rig.pool())
        .await
        .unwrap();
    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
}

#[tokio::test]
async fn a_region_added_to_the_configuration_releases_the_rows_that_waited_for_it() {
    let rig = rig().await;
    let before = rig.replica().await;
    let eu = "acme.eu.qlikcloud.com";
    insert(&rig, "acme", eu, "default").await;
    insert(&rig, "still-bad", "bad.example.com", "default").await;
    assert_eq!(work_due(&rig, &before).await, 2);
    rig.advance(Duration::from_hours(240)).await;
    sqlx::query("UPDATE tenantd.tenants SET failures = 7").execute(rig.pool()).await.unwrap();
    let mut wider = terms();
    let patterns = ["*.us.qlikcloud.com", "*.eu.qlikcloud.com"];
    wider.regions =
        RegionMap::new(patterns.map(|text| (HostPattern::parse(text).unwrap(), RegionName::new("us"))));

    let after = rig.replica_with(wider, KeyKind::Symmetric).await;
    let released = after.store.adopt_regions(&after.terms.claim_terms()).await.unwrap();

    assert_eq!(released, 1);
    let acme = row(&rig, "acme").await;
    assert_eq!(acme.due_in, Some(0));
    assert_eq!((acme.failures, acme.without_progress), (0, 0), "it begins anew");
    assert_eq!(row(&rig, "still-bad").await.parked_reason.as_deref(), Some("HostNotAllowed"));
    assert_eq!(work_due(&rig, &after).await, 1);
    assert!(ledger(&rig).requests_to(eu) > 0, "now it is asked");
}

#[tokio::test]
async fn an_unknown_profile_parks_the_row_before_anything_is_sent_and_a_known_one_releases_it() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = host_of("acme");
    rig.world.at(rig.clock.now()).add_tenant(&host);
    insert(&rig, "acme", &host, "defualt").await;
    rig.given_tenant("good").await;

    rig.work_until_quiet(&replica).await;
    let parked = row(&rig, "acme").await;
    let sent = ledger(&rig).requests_to(&host);
    sqlx::query("UPDATE tenantd.tenants SET profile = 'default' WHERE external_id = 'acme'")
        .execute(rig.pool())
        .await
        .unwrap();
    rig.work_until_quiet(&replica).await;

    assert_eq!((parked.phase.as_str(), parked.parked_reason.as_deref()), ("pending", Some("UnknownProfile")));
    assert!(parked.message.unwrap().contains("defualt"));
    assert_eq!(sent, 0);
    assert_whole(&rig, &replica, "good").await;
    assert_whole(&rig, &replica, "acme").await;
}

#[tokio::test]
async fn a_profile_that_went_away_half_way_can_be_corrected_on_the_row() {
    let rig = rig().await;
    let before = rig.replica().await;
    let after = rig.replica_with(terms_with_profile("renamed"), KeyKind::Symmetric).await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::status(404)]);
    assert!(work_next(&rig, &before).await);

    rig.work_until_quiet(&after).await;
    let parked = row(&rig, "acme").await;
    sqlx::query("UPDATE tenantd.tenants SET profile = 'renamed'").execute(rig.pool()).await.unwrap();
    rig.work_until_quiet(&after).await;

    assert_eq!(
        (parked.phase.as_str(), parked.parked_reason.as_deref()),
        ("creating", Some("UnknownProfile"))
    );
    assert_whole(&rig, &after, "acme").await;
}

#[tokio::test]
async fn a_tenant_that_has_its_client_needs_its_profile_no_more() {
    let rig = rig().await;
    let before = rig.replica().await;
    let after = rig.replica_with(terms_with_profile("renamed"), KeyKind::Symmetric).await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::status(503)]);
    assert!(work_next(&rig, &before).await);

    rig.work_until_quiet(&after).await;

    assert_whole(&rig, &after, "acme").await;
}
