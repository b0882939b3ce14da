//! A new client for a tenant whose client somebody deleted.
//!
//! The rule: only where the missing client was seen to be missing and the tenant is
//! parked for it; and a look comes before the create, because "missing" may be over.

use super::forget::shred;
use super::owner::lock;
use super::verbs::be_brief;
use crate::domain::ids::TenantId;
use crate::domain::reason::ParkReason;
use crate::postgres::connections::Link;
use crate::postgres::{Store, StoreError};

impl Store {
    /// Lets a tenant that is parked as `ClientMissing` get another client. Returns
    /// whether it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn recreate(&self, external_id: &str, asked: &str) -> Result<bool, StoreError> {
        let mut transaction = self.connections.begin().await?;
        be_brief(&mut transaction).await?;
        let Some(row) = lock(&mut transaction, external_id).await? else { return Ok(false) };
        let is_missing = row.parked_reason.as_deref() == Some(ParkReason::ClientMissing.as_str());
        if !is_missing || !row.is_wanted || row.is_leased {
            return Ok(false);
        }
        begin_anew(&mut transaction, row.tenant).await?;
        let secrets = shred(&mut transaction, row.tenant).await?;
        let message =
            format!("another client is to be made; secrets shredded: {secrets}; asked for by {asked}");
        self.record_in(&mut *transaction, row.tenant, "recreate", &message).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

async fn begin_anew(connection: &mut Link, tenant: TenantId) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"
        -- tenants.recreate
        WITH begun AS (
            UPDATE tenantd.tenants
               SET phase = 'creating',
                   left_clients = array_append(left_clients, client_id),
                   client_id = NULL,
                   unanswered = NULL,
                   settles_at = NULL,
                   mint_snapshot = NULL,
                   is_adopted = false,
                   is_minted_afresh = false,
                   must_look = true,
                   last_version = greatest(last_version, current_version),
                   current_version = NULL,
                   acknowledged_version = NULL,
                   applied_wants = NULL,
                   edited_at = NULL,
                   retire_at = NULL,
                   audit_at = NULL,
                   drift = '{}',
                   drifted_at = NULL,
                   repair_scope = NULL,
                   generation = generation + 1,
                   backoff_at = NULL,
                   parked_reason = NULL,
                   wait_reason = NULL,
                   message = NULL,
                   reason_since = tenantd.clock(),
                   failures = 0,
                   progress_at = tenantd.clock(),
                   proof_refused_at = NULL,
                   client_missing_at = NULL,
                   lease_holder = NULL,
                   leased_at = NULL,
                   lease_expires_at = NULL,
                   lease_epoch = lease_epoch + 1,
                   lease_step = 0,
                   updated_at = tenantd.clock()
             WHERE tenant_id = $1 AND parked_reason = 'ClientMissing'
            RETURNING tenant_id
        )
        SELECT count(*) AS "begun!" FROM begun
        "#,
        tenant.0
    )
    .fetch_one(connection)
    .await?;
    debug_assert_eq!(done.begun, 1, "the row is locked");
    Ok(())
}
