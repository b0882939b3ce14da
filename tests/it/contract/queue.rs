//! When a row's turn comes: not before its time, by priority, and never later for an
//! edit or for bad rows ahead of it.

use std::time::Duration;

use tenantd::ports::Clock;

use crate::support::rig::Rig;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_before_not_before_which_may_be_moved() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let claim = async || replica.store.claim(&replica.terms.claim_terms(), 1).await.unwrap().rows.len();

    rig.write("UPDATE tenantd.tenants SET not_before = tenantd.clock() + interval '1 hour'").await;
    assert_eq!((rig.until_due().await, claim().await), (Some(HOUR), 0));
    rig.write("UPDATE tenantd.tenants SET not_before = tenantd.clock() + interval '2 hours'").await;
    assert_eq!((rig.until_due().await, claim().await), (Some(HOUR * 2), 0));
    rig.advance(HOUR).await;
    assert_eq!((rig.until_due().await, claim().await), (Some(HOUR), 0));
    rig.write("UPDATE tenantd.tenants SET not_before = NULL").await;

    assert_eq!((rig.until_due().await, claim().await), (Some(Duration::ZERO), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn not_before_holds_from_the_insert_on() {
    let rig = Rig::plain().await;
    rig.write(
        "INSERT INTO tenantd.tenants (external_id, host, not_before)
         VALUES ('early', 'early.us.qlikcloud.com', tenantd.clock() + interval '1 hour'),
                ('late', 'late.us.qlikcloud.com', tenantd.clock() - interval '1 hour')",
    )
    .await;
    let replica = rig.replica().await;

    let claimed = replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap().rows;

    let claimed: Vec<String> = claimed.iter().map(|row| row.external_id.to_string()).collect();
    assert_eq!(claimed, ["late"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_point_of_priority_is_worth_a_minute_of_waiting() {
    let rig = Rig::plain().await;
    rig.given_tenant("first").await;
    rig.advance(Duration::from_mins(10)).await;
    rig.given_tenant("second").await;
    rig.given_tenant("third").await;
    rig.write("UPDATE tenantd.tenants SET priority = 11 WHERE external_id = 'third'").await;
    rig.write("UPDATE tenantd.tenants SET priority = -1 WHERE external_id = 'second'").await;
    let replica = rig.replica().await;
    let mut order = Vec::new();

    while let Some(claimed) = replica.store.claim(&replica.terms.claim_terms(), 1).await.unwrap().rows.pop() {
        order.push(claimed.external_id.to_string());
    }

    assert_eq!(order, ["third", "first", "second"]);
}

/// A pipeline that writes every row anew every night must not send them all to the end.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_changes_nothing_about_when_costs_a_row_no_place_in_the_queue() {
    let rig = Rig::plain().await;
    rig.given_tenant("acme").await;
    let due = "SELECT due_at::text || reason_since::text FROM tenantd.tenants";
    let before: String = sqlx::query_scalar(due).fetch_one(rig.pool()).await.unwrap();
    rig.advance(HOUR).await;

    rig.write(
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
    let rig = Rig::plain().await;
    rig.write("INSERT INTO tenantd.tenants (external_id, host, profile)
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
    let ledger = rig.world.at(rig.clock.now()).ledger();
    assert_eq!(ledger.tenants.len(), 1, "no request went to a host that is not allowed");
}
