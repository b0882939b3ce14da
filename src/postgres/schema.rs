//! The schema's migrations.
//!
//! The rule: a newer schema is accepted, so that the previous binary runs on it
//! during an upgrade; a missing migration is not. The migrator's own table lives
//! in `tenantd` too.

use std::borrow::Cow;

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

const TABLE: &str = "tenantd._sqlx_migrations";

/// One migration of this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number, which is its instant of writing.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// Whether the database has it.
    pub is_applied: bool,
}

/// Brings the schema up to this version.
///
/// # Errors
///
/// [`MigrateError`], when a migration was changed after it ran or the database refuses.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    migrator().run(pool).await
}

/// Every migration of this version, and whether the database has it.
///
/// # Errors
///
/// The driver's, except that a schema which is not there reads as nothing applied.
pub async fn steps(pool: &PgPool) -> Result<Vec<Step>, sqlx::Error> {
    let applied = sqlx::query_scalar::<_, i64>(
        "-- migrations.list\nSELECT version FROM tenantd._sqlx_migrations WHERE success ORDER BY version",
    )
    .fetch_all(pool)
    .await;
    let applied = match applied {
        Err(error) if super::error::is_schema_missing(&error) => Vec::new(),
        other => other?,
    };
    let step = |m: &sqlx::migrate::Migration| Step {
        version: m.version,
        description: m.description.to_string(),
        is_applied: applied.contains(&m.version),
    };
    Ok(migrator().iter().filter(|m| m.migration_type.is_up_migration()).map(step).collect())
}

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.set_ignore_missing(true);
    migrator.create_schemas = Cow::Owned(vec![Cow::Borrowed("tenantd")]);
    migrator.table_name = Cow::Borrowed(TABLE);
    migrator
}
