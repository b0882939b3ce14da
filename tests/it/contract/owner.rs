//! What an owner's edits do: corrections take effect, what is fixed stays fixed,
//! and no edit costs a row its place.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use tenantd::simulator::{Behaviour, FaultPlan};

use crate::support::postgres::test_db;
use crate::support::rig::Rig;
use crate::support::roles::Refused;

use super::given_ready;

const HOUR: Duration = Duration::from_hours(1);

async fn rig() -> Rig {
    Rig::new(Behaviour::default(), FaultPlan::none()).await
}

async fn write(pool: &PgPool, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
}

/// Phase, reason and region of a row.
async fn stand(rig: &Rig, name: &str) -> (String, Option<String>, String) {
    sqlx::query_as(
        "SELECT s.phase, s.reason, t.region FROM tenantd.status AS s JOIN tenantd.tenants AS t USING (tenant_id)
          WHERE s.external_id = $1",
    )
    .bind(name)
    .fetch_one(rig.pool())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_host_un_parks_the_row_and_finds_its_region_anew() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    write(rig.pool(), "UPDATE tenantd.tenants SET host = 'acme.elsewhere.example'").await;
    rig.work_until_quiet(&replica).await;
    let parked = stand(&rig, "acme").await;

    write(rig.pool(), "UPDATE tenantd.tenants SET host = 'acme.us.qlikcloud.com'").await;
    let corrected = stand(&rig, "acme").await;
    rig.work_until_quiet(&replica).await;

    assert_eq!(parked, ("pending".into(), Some("HostNotAllowed".into()), String::new()));
    assert_eq!(corrected, ("pending".into(), Some("Queued".into()), String::new()));
    assert_eq!(stand(&rig, "acme").await, ("ready".into(), None, "us".into()));
}

/// A daemon holds the row and has found its host not allowed, but not said so yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_on_the_old_host_never_parks_the_corrected_row() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    write(rig.pool(), "UPDATE tenantd.tenants SET host = 'acme.elsewhere.example'").await;
    let claimed = rig.claim(&replica).await.unwrap();

    write(rig.pool(), "UPDATE tenantd.tenants SET host = 'acme.us.qlikcloud.com'").await;
    rig.work_on(&replica, claimed).await;

    assert_eq!(stand(&rig, "acme").await, ("pending".into(), Some("Queued".into()), String::new()));
    rig.work_until_quiet(&replica).await;
    assert_eq!(stand(&rig, "acme").await, ("ready".into(), None, "us".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_profile_un_parks_the_row() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    write(rig.pool(), "UPDATE tenantd.tenants SET profile = 'tpyo'").await;
    rig.work_until_quiet(&replica).await;
    let parked = stand(&rig, "acme").await.1;

    write(rig.pool(), "UPDATE tenantd.tenants SET profile = 'default'").await;
    rig.work_until_quiet(&replica).await;

    assert_eq!(parked.as_deref(), Some("UnknownProfile"));
    assert_eq!(stand(&rig, "acme").await.0, "ready");
}

/// Its profile went from the configuration between its first create and a look.
#[tokio::test]
async fn a_corrected_profile_un_parks_a_row_that_was_already_on_its_way() {
    let db = test_db().await;
    given_ready(&db.pool, "acme").await;
    write(
        &db.pool,
        "UPDATE tenantd.tenants SET phase = 'creating', client_id = NULL, current_version = NULL,
                                    parked_reason = 'UnknownProfile', message = 'm'",
    )
    .await;

    write(&db.pool, "UPDATE tenantd.tenants SET profile = 'other'").await;

    let is_due: bool = sqlx::query_scalar(
        "SELECT due_at <= tenantd.clock() FROM tenantd.tenants WHERE parked_reason IS NULL",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert!(is_due);
}

#[tokio::test]
async fn a_correction_of_one_thing_does_not_un_park_another() {
    let db = test_db().await;
    for (reason, edit) in [
        ("HostNotAllowed", "profile = 'other'"),
        ("UnknownProfile", "host = 'b.us.qlikcloud.com'"),
        ("HostNotAllowed", "host = host, profile = profile"),
        ("GaveUp", "host = 'c.us.qlikcloud.com', profile = 'third'"),
    ] {
        write(
            &db.pool,
            &format!(
                "INSERT INTO tenantd.tenants (external_id, host) VALUES ('acme', 'a.us.qlikcloud.com')
                 ON CONFLICT DO NOTHING;
                 UPDATE tenantd.tenants SET parked_reason = '{reason}', message = 'm', due_at = NULL"
            ),
        )
        .await;

        write(&db.pool, &format!("UPDATE tenantd.tenants SET {edit}")).await;

        let parked: Option<String> = sqlx::query_scalar("SELECT parked_reason FROM tenantd.tenants")
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(parked.as_deref(), Some(reason), "{edit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_fixed_from_the_first_intent_on() {
    let rig = rig().await;
    rig.given_tenant("acme").await;
    rig.claim(&rig.replica().await).await.unwrap();

    let edit = "UPDATE tenantd.tenants SET host = 'other.us.qlikcloud.com'";
    let refused = sqlx::query(edit).execute(rig.pool()).await.unwrap_err();
    write(rig.pool(), "UPDATE tenantd.tenants SET host = host").await;

    let constraint = Some("host_is_fixed_after_first_intent".to_owned());
    assert_eq!(Refused::from(&refused), Refused { code: "23514".into(), constraint });
}

#[tokio::test]
async fn lowering_the_desired_version_is_ignored() {
    let db = test_db().await;
    given_ready(&db.pool, "acme").await;
    let mut seen = Vec::new();
    for wanted in [3, 2, 3, 1, 7] {
        write(&db.pool, &format!("UPDATE tenantd.tenants SET desired_version = {wanted}")).await;
        let version: i32 = sqlx::query_scalar("SELECT desired_version FROM tenantd.tenants")
            .fetch_one(&db.pool)
            .await
            .unwrap();
        seen.push(version);
    }
    assert_eq!(seen, [3, 3, 3, 3, 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_before_not_before_which_may_be_moved() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let claim = async || replica.store.claim(&replica.terms.claim_terms(), 1).await.unwrap().len();

    write(rig.pool(), "UPDATE tenantd.tenants SET not_before = tenantd.clock() + interval '1 hour'").await;
    assert_eq!((rig.until_due().await, claim().await), (Some(HOUR), 0));
    write(rig.pool(), "UPDATE tenantd.tenants SET not_before = tenantd.clock() + interval '2 hours'").await;
    assert_eq!((rig.until_due().await, claim().await), (Some(HOUR * 2), 0));
    rig.advance(HOUR).await;
    assert_eq!((rig.until_due().await, claim().await), (Some(HOUR), 0));
    write(rig.pool(), "UPDATE tenantd.tenants SET not_before = NULL").await;

    assert_eq!((rig.until_due().await, claim().await), (Some(Duration::ZERO), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn not_before_holds_from_the_insert_on() {
    let rig = rig().await;
    write(
        rig.pool(),
        "INSERT INTO tenantd.tenants (external_id, host, not_before)
         VALUES ('early', 'early.us.qlikcloud.com', tenantd.clock() + interval '1 hour'),
                ('late', 'late.us.qlikcloud.com', tenantd.clock() - interval '1 hour')",
    )
    .await;
    let replica = rig.replica().await;

    let claimed = replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap();

    let claimed: Vec<String> = claimed.iter().map(|row| row.external_id.to_string()).collect();
    assert_eq!(claimed, ["late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_point_of_priority_is_worth_a_minute_of_waiting() {
    let rig = rig().await;
    rig.given_tenant("first").await;
    rig.advance(Duration::from_mins(10)).await;
    rig.given_tenant("second").await;
    rig.given_tenant("third").await;
    write(rig.pool(), "UPDATE tenantd.tenants SET priority = 11 WHERE external_id = 'third'").await;
    write(rig.pool(), "UPDATE tenantd.tenants SET priority = -1 WHERE external_id = 'second'").await;
    let replica = rig.replica().await;
    let mut order = Vec::new();

    while let Some(claimed) = replica.store.claim(&replica.terms.claim_terms(), 1).await.unwrap().pop() {
        order.push(claimed.external_id.to_string());
    }

    assert_eq!(order, ["third", "first", "second"]);
}

/// A pipeline that writes every row anew every night must not send them all to the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_changes_nothing_about_when_costs_a_row_no_place_in_the_queue() {
    let rig = rig().await;
    rig.given_tenant("acme").await;
    let due = "SELECT due_at::text || reason_since::text FROM tenantd.tenants";
    let before: String = sqlx::query_scalar(due).fetch_one(rig.pool()).await.unwrap();
    rig.advance(HOUR).await;

    write(
        rig.pool(),
        "INSERT INTO tenantd.tenants (external_id, host) VALUES ('acme', 'acme.us.qlikcloud.com')
         ON CONFLICT (external_id) DO UPDATE
            SET host = excluded.host, profile = excluded.profile, desired_state = excluded.desired_state,
                not_before = excluded.not_before, labels = '{\"plan\": \"gold\"}', client_name = 'Portal'",
    )
    .await;

    let after: String = sqlx::query_scalar(due).fetch_one(rig.pool()).await.unwrap();
    assert_eq!(before, after);
    let is_touched: bool = sqlx::query_scalar("SELECT updated_at = tenantd.clock() FROM tenantd.tenants")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert!(is_touched);
}

/// All bad rows were there before the good one.
#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_parked_and_the_others_go_on() {
    let rig = rig().await;
    write(
        rig.pool(),
        "INSERT INTO tenantd.tenants (external_id, host, profile)
         SELECT 'bad-' || n, 'bad-' || n || CASE WHEN n % 2 = 0 THEN '.elsewhere.example' ELSE '.us.qlikcloud.com' END,
                'unknown'
           FROM generate_series(1, 100) AS n",
    )
    .await;
    rig.given_tenant("good").await;

    rig.work_until_quiet(&rig.replica().await).await;

    let counts: Vec<(Option<String>, i64)> =
        sqlx::query_as("SELECT reason, count(*) FROM tenantd.status GROUP BY reason ORDER BY reason")
            .fetch_all(rig.pool())
            .await
            .unwrap();
    assert_eq!(counts, [(Some("HostNotAllowed".into()), 50), (Some("UnknownProfile".into()), 50), (None, 1)]);
    let wordless: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.status WHERE parked AND coalesce(message, '') = ''")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert_eq!(wordless, 0, "every parked row says what to do");
    let ledger = rig.world.at(tenantd::ports::Clock::now(&rig.clock)).ledger();
    assert_eq!(ledger.tenants.len(), 1, "no request went to a host that is not allowed");
}
