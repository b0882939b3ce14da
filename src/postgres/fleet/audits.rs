//! When each ready tenant is to be audited.
//!
//! The rule: nobody waits here with rows in hand, because an owner may hold one of
//! them and want another.

use std::time::Duration;

use sqlx::types::Uuid;

use super::passes::{CHANGES, Pass};
use crate::postgres::{Store, StoreError, interval};

impl Store {
    /// Gives every ready tenant a moment for its audit, spread evenly over `every`;
    /// takes it away where audits are off. Returns how many rows it touched.
    ///
    /// Who became ready since is found by an index; all are asked only when `every` is
    /// another than before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.audits.plan", level = "debug", skip_all)]
    pub async fn plan_audits(&self, every: Option<Duration>) -> Result<u64, StoreError> {
        let mut planned = 0;
        if every.is_some() {
            let mut after = None;
            loop {
                let unplanned = self.unplanned(after).await?;
                planned += self.plan(every, &unplanned).await?;
                after = unplanned.last().copied();
                if i64::try_from(unplanned.len()).is_ok_and(|found| found < CHANGES) {
                    break;
                }
            }
        }
        let asked =
            every.map_or_else(|| "never".to_owned(), |every| humantime::format_duration(every).to_string());
        while let Some(slice) = self.next_slice(Pass::PlanAudits, &asked).await? {
            let now = self.plan(every, &slice.tenants).await?;
            self.end_slice(Pass::PlanAudits, &asked, slice, now).await?;
            planned += now;
        }
        Ok(planned)
    }

    /// The next ready tenants that have no moment for their audit.
    async fn unplanned(&self, after: Option<Uuid>) -> Result<Vec<Uuid>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            -- audits.unplanned
            SELECT tenant_id
              FROM tenantd.tenants
             WHERE audit_at IS NULL AND ready_at IS NOT NULL
               AND phase = 'ready' AND desired_state = 'present'
               AND tenant_id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000')
             ORDER BY tenant_id
             LIMIT $2
            "#,
            after,
            CHANGES
        )
        .fetch_all(&self.connections)
        .await?)
    }

    async fn plan(&self, every: Option<Duration>, tenants: &[Uuid]) -> Result<u64, StoreError> {
        let planned = sqlx::query!(
            r#"
            -- audits.plan
            UPDATE tenantd.tenants AS t
               SET audit_at = plan.audit_at,
                   -- Moved here, and not by a wake: that would claim a whole fleet to be told when.
                   due_at = CASE WHEN t.phase = 'ready' AND t.parked_reason IS NULL
                                 THEN least(t.due_at, plan.audit_at) ELSE t.due_at END,
                   -- Whoever holds the row knows of another plan: its commit must not put that back.
                   generation = t.generation + (t.lease_holder IS NOT NULL)::integer
              FROM (SELECT x.tenant_id,
                           tenantd.clock() + $1::interval
                               * ((hashtextextended(x.tenant_id::text, 0) & 1048575) / 1048576.0) AS audit_at
                      FROM tenantd.tenants AS x
                     WHERE x.tenant_id = ANY ($2::uuid[])
                       AND x.phase = 'ready' AND x.desired_state = 'present'
                       AND CASE WHEN $1::interval IS NULL THEN x.audit_at IS NOT NULL
                                ELSE x.audit_at IS NULL OR x.audit_at > tenantd.clock() + $1::interval END
                     LIMIT $3
                       -- Never wait with rows in hand: an owner may hold one and want another.
                       FOR NO KEY UPDATE SKIP LOCKED) AS plan
             WHERE t.tenant_id = plan.tenant_id
            "#,
            every.map(interval) as _,
            tenants,
            CHANGES
        )
        .execute(&self.connections);
        Ok(planned.await?.rows_affected())
    }
}
