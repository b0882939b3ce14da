//! What an owner writes: plain types, checked by one trigger that no commit of the daemon
//! fires, and a refusal that says what to write instead.
//!
//! The rule: what is refused is written from every side (insert, update, bulk load), for a
//! trigger must be told of each, where a type was not.

use std::path::Path;

use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row as _};

use crate::support::postgres::{TestDb, test_db};
use crate::support::rig::Rig;
use crate::support::roles::{PIPELINE, Refused, pool_as, test_db_with_roles};

use super::bad_rows::BAD;
use super::{given_pending, given_ready};

/// The migration that made the columns plain.
const MADE_PLAIN: &str = "20261130100000";

async fn run(pool: &PgPool, statements: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(pool).await.map(drop)
}

/// Values that break a rule of `check_wants()`, and not a uniqueness.
fn bad() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    BAD.iter().filter(|(rule, _, _)| !rule.ends_with("_is_unique"))
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_the_tenant_the_column_and_what_to_write_instead() {
    let db = test_db().await;
    given_pending(&db.pool, "acme").await;
    for (rule, column, value) in bad() {
        let update = format!("UPDATE tenantd.tenants SET {column} = {value} WHERE external_id = 'acme'");

        let error = run(&db.pool, &update).await.unwrap_err();

        let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
        let place = (error.code(), error.schema(), error.table(), error.column(), error.constraint());
        let expected = ("23514", Some("tenantd"), Some("tenants"), Some(*column), Some(*rule));
        assert_eq!(place, expected, "{update}");
        let (said, hint) = (error.message(), error.hint().unwrap_or_default());
        assert!(said.starts_with(&format!("{column} of tenant ")), "{update}: {said}");
        assert!(*column == "external_id" || said.contains(" tenant acme "), "{update}: {said}");
        assert!(hint.len() > 10 && hint.ends_with('.'), "{update}: {hint}");
        assert!(said.len() < 300, "{update}: no value is repeated: {said}");
    }
}

/// Refusals end in many a log, and what somebody pasted into the wrong column must not.
#[tokio::test]
async fn a_refusal_repeats_no_value() {
    let db = test_db().await;
    given_pending(&db.pool, "acme").await;
    for (column, value) in [
        ("host", "https://me:s3cr3t@acme.us.qlikcloud.com"),
        ("desired_state", "s3cr3t"),
        ("redirect_uris", "{http://s3cr3t.example}"),
        ("labels", "[\"s3cr3t\"]"),
    ] {
        let update = format!("UPDATE tenantd.tenants SET {column} = '{value}'");

        let error = run(&db.pool, &update).await.unwrap_err();

        let error = error.as_database_error().unwrap().downcast_ref::<PgDatabaseError>();
        let said = format!("{} {:?} {:?}", error.message(), error.detail(), error.hint());
        assert!(error.code() == "23514" && !said.contains("s3cr3t"), "{said}");
    }
}

#[tokio::test]
async fn a_bulk_load_is_checked_as_an_insert_is() {
    let db = test_db_with_roles().await;
    let pipeline = pool_as(PIPELINE, &db.url).await;

    let good = copy(&pipeline, "a,a.us.qlikcloud.com\nb,b.us.qlikcloud.com\n").await;
    let bad = copy(&pipeline, "c,c.us.qlikcloud.com\nd,https://d.us.qlikcloud.com\n").await;

    assert_eq!(good.unwrap(), 2);
    let expected = Refused { code: "23514".into(), constraint: Some("host_has_no_scheme".to_owned()) };
    assert_eq!(Refused::from(&bad.unwrap_err()), expected);
    assert_eq!(names(&db.pool).await, ["a", "b"], "a load is whole or not at all");
}

async fn copy(pool: &PgPool, rows: &str) -> Result<u64, sqlx::Error> {
    let mut connection = pool.acquire().await.unwrap();
    let mut into = connection
        .copy_in_raw("COPY tenantd.tenants (external_id, host) FROM STDIN WITH (FORMAT csv)")
        .await?;
    into.send(rows.as_bytes()).await?;
    into.finish().await
}

async fn names(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT external_id FROM tenantd.tenants ORDER BY 1").fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn of_many_rows_one_that_breaks_a_rule_refuses_all_and_what_is_there_is_passed_by() {
    let db = test_db().await;
    given_pending(&db.pool, "a").await;
    let insert = |rows: &str| {
        format!(
            "INSERT INTO tenantd.tenants (external_id, host) VALUES {rows} ON CONFLICT (external_id) DO NOTHING"
        )
    };

    let refused = run(&db.pool, &insert("('b', 'b.us.qlikcloud.com'), ('c', 'C.us.qlikcloud.com')")).await;
    assert_eq!(Refused::from(&refused.unwrap_err()).constraint.as_deref(), Some("host_has_no_upper_case"));
    assert_eq!(names(&db.pool).await, ["a"]);

    run(&db.pool, &insert("('a', 'a.us.qlikcloud.com'), ('b', 'b.us.qlikcloud.com')")).await.unwrap();
    assert_eq!(names(&db.pool).await, ["a", "b"]);
}

/// What drivers and mappers do by themselves.
#[tokio::test]
async fn a_pipeline_reads_back_the_whole_row_that_it_wrote() {
    let db = test_db_with_roles().await;
    let pipeline = pool_as(PIPELINE, &db.url).await;
    let limit = "2030-01-01T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let uris = vec!["https://c.example/cb".to_owned(), "https://d.example/cb".to_owned()];

    let row = sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host, redirect_uris, labels, not_before, priority)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
    )
    .bind("customer-1")
    .bind("c1.us.qlikcloud.com")
    .bind(&uris)
    .bind(serde_json::json!({"plan": "gold"}))
    .bind(limit)
    .bind(7)
    .fetch_one(&pipeline)
    .await
    .unwrap();

    assert_eq!((row.get("external_id"), row.get("phase")), ("customer-1", "pending"));
    assert_eq!(row.get::<Vec<String>, _>("redirect_uris"), uris);
    assert_eq!(row.get::<serde_json::Value, _>("labels"), serde_json::json!({"plan": "gold"}));
    assert_eq!(row.get::<chrono::DateTime<chrono::Utc>, _>("not_before"), limit);
    assert_eq!(row.get::<i32, _>("priority"), 7);
    // Python knows no instant without an end.
    let endless: bool =
        sqlx::query_scalar("SELECT to_jsonb(t)::text LIKE '%infinity%' FROM tenantd.tenants AS t")
            .fetch_one(&pipeline)
            .await
            .unwrap();
    assert!(!endless);
    // What a mapper asks the catalog for the key of a new row, with these rights.
    let key: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns
          WHERE table_schema = 'tenantd' AND table_name = 'tenants' AND column_default = 'gen_random_uuid()'",
    )
    .fetch_all(&pipeline)
    .await
    .unwrap();
    assert_eq!(key, ["tenant_id"]);
}

/// From a pending row to a rotated one.
#[tokio::test(flavor = "multi_thread")]
async fn no_commit_of_the_daemon_fires_the_check() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    run(
        rig.pool(),
        "CREATE OR REPLACE FUNCTION tenantd.check_wants() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'the check was fired'; END $$",
    )
    .await
    .unwrap();

    rig.work_until_quiet(&replica).await;
    // As a renewal by age does.
    run(rig.pool(), "UPDATE tenantd.tenants SET current_version = 3").await.unwrap();
    replica.store.rotate("acme").await.unwrap().unwrap();
    rig.work_until_quiet(&replica).await;

    let versions: (i32, i32) = sqlx::query_as("SELECT current_version, desired_version FROM tenantd.tenants")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert_eq!(versions, (4, 4));
    let refused = run(rig.pool(), "UPDATE tenantd.tenants SET priority = 1").await.unwrap_err().to_string();
    assert!(refused.contains("the check was fired"), "an owner's edit does: {refused}");
}

/// A database of this schema as it was before the migration, and that migration.
async fn before() -> (TestDb, String) {
    let db = test_db().await;
    run(&db.pool, "DROP SCHEMA tenantd CASCADE; CREATE SCHEMA tenantd").await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        if name.starts_with(MADE_PLAIN) {
            return (db, text);
        }
        run(&db.pool, &text).await.unwrap();
    }
    panic!("there is no migration {MADE_PLAIN}");
}

const FILL: &str = "
    INSERT INTO tenantd.tenants (external_id, host, profile, client_name, redirect_uris, desired_version, priority,
                                 not_before, labels)
    SELECT 'full-' || n, 'full-' || n || '.us.qlikcloud.com', 'other', 'Portal', '{https://a.example,http://localhost}',
           n, n, '2030-01-01Z', '{\"plan\": [\"gold\"]}'
      FROM generate_series(1, 100) AS n;
    INSERT INTO tenantd.tenants (external_id, host, desired_state) VALUES ('gone', 'gone.us.qlikcloud.com', 'absent');
    UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'going';
    CREATE VIEW public.of_ours AS SELECT external_id, labels FROM tenantd.status;
    GRANT SELECT (external_id) ON tenantd.status TO pg_monitor;
    GRANT SELECT ON tenantd.credentials TO pg_monitor;";

/// What nobody may lose: rows, what the views show and to whom, and the file of the table.
async fn state(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT (to_jsonb(t) - 'claim_rank')::text FROM tenantd.tenants AS t
         UNION ALL SELECT to_jsonb(s)::text FROM tenantd.status AS s
         UNION ALL SELECT to_jsonb(c)::text FROM tenantd.credentials AS c
         UNION ALL SELECT to_jsonb(o)::text FROM public.of_ours AS o
         UNION ALL SELECT concat_ws(' ', relname, relacl::text, attname, attacl::text, reloptions::text,
                                    format_type(atttypid, NULL), col_description(attrelid, attnum))
                     FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
                    WHERE pg_class.oid IN ('tenantd.status'::regclass, 'tenantd.credentials'::regclass) AND attnum > 0
         UNION ALL SELECT 'file ' || pg_relation_filenode(oid) FROM pg_class
                    WHERE oid IN ('tenantd.tenants'::regclass, 'tenantd.tenants_pkey'::regclass,
                                  'tenantd.external_id_is_unique'::regclass, 'tenantd.host_is_unique'::regclass)
         UNION ALL SELECT concat_ws(' ', tgname, tgtype, tgattr, tgenabled) FROM pg_trigger
                    WHERE tgrelid = 'tenantd.tenants'::regclass AND NOT tgisinternal AND tgname NOT LIKE 'accept_checked_%'
         UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint
                    WHERE conrelid = 'tenantd.tenants'::regclass AND conname <> 'nothing_waits_for_ever_in_silence'
         ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_filled_database_keeps_every_row_view_and_right_and_no_row_is_written() {
    let (db, migration) = before().await;
    given_pending(&db.pool, "pending").await;
    for name in ["ready", "going"] {
        given_ready(&db.pool, name).await;
    }
    run(&db.pool, FILL).await.unwrap();
    let before = state(&db.pool).await;
    let mut apart = PgConnection::connect(&db.url).await.unwrap();

    let mut migrating = apart.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(migration)).execute(&mut *migrating).await.unwrap();
    migrating.commit().await.unwrap();

    let after = state(&db.pool).await;
    assert!(before.len() > 300, "{}", before.len());
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(was, is);
    }
    assert_eq!(before.len(), after.len());
    let plain: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s %s', attname, format_type(atttypid, NULL)) FROM pg_attribute
          WHERE attrelid = 'tenantd.tenants'::regclass AND attnum BETWEEN 2 AND 11 ORDER BY attnum",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();
    assert_eq!(plain, PLAIN);
}

const PLAIN: [&str; 10] = [
    "external_id text",
    "host text",
    "profile text",
    "client_name text",
    "redirect_uris text[]",
    "desired_state text",
    "desired_version integer",
    "priority integer",
    "not_before timestamp with time zone",
    "labels jsonb",
];

/// Functions of ours that a statement called for each row; of each how often.
async fn called(db: &TestDb, statement: &str) -> Vec<(String, i64)> {
    // A session counts on until it has told the server.
    let mut connection = PgConnection::connect(&db.url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("SET LOCAL track_functions = 'all'").execute(&mut *transaction).await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *transaction).await.unwrap();
    let calls = "SELECT funcname::text, calls FROM pg_stat_xact_user_functions
                  WHERE schemaname = 'tenantd' AND calls > 1 ORDER BY 1";
    let called = sqlx::query_as(calls).fetch_all(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    called
}

/// A million of them would call as many.
#[tokio::test]
async fn a_row_that_is_plainly_right_calls_no_function_and_any_other_those_that_it_needs() {
    let db = test_db().await;
    let insert = |name: &str, columns: &str, values: &str| {
        format!(
            "INSERT INTO tenantd.tenants (external_id, host{columns})
             SELECT '{name}' || n, '{name}-' || n || '.us.qlikcloud.com'{values} FROM generate_series(1, 9) AS n"
        )
    };

    assert_eq!(called(&db, &insert("a", "", "")).await, []);
    assert_eq!(called(&db, &insert("b", ", labels", ", '{\"plan\": \"gold\"}'")).await, []);
    let edit = "UPDATE tenantd.tenants SET labels = '{\"plan\": \"tin\"}'";
    assert_eq!(called(&db, edit).await, [("note_edit".to_owned(), 18)]);

    let many = format!(", jsonb_build_object('a', '{}')", "x".repeat(100));
    let checked = ("check_wants".to_owned(), 9);
    assert_eq!(called(&db, &insert("c", ", labels", &many)).await, std::slice::from_ref(&checked));
    let asked = called(&db, &insert("d", ", desired_version", ", 2")).await;
    assert!(asked.contains(&checked) && asked.contains(&("accept_insert".to_owned(), 9)), "{asked:?}");
    run(&db.pool, "INSERT INTO tenantd.former_tenants (external_id, next_version) VALUES ('e3', 5)")
        .await
        .unwrap();
    let asked = called(&db, &insert("e", "", "")).await;
    assert!(asked.contains(&("accept_insert".to_owned(), 9)), "{asked:?}");
    let versions =
        "SELECT desired_version FROM tenantd.tenants WHERE external_id IN ('e2', 'e3') ORDER BY external_id";
    let versions: Vec<i32> = sqlx::query_scalar(versions).fetch_all(&db.pool).await.unwrap();
    assert_eq!(versions, [1, 5]);
    run(&db.pool, "UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'a1'")
        .await
        .unwrap();
    let asked = called(&db, &insert("f", "", "")).await;
    assert!(asked.contains(&("refuse_host_of_removed".to_owned(), 9)), "{asked:?}");
}
