//! Sealed secrets, read.
//!
//! Sealed text is stored in one place only: [`super::work::commit`]. A rollback exchanges two
//! that are there, [`super::operator::rekey`] puts the same plaintext under another key, and a
//! tenant that is forgotten loses them.

use super::{Store, StoreError};
use crate::domain::ids::TenantId;

/// A proven credential as consumers see it.
#[derive(Debug)]
pub struct Credential {
    /// The row.
    pub tenant_id: TenantId,
    /// Where the client lives.
    pub host: String,
    /// The client.
    pub client_id: String,
    /// Its version.
    pub version: i32,
    /// The compact JWE.
    pub sealed: String,
}

impl Store {
    /// The sealed text of a tenant's unproven secret.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.secrets.unproven", level = "debug", skip_all, fields(tenant.id = %tenant))]
    pub async fn unproven(&self, tenant: TenantId) -> Result<Option<String>, StoreError> {
        let sealed = sqlx::query_scalar!(
            r#"
            -- secrets.unproven
            SELECT sealed FROM tenantd.secrets WHERE tenant_id = $1 AND standing = 'unproven'
            "#,
            tenant.0
        )
        .fetch_optional(&self.connections);
        Ok(sealed.await?)
    }

    /// The current credential of a tenant, by the pipeline's key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn credential(&self, external_id: &str) -> Result<Option<Credential>, StoreError> {
        let row = sqlx::query!(
            r#"
            -- credentials.current
            SELECT tenant_id AS "tenant_id!", host AS "host!", client_id AS "client_id!", version AS "version!",
                   sealed AS "sealed!"
              FROM tenantd.credentials
             WHERE external_id = $1 AND stage = 'current'
            "#,
            external_id
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(row.map(|row| Credential {
            tenant_id: TenantId(row.tenant_id),
            host: row.host,
            client_id: row.client_id,
            version: row.version,
            sealed: row.sealed,
        }))
    }
}
