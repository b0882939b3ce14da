//! What an owner asks for, by hand: another secret, or no client at all.
//!
//! The rule: these write what a pipeline may write, and the triggers of the schema
//! draw the conclusions, so that both are the same request.

use sqlx::PgExecutor;

use crate::domain::ids::TenantId;
use crate::postgres::connections::Link;
use crate::postgres::{Store, StoreError};

/// A row that stays as it is until the transaction ends.
#[derive(Debug, Clone)]
pub(super) struct Locked {
    pub(super) tenant: TenantId,
    pub(super) phase: String,
    pub(super) is_wanted: bool,
    pub(super) is_leased: bool,
    pub(super) parked_reason: Option<String>,
}

/// A row that was asked to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwanted {
    /// Its phase now: `removed` where nothing was ever sent.
    pub phase: String,
    /// The removal waits for the budget.
    pub awaits_budget: bool,
}

impl Store {
    /// Asks for one version more than there is or is coming. Returns which, and `None`
    /// for a tenant that has no secret to rotate or is to have none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn rotate(&self, external_id: &str) -> Result<Option<i32>, StoreError> {
        rotate(&self.connections, external_id).await
    }

    /// Asks for a tenant's removal. `None` where it was asked for already, or there is
    /// no such tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn remove(&self, external_id: &str) -> Result<Option<Unwanted>, StoreError> {
        remove(&self.connections, external_id).await
    }
}

/// Locks a row, and says what a later statement of the transaction may rely on.
///
/// A statement that waited for the lock itself would still see the secrets as they
/// were before it waited.
pub(super) async fn lock(connection: &mut Link, external_id: &str) -> Result<Option<Locked>, StoreError> {
    let row = sqlx::query!(
        r#"
        -- tenants.lock
        SELECT tenant_id, phase, parked_reason,
               desired_state = 'present' AS "is_wanted!",
               tenantd.is_leased(t) AS "is_leased!"
          FROM tenantd.tenants AS t
         WHERE external_id = $1
           FOR UPDATE
        "#,
        external_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Locked {
        tenant: TenantId(row.tenant_id),
        phase: row.phase,
        is_wanted: row.is_wanted,
        is_leased: row.is_leased,
        parked_reason: row.parked_reason,
    }))
}

/// [`Store::rotate`], in a transaction or alone.
pub(super) async fn rotate<'c>(
    executor: impl PgExecutor<'c>,
    external_id: &str,
) -> Result<Option<i32>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        -- tenants.rotate
        UPDATE tenantd.tenants
           SET desired_version = tenantd.version_after(greatest(desired_version, last_version, current_version))
         WHERE external_id = $1
           AND desired_state = 'present'
           AND current_version IS NOT NULL
           AND phase <> 'removing'
        RETURNING desired_version
        "#,
        external_id
    )
    .fetch_optional(executor)
    .await?)
}

/// [`Store::remove`], in a transaction or alone.
pub(super) async fn remove<'c>(
    executor: impl PgExecutor<'c>,
    external_id: &str,
) -> Result<Option<Unwanted>, StoreError> {
    Ok(sqlx::query_as!(
        Unwanted,
        r#"
        -- tenants.remove
        UPDATE tenantd.tenants
           SET desired_state = 'absent'
         WHERE external_id = $1 AND desired_state = 'present'
        RETURNING phase, phase NOT IN ('removing', 'removed') AND removal_admitted_at IS NULL AS "awaits_budget!"
        "#,
        external_id
    )
    .fetch_optional(executor)
    .await?)
}
