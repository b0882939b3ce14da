//! A row that cannot be read or written harms only itself.
//!
//! The rule: what is written about it names no column that may be the cause: reason,
//! message, and when to go on, which is never.

use std::time::Duration;

use sqlx::types::Uuid;

use super::claim::ClaimTerms;
use crate::domain::ids::TenantId;
use crate::domain::phase::Phase;
use crate::postgres::{Store, StoreError, interval};

impl Store {
    /// Parks a row as a defect and ends the lease of `epoch` on it; without one, only a row
    /// that nobody holds. `settle` is how long what may have been sent may still land.
    /// Returns whether it was parked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.tenants.park_defect", skip_all, fields(tenant.id = %tenant))]
    pub async fn park_defect(
        &self,
        tenant: TenantId,
        epoch: Option<i64>,
        settle: Duration,
        message: &str,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"
            -- tenants.park_defect
            UPDATE tenantd.tenants AS t
               SET parked_reason = 'Defect',
                   message = $3,
                   wait_reason = NULL,
                   reason_since = tenantd.clock(),
                   due_at = NULL,
                   rested_at = tenantd.clock(),
                   rests_for = 'human',
                   settles_at = CASE WHEN unanswered IS NOT NULL THEN tenantd.clock() + $4::interval END,
                   lease_holder = NULL,
                   leased_at = NULL,
                   lease_expires_at = NULL,
                   updated_at = tenantd.clock()
             WHERE tenant_id = $1
               -- One that is parked and was woken is laid to rest again.
               AND (parked_reason IS NULL OR due_at IS NOT NULL)
               AND CASE WHEN $2::bigint IS NULL THEN NOT tenantd.is_leased(t)
                        ELSE lease_epoch = $2
                             AND rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i) END
            "#,
            tenant.0,
            epoch,
            message,
            interval(settle) as _
        )
        .execute(&self.connections)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The rows that a claim would take, by their ids alone: on the claim's own conditions,
    /// or what cannot be claimed would stand before those that can.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn due_ids(&self, terms: &ClaimTerms, limit: usize) -> Result<Vec<TenantId>, StoreError> {
        let ids = sqlx::query_scalar!(
            r#"
            -- tenants.due_ids
            SELECT tenant_id
              FROM tenantd.tenants AS t
             WHERE t.region = ANY ($2::text[] || ''::text)
               AND NOT EXISTS (
                   SELECT FROM tenantd.regions AS b WHERE b.region = t.region AND b.opened_at IS NOT NULL)
               AND NOT EXISTS (
                   SELECT FROM tenantd.pauses AS p
                    WHERE p.region IN ('*', t.region)
                      AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
               AND t.due_at <= tenantd.clock()
               AND t.phase = ANY ($3::text[])
               AND (t.rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i) OR t.lease_epoch = 0)
               AND NOT tenantd.is_leased(t)
             ORDER BY t.due_at
             LIMIT $1
            "#,
            i64::try_from(limit).unwrap_or(i64::MAX),
            terms.regions(),
            &Phase::ALL.map(|phase| phase.as_str().to_owned()) as &[String]
        )
        .fetch_all(&self.connections)
        .await?;
        Ok(ids.into_iter().map(|id: Uuid| TenantId(id)).collect())
    }
}
