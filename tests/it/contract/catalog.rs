//! The schema explains itself, and no caller's settings change what it does.

use std::path::Path;

use sqlx::PgPool;
use tenantd::domain::machine::effect::EffectKind;

use crate::support::postgres::test_db;

/// The names that a query finds at fault.
async fn faults(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn every_table_view_and_column_has_a_comment() {
    let db = test_db().await;

    let relations = faults(
        &db.pool,
        "SELECT relname::text FROM pg_class
          WHERE relnamespace = 'tenantd'::regnamespace AND relkind IN ('r', 'v') AND relname <> '_sqlx_migrations'
            AND coalesce(obj_description(oid, 'pg_class'), '') = ''",
    )
    .await;
    let columns = faults(
        &db.pool,
        "SELECT relname || '.' || attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
          WHERE relnamespace = 'tenantd'::regnamespace AND relkind IN ('r', 'v') AND relname <> '_sqlx_migrations'
            AND attnum > 0 AND NOT attisdropped
            AND coalesce(col_description(attrelid, attnum), '') = ''",
    )
    .await;

    assert!(relations.is_empty() && columns.is_empty(), "no comment on {relations:?} {columns:?}");
}

/// Whoever reads the history in psql has no glossary at hand.
#[tokio::test]
async fn the_history_names_every_effect() {
    let db = test_db().await;

    let said: String = sqlx::query_scalar(
        "SELECT col_description(attrelid, attnum) FROM pg_attribute
          WHERE attrelid = 'tenantd.attempts'::regclass AND attname = 'effect'",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();

    let named: Vec<&str> = said.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for effect in EffectKind::ALL {
        assert!(named.contains(&effect.as_str()), "{effect} is missing in: {said}");
    }
}

/// Drivers stumble over types that only this schema has.
#[tokio::test]
async fn the_schema_has_no_type_of_its_own() {
    let db = test_db().await;

    let own = faults(
        &db.pool,
        "SELECT typname::text FROM pg_type AS t
          WHERE typnamespace = 'tenantd'::regnamespace AND typtype <> 'c' AND typelem = 0",
    )
    .await;

    assert!(own.is_empty(), "{own:?}");
}

/// A commit writes none of the owner's columns, but Postgres would prepare their checks
/// for it all the same if they stood on the table.
#[tokio::test]
async fn what_only_the_owner_writes_is_checked_by_no_check_of_the_table() {
    let db = test_db().await;

    let on_the_table = faults(
        &db.pool,
        "SELECT conname::text FROM pg_constraint
          WHERE conrelid = 'tenantd.tenants'::regclass AND contype = 'c'
            AND conkey <@ ARRAY(SELECT attnum FROM pg_attribute
                                 WHERE attrelid = conrelid
                                   AND attname IN ('external_id', 'host', 'profile', 'client_name', 'redirect_uris',
                                                   'desired_state', 'desired_version', 'priority', 'not_before',
                                                   'labels'))",
    )
    .await;

    assert!(on_the_table.is_empty(), "{on_the_table:?}");
}

/// A body in SQL that is parsed when it is made is bound then; any other pins its `search_path`, but
/// for those that name nothing without its schema: one that is called for each row of a bulk edit,
/// and those that take a row, which are put into the statement that asks.
#[tokio::test]
async fn no_function_of_the_schema_looks_names_up_in_a_callers_search_path() {
    let db = test_db().await;

    let loose = faults(
        &db.pool,
        "SELECT proname::text FROM pg_proc
          WHERE pronamespace = 'tenantd'::regnamespace
            AND prosqlbody IS NULL
            AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']
            AND regexp_replace(prosrc, '\\s+', ' ', 'g') <> ' BEGIN NEW.updated_at := tenantd.clock(); RETURN NEW; END '
            -- Without operators and calls that have their schema there is none left.
            AND NOT (pronargs = 1 AND proargtypes[0] = (SELECT reltype FROM pg_class WHERE oid = 'tenantd.tenants'::regclass)
                     AND regexp_replace(prosrc, 'OPERATOR[(]pg_catalog[.][<>=]+[)]|tenantd[.][a-z_]+[(]', '', 'g')
                         !~ '[<>=+*/~!@#%^&|?-]|[a-z_][(]')",
    )
    .await;
    let definers = faults(
        &db.pool,
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'tenantd'::regnamespace AND prosecdef ORDER BY 1",
    )
    .await;

    assert!(loose.is_empty(), "{loose:?}");
    let expected = [
        "acknowledge",
        "await_anew",
        "await_inserted",
        "count_class",
        "count_none",
        "count_rows",
        "is_unlooked",
        "look_back",
        "next_version_of",
        "refuse_forgotten_versions",
        "refuse_host_of_removed",
        "remember_versions",
    ];
    assert_eq!(definers, expected, "only these run with their owner's rights");
}

/// Since its releases of November 2026 Postgres alters no table whose row such a function takes.
#[tokio::test]
async fn no_function_with_a_parsed_body_takes_a_row() {
    let db = test_db().await;

    let parsed = faults(
        &db.pool,
        "SELECT p.oid::regprocedure::text FROM pg_proc AS p
          WHERE p.pronamespace = 'tenantd'::regnamespace AND p.prosqlbody IS NOT NULL
            AND EXISTS (SELECT FROM pg_class AS c WHERE c.reltype = ANY (p.proargtypes) AND c.relkind = 'r')",
    )
    .await;

    assert!(parsed.is_empty(), "{parsed:?}");
}

#[test]
fn every_migration_says_why_which_locks_it_takes_and_whether_it_is_safe_while_running() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let header: String =
            text.lines().take_while(|line| line.starts_with("--")).collect::<Vec<_>>().join("\n");

        for word in ["-- Why", "-- Locks: ", "-- Safe while the previous version runs: "] {
            assert!(header.contains(word), "the header of {} lacks {word:?}", path.display());
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (number, words) = name.split_once('_').unwrap();
        assert!(number.len() == 14 && words.contains('_'), "{name} is no YYYYMMDDhhmmss_verb_noun");
        seen += 1;
    }
    assert!(seen >= 9, "only {seen} migrations were found");
}

/// A typographic character in a comment stops a database of another encoding half-way.
#[test]
fn all_sql_that_is_shipped_is_plain_ascii() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in ["migrations", "deploy/postgres", "examples/pipelines"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                let text = std::fs::read_to_string(&path).unwrap();
                let odd = text.lines().find(|line| !line.is_ascii());
                assert_eq!(odd, None, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 15, "only {seen} files were found");
}

/// An update touches every index as soon as one column that any of them names has changed,
/// in its condition too. What each step writes is named by the index of the due alone.
#[tokio::test]
async fn no_index_names_what_every_step_writes() {
    const STEPS: [&str; 12] = [
        "phase",
        "client_id",
        "unanswered",
        "wait_reason",
        "message",
        "reason_since",
        "failures",
        "progress_at",
        "lease_holder",
        "lease_step",
        "lease_expires_at",
        "updated_at",
    ];
    let db = test_db().await;

    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'tenantd' AND tablename = 'tenants'",
    )
    .fetch_all(&db.pool)
    .await
    .unwrap();

    assert!(indexes.len() > 5, "{indexes:?}");
    for (name, definition) in indexes {
        let words: Vec<_> = definition.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        let named: Vec<_> = STEPS.iter().filter(|column| words.contains(*column)).collect();
        assert!(named.is_empty(), "{name} names {named:?}");
    }
}
