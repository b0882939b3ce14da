//! What `tenantd doctor` asks of the database.
//!
//! The rule: nothing here writes, and what is asked before the schema is known to
//! be there works without it.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::ids::{KeyId, RegionName};
use crate::postgres::{Store, StoreError};

/// Hosts looked at for one that a region's credential can be tried on.
const HOSTS: i64 = 50;

/// Who we are to the server, and what we may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The role.
    pub role: String,
    /// Whether nothing is forbidden to it.
    pub is_superuser: bool,
    /// Whether it may do the daemon's work; `None` without a schema.
    pub may_work: Option<bool>,
}

/// Our role and its rights.
///
/// # Errors
///
/// [`StoreError::Driver`].
pub async fn rights<'c>(executor: impl PgExecutor<'c>) -> Result<Rights, StoreError> {
    Ok(sqlx::query_as!(
        Rights,
        r#"
        -- roles.rights
        SELECT current_user::text AS "role!",
               (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS "is_superuser!",
               has_any_column_privilege(to_regclass('tenantd.tenants')::oid, 'SELECT')
               AND has_any_column_privilege(to_regclass('tenantd.tenants')::oid, 'UPDATE')
               AND has_any_column_privilege(to_regclass('tenantd.secrets')::oid, 'INSERT')
               AND has_any_column_privilege(to_regclass('tenantd.attempts')::oid, 'INSERT') AS may_work
        "#
    )
    .fetch_one(executor)
    .await?)
}

/// The server's clock, with or without a schema.
///
/// # Errors
///
/// [`StoreError::Driver`].
pub async fn server_clock<'c>(executor: impl PgExecutor<'c>) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        -- server.clock
        SELECT clock_timestamp() AS "now!"
        "#
    )
    .fetch_one(executor)
    .await?)
}

impl Store {
    /// The keys that stored secrets are sealed by, and how many each.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn sealing_keys(&self) -> Result<Vec<(KeyId, i64)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            -- secrets.keys
            SELECT key_id, count(*) AS "secrets!" FROM tenantd.secrets GROUP BY key_id ORDER BY key_id
            "#
        )
        .fetch_all(&self.patient)
        .await?;
        Ok(rows.into_iter().map(|row| (KeyId::new(row.key_id), row.secrets)).collect())
    }

    /// A few hosts that may be of this region: what was sorted into it before, and
    /// what lies under one of these parents. Those that worked come first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn hosts_of(&self, region: &RegionName, parents: &[String]) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            -- tenants.hosts_of_region
            SELECT host
              FROM tenantd.tenants
             WHERE (region = $1 OR substr(host, strpos(host, '.') + 1) = ANY ($2))
               AND desired_state = 'present'
             ORDER BY ready_at IS NULL, parked_reason IS NOT NULL, created_at
             LIMIT $3
            "#,
            region.as_str(),
            parents,
            HOSTS
        )
        .fetch_all(&self.connections)
        .await?)
    }
}
