//! What those hear who listen, and what consumers say back.

use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tenantd::simulator::{Endpoint, Fault};

use crate::support::postgres::test_db;
use crate::support::rig::{OVERLAP, Rig};
use crate::support::roles::{CONSUMER, pool_as, test_db_with_roles};

use super::{given_pending, given_ready};

async fn listen(url: &str, channel: &str) -> PgListener {
    let mut listener = PgListener::connect(url).await.unwrap();
    listener.listen(channel).await.unwrap();
    listener
}

/// Everything that was said on a channel until now.
async fn heard(listener: &mut PgListener, pool: &PgPool, channel: &str) -> Vec<String> {
    sqlx::query("SELECT pg_notify($1, 'end of test')").bind(channel).execute(pool).await.unwrap();
    let mut heard = Vec::new();
    loop {
        let payload = listener.recv().await.unwrap().payload().to_owned();
        if payload == "end of test" {
            return heard;
        }
        heard.push(payload);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_ready_and_one_that_is_parked_are_each_announced_once() {
    let rig = Rig::plain().await;
    let mut events = listen(&rig.db.url, "tenantd_events").await;
    // A lost create: the ready row is written again, when it is looked at for a second client.
    let good = rig.given_tenant("good").await;
    rig.world.script(&good, Endpoint::CreateClient, [Fault::close_after()]);
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host) VALUES ('bad \"one\"', 'a.elsewhere.example')",
    )
    .execute(rig.pool())
    .await
    .unwrap();

    rig.work_until_quiet(&rig.replica().await).await;

    let heard = heard(&mut events, rig.pool(), "tenantd_events").await;
    let mut heard: Vec<Value> = heard.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    heard.sort_by_key(|event| event["event"].to_string());
    assert_eq!(
        heard,
        [
            json!({"external_id": "bad \"one\"", "event": "parked", "phase": "pending", "reason": "HostNotAllowed"}),
            json!({"external_id": "good", "event": "ready", "phase": "ready", "reason": null}),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_line_of_json_whatever_the_key_of_its_tenant() {
    let rig = Rig::plain().await;
    let mut events = listen(&rig.db.url, "tenantd_events").await;
    // The longest key there is, of characters that JSON writes as six.
    let hostile = ["\n\",\"event\":\"ready\"}\r", &"\u{1b}".repeat(178)].concat();
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, 'a.elsewhere.example')")
        .bind(&hostile)
        .execute(rig.pool())
        .await
        .unwrap();

    rig.work_until_quiet(&rig.replica().await).await;

    let heard = heard(&mut events, rig.pool(), "tenantd_events").await;
    let event: Value = serde_json::from_str(&heard[0]).unwrap();
    assert_eq!((heard.len(), &event["external_id"], &event["event"]), (1, &hostile.into(), &"parked".into()));
    assert!(!heard[0].chars().any(char::is_control), "{:?}", heard[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_new_version_and_every_end_is_announced_once() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.given_tenant("unsent").await;
    sqlx::query("UPDATE tenantd.tenants SET not_before = '9999-01-01' WHERE external_id = 'unsent'")
        .execute(rig.pool())
        .await
        .unwrap();
    let mut events = listen(&rig.db.url, "tenantd_events").await;
    let mut said = Vec::new();
    for statement in [
        "",
        "UPDATE tenantd.tenants SET desired_version = 2 WHERE external_id = 'acme'",
        "UPDATE tenantd.tenants SET desired_state = 'absent'",
        "UPDATE tenantd.tenants SET removal_admitted_at = tenantd.clock(), due_at = tenantd.clock()
          WHERE phase <> 'removed'",
    ] {
        sqlx::raw_sql(statement).execute(rig.pool()).await.unwrap();
        // Until the overlap and the look after the removal are over, but not for ever.
        while rig.until_due().await.is_some_and(|wait| wait < OVERLAP * 2) {
            rig.work_once(&replica).await;
        }
        let heard = heard(&mut events, rig.pool(), "tenantd_events").await;
        let heard: Vec<Value> = heard.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        said.push(heard);
    }

    let event =
        |who: &str, what: &str| json!({"external_id": who, "event": what, "phase": what, "reason": null});
    assert_eq!(
        said,
        [
            vec![event("acme", "ready")],
            vec![event("acme", "ready")],
            vec![event("unsent", "removed")],
            vec![event("acme", "removed")],
        ]
    );
}

#[tokio::test]
async fn a_thousand_rows_in_one_statement_wake_the_daemon_once() {
    let db = test_db().await;
    let mut work = listen(&db.url, "tenantd_work").await;

    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host)
         SELECT 'c' || n, 'c' || n || '.us.qlikcloud.com' FROM generate_series(1, 1000) AS n",
    )
    .execute(&db.pool)
    .await
    .unwrap();

    assert_eq!(heard(&mut work, &db.pool, "tenantd_work").await, [""]);
    // Postgres folds equal notifications of a transaction; a trigger per row would still cost a thousand calls.
    let per_row: Vec<String> = sqlx::query_scalar(
        "SELECT tgname::text FROM pg_trigger JOIN pg_proc ON tgfoid = pg_proc.oid
          WHERE proname = 'notify_work' AND tgtype & 1 = 1",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert!(per_row.is_empty(), "{per_row:?}");
}

#[tokio::test]
async fn whatever_an_owner_changes_that_makes_work_wakes_the_daemon_and_nothing_else_does() {
    let db = test_db().await;
    given_pending(&db.pool, "c").await;
    let mut work = listen(&db.url, "tenantd_work").await;
    for (statement, calls) in [
        ("UPDATE tenantd.tenants SET host = 'd.us.qlikcloud.com'", 1),
        ("UPDATE tenantd.tenants SET profile = 'other'", 1),
        ("UPDATE tenantd.tenants SET client_name = 'Portal'", 1),
        ("UPDATE tenantd.tenants SET redirect_uris = '{https://c.example}'", 1),
        ("UPDATE tenantd.tenants SET desired_version = 2", 1),
        ("UPDATE tenantd.tenants SET priority = 3", 0),
        ("UPDATE tenantd.tenants SET not_before = now()", 1),
        ("UPDATE tenantd.tenants SET desired_state = 'absent'", 1),
        ("UPDATE tenantd.tenants SET desired_state = 'absent', desired_version = 2", 0),
        ("UPDATE tenantd.tenants SET failures = 1, due_at = NULL", 0),
    ] {
        sqlx::query(statement).execute(&db.pool).await.unwrap();

        let heard = heard(&mut work, &db.pool, "tenantd_work").await;
        assert_eq!(heard.len(), calls, "{statement}");
    }
}

#[tokio::test]
async fn only_the_current_version_can_be_acknowledged() {
    let db = test_db_with_roles().await;
    given_ready(&db.pool, "customer-42").await;
    given_ready(&db.pool, "gone").await;
    sqlx::raw_sql(
        "UPDATE tenantd.tenants SET current_version = 3 WHERE external_id = 'customer-42';
         UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'gone'",
    )
    .execute(&db.pool)
    .await
    .unwrap();
    let consumer = pool_as(CONSUMER, &db.url).await;
    let acknowledge = async |tenant: &str, version: Option<i32>| {
        let query = sqlx::query("SELECT tenantd.acknowledge($1, $2)").bind(tenant.to_owned()).bind(version);
        query.execute(&consumer).await.map(drop).map_err(|error| {
            let error = error.into_database_error().unwrap();
            (error.code().unwrap().into_owned(), error.message().to_owned())
        })
    };
    let refused = |what: &str| Err(("P0002".to_owned(), format!("version {what}")));

    assert_eq!(
        acknowledge("customer-42", Some(2)).await,
        refused("2 is not the current credential of tenant customer-42")
    );
    assert_eq!(
        acknowledge("customer-42", Some(4)).await,
        refused("4 is not the current credential of tenant customer-42")
    );
    assert_eq!(
        acknowledge("customer-42", None).await,
        refused("<NULL> is not the current credential of tenant customer-42")
    );
    assert_eq!(
        acknowledge("nobody", Some(1)).await,
        refused("1 is not the current credential of tenant nobody")
    );
    assert_eq!(acknowledge("gone", Some(1)).await, refused("1 is not the current credential of tenant gone"));
    assert_eq!(acknowledge("customer-42", Some(3)).await, Ok(()));
    assert_eq!(acknowledge("customer-42", Some(3)).await, Ok(()), "saying it twice is harmless");
    let told: Option<i32> = sqlx::query_scalar(
        "SELECT acknowledged_version FROM tenantd.tenants WHERE external_id = 'customer-42'",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(told, Some(3));
}
