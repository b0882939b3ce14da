//! Four roles, each with exactly its rights: what the README says works, and
//! everything that an attacker with a stolen login would try does not.

use crate::support::roles::{
    CONSUMER, DAEMON, OPERATOR, PIPELINE, Refused, SCRIPT, pool_as, test_db_with_roles, try_as,
};

use super::{given_pending, given_ready};

/// A role that nobody gave anything.
const ANYBODY: &str = "pg_signal_backend";

#[tokio::test]
async fn the_script_runs_twice_and_beside_itself_and_ends_in_the_same_rights() {
    let (one, two) = tokio::join!(test_db_with_roles(), test_db_with_roles());
    let rights = "SELECT string_agg(concat_ws(' ', relname, relacl::text, attname, attacl::text), E'\n' ORDER BY relname, attnum)
                    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
                   WHERE relnamespace = 'tenantd'::regnamespace AND attnum > 0";
    let before: String = sqlx::query_scalar(rights).fetch_one(&one.pool).await.unwrap();
    // What an earlier version may have given.
    sqlx::raw_sql("GRANT ALL ON tenantd.secrets TO tenantd_pipeline; GRANT SELECT (sealed) ON tenantd.secrets TO PUBLIC")
        .execute(&one.pool)
        .await
        .unwrap();

    sqlx::raw_sql(SCRIPT).execute(&one.pool).await.unwrap();

    let after: String = sqlx::query_scalar(rights).fetch_one(&one.pool).await.unwrap();
    let beside: String = sqlx::query_scalar(rights).fetch_one(&two.pool).await.unwrap();
    assert_eq!((&before, &before), (&after, &beside));
    assert!(before.contains("tenantd_pipeline"), "{before}");
}

#[tokio::test]
async fn the_statements_of_the_contract_work_as_written_for_the_right_role() {
    let db = test_db_with_roles().await;
    given_ready(&db.pool, "customer-42").await;
    for (role, statement, rows) in [
        (
            PIPELINE,
            "INSERT INTO tenantd.tenants (external_id, host) VALUES ('customer-43', 'acme43.us.qlikcloud.com')
             ON CONFLICT (external_id) DO NOTHING",
            1,
        ),
        (
            PIPELINE,
            "INSERT INTO tenantd.tenants (external_id, host) VALUES ('customer-42', 'acme42.us.qlikcloud.com')
             ON CONFLICT (external_id) DO NOTHING",
            0,
        ),
        (
            PIPELINE,
            "UPDATE tenantd.tenants SET desired_version = desired_version + 1 WHERE external_id = 'customer-42'",
            1,
        ),
        (PIPELINE, "UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'customer-42'", 1),
        (
            PIPELINE,
            "SELECT external_id, phase, ready, parked, reason, message FROM tenantd.status WHERE external_id = 'customer-42'",
            1,
        ),
        (PIPELINE, "LISTEN tenantd_events", 0),
        (CONSUMER, "SELECT * FROM tenantd.credentials WHERE external_id = 'customer-42' AND stage = 'current'", 1),
        (CONSUMER, "SELECT tenantd.acknowledge('customer-42', 1)", 1),
    ] {
        assert_eq!(try_as(&db.pool, role, statement).await, Ok(rows), "{role}: {statement}");
    }
}

#[tokio::test]
async fn every_sql_of_the_readme_runs_as_the_pipeline() {
    let db = test_db_with_roles().await;
    let readme = include_str!("../../../README.md");
    let statements: Vec<&str> =
        readme.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(statements.len() >= 2, "the README shows the contract");

    for statement in statements {
        let done = try_as(&db.pool, PIPELINE, statement).await;
        assert!(done.is_ok(), "{done:?}: {statement}");
    }
}

#[tokio::test]
async fn a_pipeline_may_write_every_column_of_its_own() {
    let db = test_db_with_roles().await;
    let pipeline = pool_as(PIPELINE, &db.url).await;

    let done = sqlx::raw_sql(
        "INSERT INTO tenantd.tenants (external_id, host, profile, client_name, redirect_uris, desired_state,
                                      desired_version, priority, not_before, labels)
         VALUES ('c', 'c.us.qlikcloud.com', 'default', 'Portal', '{https://c.example/cb}', 'present', 1, 5,
                 '2030-01-01Z', '{\"plan\": \"gold\"}');
         UPDATE tenantd.tenants
            SET host = 'd.us.qlikcloud.com', profile = 'other', client_name = NULL, redirect_uris = NULL,
                desired_version = 2, priority = -5, not_before = NULL, labels = '{}'
          WHERE external_id = 'c'",
    )
    .execute(&pipeline)
    .await
    .unwrap();

    assert_eq!(done.rows_affected(), 2);
    let row: (String, bool) = sqlx::query_as(
        "SELECT host, due_at <= tenantd.clock() AND due_at > '2026-01-01' FROM tenantd.tenants WHERE external_id = 'c'",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(row, ("d.us.qlikcloud.com".to_owned(), true), "its triggers ran with its rights");
}

#[tokio::test]
async fn everything_else_is_refused() {
    let db = test_db_with_roles().await;
    given_ready(&db.pool, "customer-42").await;
    given_pending(&db.pool, "customer-43").await;
    let refused = Err(Refused { code: "42501".into(), constraint: None });

    for (role, statements) in [
        (PIPELINE, REFUSED_TO_A_PIPELINE),
        (CONSUMER, REFUSED_TO_A_CONSUMER),
        (OPERATOR, REFUSED_TO_AN_OPERATOR),
        (DAEMON, REFUSED_TO_THE_DAEMON),
        (ANYBODY, REFUSED_TO_ANYBODY),
    ] {
        for statement in statements.iter().chain(REFUSED_TO_ALL) {
            assert_eq!(try_as(&db.pool, role, statement).await, refused, "{role}: {statement}");
        }
    }
}

const REFUSED_TO_A_PIPELINE: &[&str] = &[
    // To un-park, lease, hurry, or claim what was not proven.
    "UPDATE tenantd.tenants SET parked_reason = NULL",
    "UPDATE tenantd.tenants SET due_at = now()",
    "UPDATE tenantd.tenants SET phase = 'ready'",
    "UPDATE tenantd.tenants SET client_id = 'mine'",
    "UPDATE tenantd.tenants SET current_version = 7",
    "UPDATE tenantd.tenants SET region = 'us'",
    "UPDATE tenantd.tenants SET lease_holder = gen_random_uuid(), leased_at = now(), lease_expires_at = 'infinity'",
    "UPDATE tenantd.tenants SET lease_epoch = lease_epoch + 1",
    "UPDATE tenantd.tenants SET external_id = 'other'",
    // To let its own removals through, or to keep the daemon away or nosy.
    "UPDATE tenantd.tenants SET removal_admitted_at = now()",
    "UPDATE tenantd.tenants SET repair_scope = 'all'",
    "UPDATE tenantd.tenants SET paused_at = now(), pause_reason = 'mine'",
    "UPDATE tenantd.tenants SET must_look = false",
    "SELECT FROM tenantd.changes",
    "UPDATE tenantd.rollouts SET stage = 'rolling', started_at = now()",
    "INSERT INTO tenantd.pauses (region, reason) VALUES ('*', 'mine')",
    "UPDATE tenantd.installation SET deletions_held_at = NULL, held_reason = NULL",
    "INSERT INTO tenantd.tenants (external_id, host, phase) VALUES ('x', 'x.us.qlikcloud.com', 'ready')",
    "INSERT INTO tenantd.tenants (tenant_id, external_id, host) VALUES (gen_random_uuid(), 'x', 'x.us.qlikcloud.com')",
    "TRUNCATE tenantd.tenants CASCADE",
    "SELECT FROM tenantd.credentials",
    "SELECT FROM tenantd.attempts",
    "SELECT FROM tenantd.regions",
    "UPDATE tenantd.regions SET opened_at = NULL",
    "SELECT FROM tenantd.installation",
    "SELECT tenantd.acknowledge('customer-42', 1)",
    "SELECT sealed FROM tenantd.secrets",
];

const REFUSED_TO_A_CONSUMER: &[&str] = &[
    "DELETE FROM tenantd.tenants",
    "LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE",
    "SELECT sealed FROM tenantd.secrets",
    "SELECT host FROM tenantd.tenants",
    "SELECT FROM tenantd.status",
    "SELECT FROM tenantd.attempts",
    "INSERT INTO tenantd.tenants (external_id, host) VALUES ('x', 'x.us.qlikcloud.com')",
    "UPDATE tenantd.tenants SET acknowledged_version = 1",
    "UPDATE tenantd.secrets SET retire_at = now()",
    "SELECT FROM tenantd.pauses",
];

const REFUSED_TO_AN_OPERATOR: &[&str] = &[
    "SELECT sealed FROM tenantd.secrets",
    "SELECT * FROM tenantd.secrets",
    "SELECT FROM tenantd.credentials",
    "UPDATE tenantd.tenants SET parked_reason = NULL",
    "INSERT INTO tenantd.tenants (external_id, host) VALUES ('x', 'x.us.qlikcloud.com')",
    "SELECT tenantd.acknowledge('customer-42', 1)",
    "UPDATE tenantd.rollouts SET stage = 'idle'",
    "DELETE FROM tenantd.pauses",
    "DELETE FROM tenantd.changes",
];

const REFUSED_TO_THE_DAEMON: &[&str] = &[
    "LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE",
    // Where a tenant is and what its client looks like is the owner's to say.
    "UPDATE tenantd.tenants SET host = 'x.us.qlikcloud.com'",
    "UPDATE tenantd.tenants SET profile = 'x'",
    "UPDATE tenantd.tenants SET redirect_uris = NULL",
    "UPDATE tenantd.tenants SET external_id = 'x'",
    "UPDATE tenantd.tenants SET tenant_id = gen_random_uuid()",
    "DELETE FROM tenantd.tenants",
    "UPDATE tenantd.secrets SET sealed = 'a.b.c.d.e'",
    "UPDATE tenantd.attempts SET outcome = 'done'",
    "UPDATE tenantd.installation SET installation_id = gen_random_uuid()",
    "DELETE FROM tenantd.regions",
    // Budgets are sums over what was let through, and rollouts are there from the start.
    "UPDATE tenantd.changes SET started_at = '-infinity'",
    "UPDATE tenantd.changes SET kind = 'census'",
    "INSERT INTO tenantd.rollouts (kind) VALUES ('rotation')",
    "DELETE FROM tenantd.rollouts",
    "UPDATE tenantd.schedules SET job = 'x'",
    "DELETE FROM tenantd.schedules",
    "INSERT INTO tenantd._sqlx_migrations VALUES (1, 'x', now(), true, '', 1)",
    "INSERT INTO tenantd.count_deltas VALUES (1, 1, 1, 1)",
    "INSERT INTO tenantd.awaited (tenant_id, since) VALUES (gen_random_uuid(), now())",
    "DELETE FROM tenantd.counts",
    "SELECT tenantd.recount()",
    "UPDATE tenantd.tenants SET is_under_way = false",
];

const REFUSED_TO_ANYBODY: &[&str] =
    &["SELECT FROM tenantd.status", "SELECT FROM tenantd.credentials", "SELECT tenantd.clock()"];

/// No DDL for anybody, and nothing that takes more than rows.
const REFUSED_TO_ALL: &[&str] = &[
    "CREATE TABLE tenantd.mine ()",
    "CREATE FUNCTION tenantd.mine() RETURNS integer LANGUAGE sql RETURN 1",
    "CREATE OR REPLACE FUNCTION tenantd.clock() RETURNS timestamptz LANGUAGE sql RETURN 'infinity'::timestamptz",
    "CREATE TRIGGER mine BEFORE INSERT ON tenantd.tenants FOR EACH ROW EXECUTE FUNCTION tenantd.accept_insert()",
    "CREATE INDEX ON tenantd.tenants (labels)",
    "ALTER TABLE tenantd.tenants DISABLE TRIGGER ALL",
    "ALTER VIEW tenantd.credentials RESET (security_barrier)",
    "DROP TABLE tenantd.attempts",
    "TRUNCATE tenantd.attempts",
    "DROP SCHEMA tenantd CASCADE",
];

#[tokio::test]
async fn an_operator_reads_everything_but_sealed_text() {
    let db = test_db_with_roles().await;
    given_ready(&db.pool, "customer-42").await;
    for statement in [
        "SELECT * FROM tenantd.tenants",
        "SELECT * FROM tenantd.status",
        "SELECT tenant_id, hint, standing, version, key_id, retire_at FROM tenantd.secrets",
        "SELECT * FROM tenantd.installation",
    ] {
        assert_eq!(try_as(&db.pool, OPERATOR, statement).await, Ok(1), "{statement}");
    }
    for (statement, rows) in [("SELECT * FROM tenantd.rollouts", 4), ("SELECT * FROM tenantd.schedules", 6)] {
        assert_eq!(try_as(&db.pool, OPERATOR, statement).await, Ok(rows), "{statement}");
    }
    for statement in [
        "SELECT * FROM tenantd.attempts",
        "SELECT * FROM tenantd.regions",
        "SELECT * FROM tenantd.changes",
        "SELECT * FROM tenantd.pauses",
    ] {
        assert_eq!(try_as(&db.pool, OPERATOR, statement).await, Ok(0), "{statement}");
    }
}

/// A planner may run a cheap function of the reader's own on rows that the view
/// would have left out; the view's barrier forbids it.
#[tokio::test]
async fn a_consumer_cannot_look_behind_the_view() {
    let db = test_db_with_roles().await;
    given_ready(&db.pool, "customer-42").await;
    given_ready(&db.pool, "gone-43").await;
    sqlx::raw_sql("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'gone-43'")
        .execute(&db.pool)
        .await
        .unwrap();

    let peeked = try_as(
        &db.pool,
        CONSUMER,
        "CREATE FUNCTION pg_temp.peek(external_id text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
         BEGIN
             IF external_id LIKE 'gone%' THEN RAISE EXCEPTION 'seen: %', external_id; END IF;
             RETURN true;
         END $$;
         SELECT external_id FROM tenantd.credentials WHERE pg_temp.peek(external_id)",
    )
    .await;

    assert_eq!(peeked, Ok(1));
}
