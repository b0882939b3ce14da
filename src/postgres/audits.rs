//! When each ready tenant is to be audited.
//!
//! The rule: nobody waits here with rows in hand, because an owner may hold one of
//! them and want another.

use std::time::Duration;

use super::{Store, StoreError, interval};

impl Store {
    /// Gives every ready tenant a moment for its audit, spread evenly over `every`;
    /// takes it away where audits are off. Returns how many rows it touched.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.audits.plan", level = "debug", skip_all)]
    pub async fn plan_audits(&self, every: Option<Duration>) -> Result<u64, StoreError> {
        let planned = sqlx::query!(
            r#"
            -- audits.plan
            UPDATE tenantd.tenants AS t
               SET audit_at = plan.audit_at,
                   due_at = CASE WHEN t.phase = 'ready' AND t.parked_reason IS NULL
                                 THEN least(t.due_at, plan.audit_at) ELSE t.due_at END
              FROM (SELECT x.tenant_id,
                           tenantd.clock() + $1::interval
                               * ((hashtextextended(x.tenant_id::text, 0) & 1048575) / 1048576.0) AS audit_at
                      FROM tenantd.tenants AS x
                     WHERE x.phase = 'ready' AND x.desired_state = 'present'
                       AND CASE WHEN $1::interval IS NULL THEN x.audit_at IS NOT NULL
                                ELSE x.audit_at IS NULL OR x.audit_at > tenantd.clock() + $1::interval END
                       -- Never wait with rows in hand: an owner may hold one and want another.
                       FOR NO KEY UPDATE SKIP LOCKED) AS plan
             WHERE t.tenant_id = plan.tenant_id
            "#,
            every.map(interval) as _
        )
        .execute(&self.connections);
        Ok(planned.await?.rows_affected())
    }
}
