//! The census's share of the change budget.
//!
//! The rule: what may be done is written down before it is done, and counted from what
//! is written, so that neither a restart nor a second process spends it twice.

use super::budget::lock_changes;
use crate::domain::ids::TenantId;
use crate::postgres::{Store, StoreError};

impl Store {
    /// Takes one change out of the hour's budget, which all kinds that the daemon or a plan
    /// starts share. False, and nothing written, when it is spent.
    ///
    /// Of one kind only one caller counts at a time: the row of `tenantd.rollouts` is locked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn spend_change(
        &self,
        kind: &str,
        tenant: TenantId,
        per_hour: u32,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.connections.begin().await?;
        lock_changes(&mut transaction).await?;
        // A statement of its own: it must see what the last holder of the lock wrote.
        let spent = sqlx::query!(
            r#"
            -- changes.spend
            INSERT INTO tenantd.changes (kind, tenant_id, started_at, ended_at, outcome)
            SELECT $1, $2, tenantd.clock(), tenantd.clock(), 'done'
             WHERE (SELECT count(*)
                      FROM tenantd.changes
                     WHERE kind IN ('rotation', 'repair', 'census')
                       AND started_at > tenantd.clock() - interval '1 hour') < $3
            "#,
            kind,
            tenant.0,
            i64::from(per_hour)
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(spent.rows_affected() == 1)
    }
}
