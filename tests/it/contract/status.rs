//! The status view: why a tenant is not ready, since when, and when somebody goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use tenantd::domain::reason::{ParkReason, WaitReason};
use tenantd::ports::Clock;
use tenantd::simulator::{Endpoint, Fault, RetryAfter, TenantStatus};

use crate::support::postgres::test_db;
use crate::support::rig::{LEASE, Replica, Rig, SETTLE};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Reasons that the view derives from the row and that are stored nowhere.
const DERIVED: [&str; 7] =
    ["Queued", "Working", "NotBefore", "BreakerOpen", "Paused", "AwaitingBudget", "Removed"];

/// A line of the view; `age` and `next` in seconds, before and after now.
#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Line {
    ready: bool,
    parked: bool,
    reason: Option<String>,
    age: i64,
    next: Option<i64>,
}

impl Line {
    fn waiting(reason: &str, age: Duration, next: Duration) -> Self {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap();
        let (age, next) = (seconds(age), Some(seconds(next)));
        Self { ready: false, parked: false, reason: Some(reason.into()), age, next }
    }

    fn parked(reason: &str) -> Self {
        Self { parked: true, next: None, ..Self::waiting(reason, Duration::ZERO, Duration::ZERO) }
    }
}

async fn rig() -> (Rig, Replica) {
    let rig = Rig::unpaced().await;
    let replica = rig.replica().await;
    (rig, replica)
}

async fn line(rig: &Rig, name: &str) -> Line {
    sqlx::query_as(
        "SELECT ready, parked, reason, extract(epoch FROM tenantd.clock() - since)::bigint AS age,
                extract(epoch FROM next_attempt_at - tenantd.clock())::bigint AS next
           FROM tenantd.status WHERE external_id = $1",
    )
    .bind(name)
    .fetch_one(rig.pool())
    .await
    .unwrap()
}

/// Names the call that goes wrong, how, the reason it leads to, and the wait.
fn setbacks() -> Vec<(Endpoint, Fault, &'static str, Option<Duration>)> {
    let throttle = Fault::throttle(RetryAfter::Seconds(7));
    vec![
        (Endpoint::CreateClient, Fault::close_after(), "Settling", Some(SETTLE)),
        (Endpoint::SetConsent, Fault::status(503), "Retrying", None),
        (Endpoint::SetConsent, throttle, "Throttled", Some(Duration::from_secs(7))),
        (Endpoint::RegionToken, Fault::status(401), "CredentialRefused", None),
        (Endpoint::ClientToken, Fault::status(401), "ProofRefused", None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setback_is_told_as_what_it_is_with_its_beginning_and_the_next_time() {
    let (rig, replica) = rig().await;
    for (number, (endpoint, fault, reason, wait)) in setbacks().into_iter().enumerate() {
        let name = format!("case-{number}");
        let host = rig.given_tenant(&name).await;
        rig.world.script(&host, endpoint, [fault]);

        assert_eq!(rig.work_once(&replica).await, name);

        let line = line(&rig, &name).await;
        assert_eq!((line.reason.as_deref(), line.age), (Some(reason), 0), "{line:?}");
        let next = Duration::from_secs(line.next.unwrap().try_into().unwrap());
        // Backoff has full jitter: anything up to a minute, here.
        assert!(wait.map_or(next <= MINUTE, |wait| wait == next), "{reason}: next in {next:?}");
        rig.work_until_quiet(&replica).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_tenant_is_told_so_and_asked_again_slowly() {
    let (rig, replica) = rig().await;
    let host = rig.given_tenant("acme").await;
    rig.world.at(rig.clock.now()).set_status(&host, TenantStatus::Deactivated);

    rig.work_once(&replica).await;
    rig.advance(MINUTE).await;

    assert_eq!(line(&rig, "acme").await, Line::waiting("Blocked", MINUTE, MINUTE * 14));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_insert_to_ready_there_is_always_a_reason() {
    let (rig, replica) = rig().await;
    rig.given_tenant("acme").await;

    assert_eq!(line(&rig, "acme").await, Line::waiting("Queued", Duration::ZERO, Duration::ZERO));
    rig.advance(MINUTE).await;
    rig.write("UPDATE tenantd.tenants SET not_before = tenantd.clock() + interval '1 hour'").await;
    rig.advance(MINUTE).await;
    assert_eq!(line(&rig, "acme").await, Line::waiting("NotBefore", MINUTE, MINUTE * 59));
    rig.advance(HOUR).await;
    let queued = Line { next: Some(-60), ..Line::waiting("Queued", MINUTE, Duration::ZERO) };
    assert_eq!(line(&rig, "acme").await, queued, "queued only since its not_before came");
    let claimed = rig.claim(&replica).await.unwrap();
    rig.advance(MINUTE / 2).await;
    let working = Line { next: None, ..Line::waiting("Working", MINUTE / 2, Duration::ZERO) };
    assert_eq!(line(&rig, "acme").await, working);
    rig.work_on(&replica, claimed).await;

    let ready = Line { ready: true, parked: false, reason: None, age: 0, next: None };
    assert_eq!(line(&rig, "acme").await, ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_worker_died_is_not_said_to_be_worked_on() {
    let (rig, replica) = rig().await;
    rig.given_tenant("acme").await;
    rig.claim(&replica).await.unwrap();

    rig.advance(LEASE).await;

    assert_eq!(line(&rig, "acme").await.reason.as_deref(), Some("Queued"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_is_told_with_its_beginning_and_the_next_probe() {
    let (rig, _) = rig().await;
    rig.given_tenant("acme").await;
    rig.write(
        "UPDATE tenantd.tenants SET region = 'us';
         UPDATE tenantd.regions SET opened_at = tenantd.clock() + interval '1 minute',
                                    probe_at = tenantd.clock() + interval '5 minutes'",
    )
    .await;
    rig.advance(MINUTE * 3).await;

    assert_eq!(line(&rig, "acme").await, Line::waiting("BreakerOpen", MINUTE * 2, MINUTE * 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_of_the_closed_list_is_shown_and_no_other() {
    let (rig, _) = rig().await;
    for (name, edit) in [
        ("queued", ""),
        (
            "working",
            "lease_holder = gen_random_uuid(), leased_at = tenantd.clock(), lease_expires_at = 'infinity'",
        ),
        ("early", "not_before = tenantd.clock() + interval '1 hour'"),
        ("breaker", "region = 'broken'"),
        ("paused", "paused_at = tenantd.clock(), pause_reason = 'm'"),
        ("unsent", "desired_state = 'absent'"),
        ("unwanted", "phase = 'creating'"),
    ] {
        rig.given_tenant(name).await;
        if !edit.is_empty() {
            rig.write(format!("UPDATE tenantd.tenants SET {edit} WHERE external_id = '{name}'")).await;
        }
    }
    rig.write(
        "INSERT INTO tenantd.regions (region, opened_at, probe_at) VALUES ('broken', now(), now());
         UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'unwanted'",
    )
    .await;
    for reason in WaitReason::ALL {
        let name = format!("wait-{reason}").to_lowercase();
        rig.given_tenant(&name).await;
        rig.write(format!(
            "UPDATE tenantd.tenants SET wait_reason = '{reason}', message = 'm' WHERE external_id = '{name}'"
        ))
        .await;
    }
    for reason in ParkReason::ALL {
        let name = format!("park-{reason}").to_lowercase();
        rig.given_tenant(&name).await;
        rig.write(format!(
            "UPDATE tenantd.tenants SET parked_reason = '{reason}', message = 'm', due_at = NULL
                  WHERE external_id = '{name}'"
        ))
        .await;
        assert_eq!(line(&rig, &name).await, Line::parked(reason.as_str()));
    }

    let shown: Vec<(String, bool)> = sqlx::query_as(
        "SELECT DISTINCT reason, message IS NOT NULL AND since IS NOT NULL FROM tenantd.status",
    )
    .fetch_all(rig.pool())
    .await
    .unwrap();

    assert!(shown.iter().all(|(_, is_told)| *is_told), "each has a message and a since: {shown:?}");
    let shown: BTreeSet<String> = shown.into_iter().map(|(reason, _)| reason).collect();
    let waits = WaitReason::ALL.iter().map(|reason| reason.as_str());
    let parks = ParkReason::ALL.iter().map(|reason| reason.as_str());
    let listed: BTreeSet<String> =
        DERIVED.into_iter().chain(waits).chain(parks).map(ToOwned::to_owned).collect();
    assert_eq!(shown, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_tenant_that_is_parked_stays_ready_and_says_why_it_is_parked() {
    let (rig, replica) = rig().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;

    rig.write("UPDATE tenantd.tenants SET parked_reason = 'ClientMissing', message = 'm', due_at = NULL")
        .await;

    let line = line(&rig, "acme").await;
    assert_eq!((line.ready, line.parked, line.reason.as_deref()), (true, true, Some("ClientMissing")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_the_drift_and_the_last_audit_are_shown() {
    let (rig, replica) = rig().await;
    rig.given_tenant("acme").await;
    let shown = async || -> (Option<i32>, Vec<String>, Option<i64>) {
        sqlx::query_as(
            "SELECT version, drift, extract(epoch FROM tenantd.clock() - audited_at)::bigint FROM tenantd.status",
        )
        .fetch_one(rig.pool())
        .await
        .unwrap()
    };

    assert_eq!(shown().await, (None, vec![], None));
    rig.work_until_quiet(&replica).await;
    assert_eq!(shown().await, (Some(1), vec![], None));
    let mut moment = rig.world.at(rig.clock.now());
    let client = moment.ledger().live_clients_of("acme.us.qlikcloud.com").next().unwrap().client_id.clone();
    let mut console = moment.console("acme.us.qlikcloud.com", "ada").unwrap();
    console.set_trusted(&client, false).unwrap();
    console.edit(&client, |draft| draft.client_name = "renamed".into()).unwrap();
    drop(moment);
    rig.write("UPDATE tenantd.tenants SET audit_at = tenantd.clock(), due_at = tenantd.clock()").await;
    rig.work_until_quiet(&replica).await;
    rig.advance(MINUTE).await;

    assert_eq!(shown().await, (Some(1), vec!["consent".into(), "name".into()], Some(60)));
    let line = line(&rig, "acme").await;
    assert_eq!(
        (line.ready, line.reason),
        (true, None),
        "what differs is told, and nothing is touched unasked"
    );
}

/// Above `jit_above_cost` Postgres compiles the plan before it runs it, for a second of every page.
#[tokio::test]
async fn a_page_of_the_view_is_planned_as_a_page() {
    let db = test_db().await;
    db.write(
        "SET session_replication_role = replica;
         INSERT INTO tenantd.tenants (external_id, host, phase, client_id, current_version, ready_at, due_at)
         SELECT 'n' || n, 'n' || n || '.us.qlikcloud.com', 'ready', 'c', 1, now(), NULL FROM generate_series(1, 20000) AS n;
         SET session_replication_role = origin;
         ANALYZE tenantd.tenants",
    )
    .await;

    let plan: serde_json::Value = sqlx::query_scalar(
        "EXPLAIN (FORMAT JSON)
         SELECT s.* FROM (SELECT tenant_id FROM tenantd.tenants WHERE external_id > 'n3' ORDER BY external_id LIMIT 100) AS t
                    JOIN tenantd.status AS s ON s.tenant_id = t.tenant_id",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();

    let cost = plan[0]["Plan"]["Total Cost"].as_f64().unwrap();
    assert!(cost < 50_000.0, "{cost}");
}
