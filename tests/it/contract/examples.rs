//! The examples for pipelines, run as they stand and with a pipeline's rights.

use sqlx::{PgPool, Row as _};

use crate::support::postgres::TestDb;
use crate::support::roles::{PIPELINE, pool_as, test_db_with_roles};

use super::given_ready;

const ONBOARD: &str = include_str!("../../../examples/pipelines/onboard.sql");
const ROTATE: &str = include_str!("../../../examples/pipelines/rotate.sql");
const REMOVE: &str = include_str!("../../../examples/pipelines/remove.sql");
const WATCH: &str = include_str!("../../../examples/pipelines/watch.sql");

/// A database in which the pipeline also has a table of its own.
async fn oem() -> (TestDb, PgPool) {
    let db = test_db_with_roles().await;
    sqlx::raw_sql(
        "CREATE TABLE public.customers (customer_id text PRIMARY KEY, name text NOT NULL);
         GRANT SELECT, INSERT ON public.customers TO tenantd_pipeline",
    )
    .execute(&db.pool)
    .await
    .unwrap();
    let pipeline = pool_as(PIPELINE, &db.url).await;
    (db, pipeline)
}

async fn count(pool: &PgPool, of: &'static str) -> i64 {
    sqlx::query_scalar(of).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn onboarding_twice_is_harmless() {
    let (db, pipeline) = oem().await;

    sqlx::raw_sql(ONBOARD).execute(&pipeline).await.unwrap();
    sqlx::raw_sql(ONBOARD).execute(&pipeline).await.unwrap();

    assert_eq!(count(&db.pool, "SELECT count(*) FROM tenantd.tenants").await, 1);
    assert_eq!(count(&db.pool, "SELECT count(*) FROM public.customers").await, 1);
}

#[tokio::test]
async fn a_customer_and_its_tenant_are_born_together_or_not_at_all() {
    let (db, pipeline) = oem().await;
    let broken = ONBOARD.replace("COMMIT;", "SELECT 1 / 0; COMMIT;");

    let failed = sqlx::raw_sql(sqlx::AssertSqlSafe(broken)).execute(&pipeline).await;

    assert!(failed.is_err());
    assert_eq!(count(&db.pool, "SELECT count(*) FROM tenantd.tenants").await, 0);
    assert_eq!(count(&db.pool, "SELECT count(*) FROM public.customers").await, 0);
}

#[tokio::test]
async fn rotating_asks_for_one_version_more() {
    let (db, pipeline) = oem().await;
    given_ready(&db.pool, "customer-42").await;

    sqlx::raw_sql(ROTATE).execute(&pipeline).await.unwrap();

    assert_eq!(count(&db.pool, "SELECT desired_version::bigint FROM tenantd.tenants").await, 2);
}

#[tokio::test]
async fn removing_hides_the_credential_at_once_and_is_harmless_twice() {
    let (db, pipeline) = oem().await;
    given_ready(&db.pool, "customer-42").await;

    sqlx::raw_sql(REMOVE).execute(&pipeline).await.unwrap();
    sqlx::raw_sql(REMOVE).execute(&pipeline).await.unwrap();

    assert_eq!(count(&db.pool, "SELECT count(*) FROM tenantd.credentials").await, 0);
    assert_eq!(count(&db.pool, "SELECT count(*) FROM tenantd.tenants").await, 1);
}

#[tokio::test]
async fn watching_shows_where_the_customer_stands() {
    let (_db, pipeline) = oem().await;
    sqlx::raw_sql(ONBOARD).execute(&pipeline).await.unwrap();

    let rows = sqlx::raw_sql(WATCH).fetch_all(&pipeline).await.unwrap();

    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<String, _>("reason"), "Queued");
    assert!(!rows[0].get::<bool, _>("ready"));
}
