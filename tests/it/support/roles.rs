//! The roles of `deploy/postgres/roles.sql` on a test's database.
//!
//! Roles belong to the whole server and tests run side by side; the script itself
//! must bear that, so nothing here serialises it.

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::postgres::{TestDb, test_db};

/// The script as it ships.
pub(crate) const SCRIPT: &str = include_str!("../../../deploy/postgres/roles.sql");

/// Whoever inserts tenants.
pub(crate) const PIPELINE: &str = "tenantd_pipeline";
/// Whoever opens credentials.
pub(crate) const CONSUMER: &str = "tenantd_consumer";
/// Whoever provisions.
pub(crate) const DAEMON: &str = "tenantd_daemon";
/// Whoever looks on.
pub(crate) const OPERATOR: &str = "tenantd_operator";

/// A refusal of the database's, as programs see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The SQLSTATE.
    pub(crate) code: String,
    /// The constraint, where one spoke.
    pub(crate) constraint: Option<String>,
}

impl Refused {
    /// What the database said to a statement.
    pub(crate) fn from(error: &sqlx::Error) -> Self {
        let error = error.as_database_error().unwrap_or_else(|| panic!("not the database: {error}"));
        let code = error.code().unwrap_or_default().into_owned();
        Self { code, constraint: error.constraint().map(ToOwned::to_owned) }
    }
}

/// A fresh database with the roles' rights.
pub(crate) async fn test_db_with_roles() -> TestDb {
    let db = test_db().await;
    grant(&db.pool).await;
    db
}

/// Runs the script.
pub(crate) async fn grant(pool: &PgPool) {
    sqlx::raw_sql(SCRIPT).execute(pool).await.unwrap();
}

/// A pool whose every connection acts as `role`.
pub(crate) async fn pool_as(role: &'static str, url: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(4)
        .after_connect(move |connection, _| Box::pin(become_role(connection, role)))
        .connect(url)
        .await
        .unwrap()
}

async fn become_role(connection: &mut PgConnection, role: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!("SET ROLE {role}"))).execute(connection).await.map(drop)
}

/// Tries statements as `role` and takes them back. Returns how many rows were touched.
pub(crate) async fn try_as(pool: &PgPool, role: &'static str, sql: &str) -> Result<u64, Refused> {
    let mut transaction = pool.begin().await.unwrap();
    become_role(&mut transaction, role).await.unwrap();
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    done.map(|done| done.rows_affected()).map_err(|error| Refused::from(&error))
}
