//! `docs/schema.sql` is the schema as it stands.
//!
//! The rule: it is held to a migrated database by what it makes, not by how a version of
//! Postgres writes it, so that every server that tests run on comes to the same verdict.

mod describe;

use std::path::PathBuf;

use sqlx::AssertSqlSafe;

use crate::support::postgres::{empty_db, test_db};
use describe::{FORGOTTEN, describe};

/// Set by `make schema`.
const WRITE: &str = "WRITE_SCHEMA";
const REMEDY: &str = "docs/schema.sql is not current: run `make schema` and commit it";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/schema.sql")
}

/// A line without its comment, and its comment.
fn split(line: &str) -> (&str, Option<&str>) {
    line.split_once("-- ").map_or((line, None), |(code, comment)| (code, Some(comment)))
}

fn code(text: &str) -> Vec<&str> {
    text.lines().map(|line| split(line).0.trim_end()).filter(|code| !code.is_empty()).collect()
}

fn comments(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| split(line).1).collect()
}

fn assert_same(written: &[&str], now: &[&str]) {
    let at = written.iter().zip(now).take_while(|(written, now)| written == now).count();
    assert!(written == now, "{REMEDY}\nwritten: {:?}\nnow:     {:?}", written.get(at), now.get(at));
}

#[tokio::test]
async fn the_schema_in_the_documents_is_that_of_a_migrated_database() {
    let (migrated, loaded) = (test_db().await, empty_db().await);
    let now = describe(&migrated.pool).await;
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path(), &now).unwrap();
    }

    let written = std::fs::read_to_string(path()).unwrap_or_default();
    let made = sqlx::raw_sql(AssertSqlSafe(written.clone())).execute(&loaded.pool).await;
    assert!(made.is_ok(), "{REMEDY}\n{made:?}");

    assert_same(&code(&describe(&loaded.pool).await), &code(&now));
    assert_same(&comments(&written), &comments(&now));
}

/// What belongs to a life, such as what was acknowledged in it, is put back where the next one begins.
#[tokio::test]
async fn a_new_life_begins_in_one_function() {
    let db = test_db().await;
    let begins = "SELECT proname::text FROM pg_proc
                   WHERE pronamespace = 'tenantd'::regnamespace AND prosrc LIKE '%phase := ''pending''%'";
    let functions: Vec<String> = sqlx::query_scalar(begins).fetch_all(&db.pool).await.unwrap();
    let queries = std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".sqlx")).unwrap();
    let queries: Vec<String> =
        queries.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();

    assert_eq!(functions, ["accept_update"]);
    assert!(queries.len() > 100, "{}", queries.len());
    for query in queries {
        let sets = query.contains("SET phase = 'pending'") || query.contains("phase = 'pending',");
        assert!(!sets, "it begins a new life by itself: {query}");
    }
}

#[tokio::test]
async fn nothing_of_the_schema_is_left_out_of_the_documents() {
    let db = test_db().await;
    let forgotten =
        async || -> Vec<String> { sqlx::query_scalar(FORGOTTEN).fetch_all(&db.pool).await.unwrap() };

    let as_it_is = forgotten().await;
    sqlx::raw_sql("CREATE TYPE tenantd.mood AS ENUM ('calm'); CREATE SEQUENCE tenantd.numbers")
        .execute(&db.pool)
        .await
        .unwrap();

    assert!(as_it_is.is_empty(), "describe.rs says nothing of {as_it_is:?}");
    assert_eq!(forgotten().await, ["numbers", "mood"]);
}
