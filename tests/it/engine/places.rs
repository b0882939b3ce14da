//! Those who are claimed and wait in line for a place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use tenantd::engine::dispatch::Mode;
use tenantd::engine::generations::Generations;
use tenantd::engine::places::Place;
use tenantd::engine::shutdown::Stop;
use tenantd::engine::{Bounds, Terms};
use tenantd::simulator::{Endpoint, Fault};
use tenantd::vault::KeyKind;
use tokio::sync::Notify;

use super::{Rig, ledger, rig, work_next};
use crate::support::rig::{Replica, SETTLE, terms};

const LIMIT: Duration = Duration::from_secs(30);

/// Until this holds.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"));
}

/// The loop, and what is done to it: one that does not end fails its test.
async fn both<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    let both = async { tokio::join!(one, other) };
    tokio::time::timeout(2 * LIMIT, both).await.expect("both end")
}

async fn is(rig: &Rig, condition: &str) -> bool {
    let query = format!("SELECT EXISTS (SELECT FROM tenantd.tenants WHERE {condition})");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(rig.pool()).await.unwrap()
}

async fn in_line(replica: &Replica, count: usize) {
    until("so many are held", async || replica.leases.left(replica.clock.elapsed()) == count).await;
}

/// All that there are.
async fn all_places(replica: &Replica) -> Vec<Place> {
    let mut taken = Vec::new();
    for _ in 0..terms().concurrency {
        taken.push(replica.places.line_up().place().await);
    }
    taken
}

/// The line is two for eight places. A visit begins with its place, and under what holds then.
#[tokio::test]
async fn who_waits_in_line_when_the_configuration_changes_is_worked_on_under_the_new_one() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for number in 0..5 {
        rig.given_tenant(&format!("tenant-{number}")).await;
    }
    let taken = all_places(&replica).await;
    let generations = Generations::new(Arc::clone(&replica));
    let stop = Stop::new();
    let changing = async {
        in_line(&replica, 2).await;
        let of_the_new = Arc::try_unwrap(rig.replica_with(terms(), KeyKind::Symmetric).await).ok().unwrap();
        let terms = Terms { profiles: BTreeMap::new(), ..terms() };
        generations.replace(replica.under(of_the_new.api, of_the_new.vault, terms));
        drop(taken);
        let parked = "SELECT count(*) FROM tenantd.tenants WHERE parked_reason = 'UnknownProfile'";
        let all = async {
            while sqlx::query_scalar::<_, i64>(parked).fetch_one(rig.pool()).await.unwrap() < 5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("all are refused by the new one");
        stop.request();
    };
    let wake = Notify::new();

    let (left, ()) =
        both(Box::pin(generations.dispatch(&wake, &stop, Mode::Daemon)), Box::pin(changing)).await;

    assert_eq!(left.unwrap().leases, 0);
    // Nothing was sent, so nothing of them is fixed.
    let corrected = sqlx::query("UPDATE tenantd.tenants SET host = 'other-' || host WHERE phase = 'pending'");
    assert_eq!(corrected.execute(rig.pool()).await.unwrap().rows_affected(), 5);
}

/// A daemon that is told to stop gives them back at once, whoever still holds a place.
#[tokio::test]
async fn who_waits_in_line_is_given_back_by_a_daemon_that_stops() {
    let rig = rig().await;
    let replica = rig.replica().await;
    for number in 0..5 {
        rig.given_tenant(&format!("tenant-{number}")).await;
    }
    let _taken = all_places(&replica).await;
    let stop = Stop::new();
    let stopping = async {
        in_line(&replica, 2).await;
        assert_eq!(replica.places.coming_back(), 0, "they are behind whoever was begun");
        stop.request();
    };
    let wake = Notify::new();

    let (left, ()) = both(Box::pin(replica.dispatch(&wake, &stop, Mode::Daemon)), Box::pin(stopping)).await;

    assert_eq!(left.unwrap().leases, 0);
    let rested = "SELECT count(*) FROM tenantd.tenants WHERE lease_holder IS NULL AND phase = 'pending' AND due_at IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(rested).fetch_one(rig.pool()).await.unwrap(), 5);
    // Nothing was sent, so nothing of them is fixed.
    let corrected = sqlx::query("UPDATE tenantd.tenants SET host = 'other-' || host");
    assert_eq!(corrected.execute(rig.pool()).await.unwrap().rows_affected(), 5);
}

/// From here on a commit that takes a tenant to another phase, or ends its visit, waits as long as
/// somebody else holds the lock.
async fn with_slow_commits(rig: &Rig) {
    rig.write(
        "CREATE FUNCTION tenantd_test.wait() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END';
         CREATE TRIGGER wait BEFORE UPDATE ON tenantd.tenants FOR EACH ROW
             WHEN (OLD.lease_holder IS NOT NULL AND (NEW.lease_holder IS NULL OR NEW.phase <> OLD.phase))
             EXECUTE FUNCTION tenantd_test.wait()",
    )
    .await;
}

/// Whoever holds the lock.
async fn slowing(rig: &Rig) -> PoolConnection<Postgres> {
    let mut slow = rig.pool().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock(7)").execute(&mut *slow).await.unwrap();
    slow
}

const UNLOCK: &str = "SELECT pg_advisory_unlock(7)";

async fn is_one_waiting(rig: &Rig) -> bool {
    let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    sqlx::query_scalar(waiting).fetch_one(rig.pool()).await.unwrap()
}

/// One that waits for an answer of before, one that is refused, and one that begins and goes on.
#[tokio::test]
async fn who_waits_for_a_commit_holds_no_place_and_comes_back_before_the_line() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("settling").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_after()]);
    rig.work_once(&replica).await;
    assert!(is(&rig, "settles_at > tenantd.clock()").await);
    with_slow_commits(&rig).await;
    for (name, given, ended) in [
        ("settling", "due_at = tenantd.clock()", "due_at > tenantd.clock()"),
        ("refused", "profile = 'none'", "parked_reason = 'UnknownProfile'"),
        ("new", "labels = '{}'", "phase = 'ready'"),
    ] {
        if name != "settling" {
            rig.given_tenant(name).await;
        }
        rig.write(format!("UPDATE tenantd.tenants SET {given} WHERE external_id = '{name}'")).await;
        let ended = format!("external_id = '{name}' AND {ended}");
        let mut slow = slowing(&rig).await;
        let mut taken = all_places(&replica).await;
        drop(taken.pop());
        let (wake, stop) = (Notify::new(), Stop::new());
        let waiting = async {
            until("its commit waits", async || is_one_waiting(&rig).await).await;
            let its = tokio::time::timeout(LIMIT, replica.places.line_up().place()).await;
            let its = its.unwrap_or_else(|_| panic!("{name} keeps its place"));
            let mut in_line = Box::pin(replica.places.line_up().place());
            assert!(futures_util::poll!(&mut in_line).is_pending());
            sqlx::query(UNLOCK).execute(&mut *slow).await.unwrap();
            if name == "new" {
                until("it comes back", async || replica.places.coming_back() == 1).await;
                assert!(!is(&rig, &ended).await);
            }
            drop(its);
            until("it ends", async || is(&rig, &ended).await).await;
            stop.request();
        };

        let (left, ()) =
            both(Box::pin(replica.dispatch(&wake, &stop, Mode::Daemon)), Box::pin(waiting)).await;

        assert_eq!(left.unwrap().leases, 0);
    }
}

/// Twelve for eight places and a line of two, and nobody polls.
#[tokio::test]
async fn places_that_were_given_up_for_commits_are_filled_at_once() {
    let rig = rig().await;
    let terms = Terms { poll: Duration::from_hours(1), ..terms() };
    let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
    for number in 0..12 {
        rig.given_tenant(&format!("tenant-{number}")).await;
    }
    with_slow_commits(&rig).await;
    let mut slow = slowing(&rig).await;
    let (wake, stop) = (Notify::new(), Stop::new());
    let filling = async {
        in_line(&replica, 12).await;
        sqlx::query(UNLOCK).execute(&mut *slow).await.unwrap();
        stop.request();
    };

    let (left, ()) = both(Box::pin(replica.dispatch(&wake, &stop, Mode::Daemon)), Box::pin(filling)).await;

    assert_eq!(left.unwrap().leases, 0);
}

/// There is no room for its removal in this hour.
#[tokio::test]
async fn who_puts_a_duplicate_off_holds_no_place_while_that_is_written() {
    let rig = rig().await;
    let bounds = Bounds { removals_per_hour: Some(0), ..terms().bounds };
    let replica = rig.replica_with(Terms { bounds, ..terms() }, KeyKind::Symmetric).await;
    let host = rig.given_tenant("twice").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::late(SETTLE + SETTLE / 2)]);
    while !is(&rig, "phase = 'ready'").await {
        assert!(work_next(&rig, &replica).await);
    }
    rig.advance(rig.until_due().await.unwrap()).await;
    with_slow_commits(&rig).await;
    let mut slow = slowing(&rig).await;
    let mut taken = all_places(&replica).await;
    drop(taken.pop());
    let (wake, stop) = (Notify::new(), Stop::new());
    let waiting = async {
        until("its commit waits", async || is_one_waiting(&rig).await).await;
        let its = tokio::time::timeout(LIMIT, replica.places.line_up().place()).await;
        drop(its.expect("it gives its place up"));
        sqlx::query(UNLOCK).execute(&mut *slow).await.unwrap();
        until("it is put off", async || is(&rig, "due_at > tenantd.clock() AND lease_holder IS NULL").await)
            .await;
        stop.request();
    };

    let (left, ()) = both(Box::pin(replica.dispatch(&wake, &stop, Mode::Daemon)), Box::pin(waiting)).await;

    assert_eq!(left.unwrap().leases, 0);
    assert_eq!(ledger(&rig).calls_of(Endpoint::DeleteClient, Some(204)), 0);
    assert_eq!(ledger(&rig).tenants[&host].clients.len(), 2, "it has a duplicate");
}

#[tokio::test]
async fn another_number_of_places_is_taken_over_with_the_configuration() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let of_the_new = Arc::try_unwrap(rig.replica().await).ok().unwrap();

    let next = replica.under(of_the_new.api, of_the_new.vault, Terms { concurrency: 2, ..terms() });

    assert_eq!((replica.places.room(0), next.places.room(0)), (2, 2));
}

/// The poll of the one before may last for an hour.
#[tokio::test]
async fn claims_begin_at_once_under_another_configuration() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let rig = rig().await;
    let terms = Terms { poll: Duration::from_hours(1), ..terms() };
    let replica = rig.replica_with(terms.clone(), KeyKind::Symmetric).await;
    let generations = Generations::new(Arc::clone(&replica));
    let (wake, stop) = (Notify::new(), Stop::new());
    let changing = async {
        until("it has claimed", async || recorder.handle().render().contains("tenantd_claims_total 1\n"))
            .await;
        rig.given_tenant("acme").await;
        let of_the_new = Arc::try_unwrap(rig.replica().await).ok().unwrap();
        generations.replace(replica.under(of_the_new.api, of_the_new.vault, terms));
        until("it is ready", async || is(&rig, "phase = 'ready'").await).await;
        stop.request();
    };

    let (left, ()) =
        both(Box::pin(generations.dispatch(&wake, &stop, Mode::Daemon)), Box::pin(changing)).await;

    assert_eq!(left.unwrap().leases, 0);
}

#[tokio::test]
async fn the_time_in_line_is_time_in_the_queue_and_counts_for_the_time_to_ready() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let taken = all_places(&replica).await;
    let (wake, stop) = (Notify::new(), Stop::new());
    let waiting = async {
        in_line(&replica, 1).await;
        rig.advance(Duration::from_secs(5)).await;
        drop(taken);
        until("it is ready", async || is(&rig, "phase = 'ready'").await).await;
        stop.request();
    };

    let (left, ()) = both(Box::pin(replica.dispatch(&wake, &stop, Mode::Daemon)), Box::pin(waiting)).await;

    assert_eq!(left.unwrap().leases, 0);
    assert!(is(&rig, "spent[1] >= 5000000").await, "in microseconds");
    let shown = recorder.handle().render();
    let took = shown.lines().find_map(|line| line.strip_prefix("tenantd_time_to_ready_seconds_sum "));
    assert!(took.unwrap_or_else(|| panic!("{shown}")).parse::<f64>().unwrap() >= 5.0, "{shown}");
}
