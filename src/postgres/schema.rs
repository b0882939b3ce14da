//! What the schema is, without changing it.
//!
//! The rule: a newer schema is accepted, so that the previous binary runs on it
//! during an upgrade; a missing migration is not. The migrator's own table lives
//! in `tenantd` too.

use std::borrow::Cow;

use sqlx::PgExecutor;
use sqlx::migrate::Migrator;

use super::error::Meaning;

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

/// The migrations of this version.
pub(super) fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.set_ignore_missing(true).set_locking(false);
    migrator.table_name = Cow::Borrowed("tenantd._sqlx_migrations");
    migrator
}

/// Every migration of this version, and whether the database has it.
///
/// # Errors
///
/// The driver's, except that a schema which is not there reads as nothing applied.
pub async fn steps<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<Step>, sqlx::Error> {
    let applied = sqlx::query_scalar::<_, i64>(
        "-- migrations.list\nSELECT version FROM tenantd._sqlx_migrations WHERE success ORDER BY version",
    )
    .fetch_all(executor)
    .await;
    match applied {
        Err(error) if Meaning::of(&error) == Meaning::SchemaMissing => Ok(of_this_version(&[])),
        other => other.map(|applied| of_this_version(&applied)),
    }
}

/// The migrations that the database has and this version does not know: of a newer one.
///
/// # Errors
///
/// The driver's, except that a schema which is not there has none.
pub async fn beyond<'c>(executor: impl PgExecutor<'c>) -> Result<Vec<i64>, sqlx::Error> {
    let known: Vec<i64> = of_this_version(&[]).iter().map(|step| step.version).collect();
    let beyond = sqlx::query_scalar::<_, i64>(
        "-- migrations.beyond
         SELECT version FROM tenantd._sqlx_migrations WHERE success AND version <> ALL ($1) ORDER BY version",
    )
    .bind(known)
    .fetch_all(executor)
    .await;
    match beyond {
        Err(error) if Meaning::of(&error) == Meaning::SchemaMissing => Ok(Vec::new()),
        other => other,
    }
}

/// The same for a database that has these.
pub(super) fn of_this_version(applied: &[i64]) -> Vec<Step> {
    let step = |m: &sqlx::migrate::Migration| Step {
        version: m.version,
        description: m.description.to_string(),
        is_applied: applied.contains(&m.version),
    };
    migrator().iter().filter(|m| m.migration_type.is_up_migration()).map(step).collect()
}

/// The database's encoding, where it is not the one that all of our text is in: in any
/// other a byte may be stored that no reader can make sense of.
///
/// # Errors
///
/// The driver's.
pub async fn other_encoding<'c>(executor: impl PgExecutor<'c>) -> Result<Option<String>, sqlx::Error> {
    let encoding: String =
        sqlx::query_scalar("-- database.encoding\nSELECT current_setting('server_encoding')")
            .fetch_one(executor)
            .await?;
    Ok(Some(encoding).filter(|encoding| encoding != "UTF8"))
}
