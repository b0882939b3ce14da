//! A fleet under fire, over TLS and in real time.

use std::time::Duration;

use tenantd::domain::blame::Spent;
use tenantd::simulator::{Behaviour, Endpoint, Fault, FaultPlan, ListLag, RetryAfter, Spoil, World};

use crate::support::fleet::{Fleet, brisk};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tenants_survive_lost_answers_errors_throttles_and_truncated_bodies() {
    let faults = FaultPlan::none()
        .with_share(Endpoint::CreateClient, 0.20, Fault::close_after())
        .with_share_of_all(0.10, Fault::status(503))
        .with_share_of_all(0.05, Fault::throttle(RetryAfter::Seconds(1)))
        .with_share_of_all(0.05, Fault::spoilt(Spoil::Truncated));
    let fleet = Fleet::new(World::new(Behaviour::default(), faults, 11)).await;
    fleet.given_tenants(1_000).await;

    fleet.run_until(brisk(), Duration::from_mins(4), || fleet.is_quiet()).await;

    fleet.assert_true_to_the_ledger(1_000).await;
    assert_time_is_told_apart(&fleet).await;
    let lost = fleet.ledger().calls_of(Endpoint::CreateClient, None);
    println!("1,000 tenants ready; {lost} creates went unanswered");
    assert!(lost >= 160, "only {lost} creates went unanswered: no test of anything");
}

/// Whose the time was adds up to it, to the microsecond, and nobody's was measured twice.
async fn assert_time_is_told_apart(fleet: &Fleet) {
    let rows: Vec<(i64, Vec<i64>, bool)> = sqlx::query_as(
        "SELECT (extract(epoch FROM ready_at - created_at) * 1000000)::bigint, spent,
                EXISTS (SELECT FROM tenantd.attempts AS a WHERE a.tenant_id = t.tenant_id AND a.outcome <> 'done')
           FROM tenantd.tenants AS t",
    )
    .fetch_all(fleet.pool())
    .await
    .unwrap();
    for (whole, measured, has_failed) in rows {
        let time = Duration::from_micros(whole.unsigned_abs());
        let parts = Spent::from_microseconds(&measured).of(time);
        assert_eq!(parts.iter().map(|(_, part)| *part).sum::<Duration>(), time, "{measured:?}");
        assert!(measured.iter().sum::<i64>() <= whole, "{measured:?} of {whole}");
        let [_, limit, remote, backoff, human] = measured[..] else { panic!("{measured:?}") };
        assert!(remote > 0 && human == 0, "{measured:?}");
        assert!(!has_failed || limit + backoff > 0, "it failed, and waited for nothing: {measured:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_that_land_late_and_lists_that_lag_end_in_one_client_each() {
    // The daemon gives up after 2.5 s, looks at 6.5 s and once more at 10.5 s. What lands before
    // the first look and is listed at 8.5 s makes a second client, for the recheck to find: two
    // seconds from either, so that a busy machine changes nothing.
    let faults = FaultPlan::none()
        .with_share(Endpoint::CreateClient, 0.15, Fault::late(Duration::from_millis(2700)))
        .with_share(Endpoint::CreateClient, 0.15, Fault::late(Duration::from_millis(5500)));
    let lag = Some(ListLag { share: 0.25, lag: Duration::from_secs(3) });
    let behaviour = Behaviour { list_lag: lag, ..Behaviour::default() };
    let fleet = Fleet::new(World::new(behaviour, faults, 13)).await;
    fleet.given_tenants(200).await;

    let mut terms = brisk();
    terms.policy.settle = Duration::from_secs(4);
    fleet.run_until(terms, Duration::from_mins(4), || fleet.is_quiet()).await;

    fleet.assert_true_to_the_ledger(200).await;
    let made = fleet.ledger().calls_of(Endpoint::DeleteClient, Some(204));
    println!("200 tenants ready; {made} second clients were made and deleted");
    assert!(made > 0, "no second client was ever made: no test of the recheck");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_opened_to_a_host_that_no_region_allows() {
    let fleet = Fleet::new(World::new(Behaviour::default(), FaultPlan::none(), 29)).await;
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ('stray', 'acme.us.qlikcloud.com.evil.example')")
        .execute(fleet.pool())
        .await
        .unwrap();
    // Every connection that the daemon opens, to whatever host, would come here.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let is_parked = || async {
        let parked = "SELECT parked AND reason = 'HostNotAllowed' AND phase = 'pending' FROM tenantd.status";
        sqlx::query_scalar(parked).fetch_one(fleet.pool()).await.unwrap()
    };

    fleet.run_against(address, brisk(), Duration::from_secs(30), is_parked).await;

    let accepted = socket.accept();
    assert!(
        accepted.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
        "a connection came in"
    );
}
