//! Leases: renewed in one batch, and the one write a fenced-out worker may make.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use crate::domain::ids::{Fence, TenantId};
use crate::postgres::{Store, StoreError, interval};

/// A lease that is still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// On this row.
    pub tenant: TenantId,
    /// Whether it was made longer; a row that somebody has locked is not.
    pub is_renewed: bool,
}

/// Somebody who holds leases: a daemon at work, or a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LeaseHolder {
    /// Its name, drawn anew at each start.
    pub holder: Uuid,
    /// How many tenants it holds.
    pub tenants: i64,
    /// Since when it has held the first of them.
    pub leased_at: Option<DateTime<Utc>>,
    /// When the first of its leases ends that is not renewed.
    pub lease_expires_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Whoever holds leases that have not run out; who has most comes first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn holders(&self) -> Result<Vec<LeaseHolder>, StoreError> {
        Ok(sqlx::query_as!(
            LeaseHolder,
            r#"
            -- leases.holders
            SELECT t.lease_holder AS "holder!", count(*) AS "tenants!", min(t.leased_at) AS leased_at,
                   min(greatest(t.lease_expires_at, e.expires_at)) AS lease_expires_at
              FROM tenantd.tenants AS t
              LEFT JOIN tenantd.lease_extensions AS e
                ON e.tenant_id = t.tenant_id AND e.lease_epoch = t.lease_epoch
             WHERE t.lease_holder IS NOT NULL AND tenantd.is_leased(t)
             GROUP BY t.lease_holder
             ORDER BY count(*) DESC, t.lease_holder
             LIMIT 1000
            "#
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// Renews our leases on these rows. A row that an owner's open transaction has
    /// locked is passed by, so that one pipeline cannot stop the renewal of all; that we are
    /// alive is written beside it, so that nobody claims it before what we hold is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.leases.renew", level = "debug", skip_all, fields(held = held.len()))]
    pub async fn renew(
        &self,
        held: &[(TenantId, Fence)],
        lease: Duration,
    ) -> Result<Vec<Renewal>, StoreError> {
        let tenants: Vec<Uuid> = held.iter().map(|(tenant, _)| tenant.0).collect();
        let epochs: Vec<i64> = held.iter().map(|(_, fence)| fence.epoch).collect();
        let renewal = sqlx::query!(
            r#"
            -- leases.renew
            WITH ours AS (
                SELECT t.tenant_id, t.lease_epoch
                  FROM tenantd.tenants AS t
                  JOIN unnest($1::uuid[], $2::bigint[]) AS held (tenant_id, epoch)
                    ON t.tenant_id = held.tenant_id AND t.lease_epoch = held.epoch
                 WHERE t.lease_holder = $4
                   AND t.rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i)
            ), free AS (
                SELECT t.tenant_id
                  FROM tenantd.tenants AS t
                  JOIN unnest($1::uuid[], $2::bigint[]) AS held (tenant_id, epoch)
                    ON t.tenant_id = held.tenant_id AND t.lease_epoch = held.epoch
                 WHERE t.lease_holder = $4 AND tenantd.assert_place()
                   AND t.rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i)
                   FOR NO KEY UPDATE OF t SKIP LOCKED
            ), renewed AS (
                UPDATE tenantd.tenants AS t
                   SET lease_expires_at = tenantd.clock() + $3::interval
                  FROM free
                 WHERE t.tenant_id = free.tenant_id
                RETURNING t.tenant_id
            ), extended AS (
                INSERT INTO tenantd.lease_extensions AS e (tenant_id, lease_epoch, expires_at)
                SELECT tenant_id, lease_epoch, tenantd.clock() + $3::interval
                  FROM ours
                 WHERE tenant_id NOT IN (SELECT tenant_id FROM free)
                 ORDER BY tenant_id
                ON CONFLICT (tenant_id) DO UPDATE SET lease_epoch = excluded.lease_epoch, expires_at = excluded.expires_at
                 WHERE e.lease_epoch <= excluded.lease_epoch
            ), over AS (
                DELETE FROM tenantd.lease_extensions
                 WHERE tenant_id IN (SELECT e.tenant_id
                                       FROM tenantd.lease_extensions AS e
                                      WHERE e.expires_at <= tenantd.clock()
                                        AND e.tenant_id <> ALL (ARRAY(SELECT tenant_id FROM ours))
                                        FOR UPDATE SKIP LOCKED)
            )
            SELECT ours.tenant_id, renewed.tenant_id IS NOT NULL AS "is_renewed!"
              FROM ours
              LEFT JOIN renewed ON renewed.tenant_id = ours.tenant_id
            "#,
            &tenants,
            &epochs,
            interval(lease),
            self.holder.0
        )
        .fetch_all(&self.connections);
        let ours = renewal.await?;
        Ok(ours
            .into_iter()
            .map(|row| Renewal { tenant: TenantId(row.tenant_id), is_renewed: row.is_renewed })
            .collect())
    }

    /// Leases one row for a probe, whatever it is due for, unless somebody has it.
    /// A dead holder's row may be taken, but for one whose request may still be in
    /// flight: only a claim gives that the time to settle.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn lease_one(&self, tenant: TenantId, lease: Duration) -> Result<Option<Fence>, StoreError> {
        let epoch = sqlx::query_scalar!(
            r#"
            -- leases.take
            UPDATE tenantd.tenants AS t
               SET lease_holder = $2,
                   leased_at = tenantd.clock(),
                   lease_expires_at = tenantd.clock() + $3::interval,
                   -- As in a claim.
                   lease_epoch = CASE WHEN t.rejoin_epoch = i.rejoin_epoch THEN t.lease_epoch + 1
                                      ELSE greatest(t.lease_epoch + 1, tenantd.epoch_of(tenantd.clock())) END,
                   must_look = t.must_look OR t.rejoin_epoch <> i.rejoin_epoch,
                   rejoin_epoch = i.rejoin_epoch,
                   lease_step = 0
              FROM tenantd.installation AS i
             WHERE tenant_id = $1
               AND tenantd.assert_place()
               AND (t.rejoin_epoch = i.rejoin_epoch OR t.lease_epoch = 0)
               AND NOT tenantd.is_leased(t)
               AND (lease_holder IS NULL OR unanswered IS NULL OR settles_at IS NOT NULL)
            RETURNING lease_epoch
            "#,
            tenant.0,
            self.holder.0,
            interval(lease)
        )
        .fetch_optional(&self.connections);
        Ok(epoch.await?.map(|epoch| Fence { epoch, step: 0 }))
    }

    /// Gives a lease back without a word on the row.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`], [`StoreError::Driver`].
    pub async fn give_back(&self, tenant: TenantId, fence: Fence) -> Result<(), StoreError> {
        let done = sqlx::query!(
            r#"
            -- leases.give_back
            UPDATE tenantd.tenants
               SET lease_holder = NULL, leased_at = NULL, lease_expires_at = NULL
             WHERE tenant_id = $1 AND lease_epoch = $2 AND lease_holder = $3
               AND rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i)
            "#,
            tenant.0,
            fence.epoch,
            self.holder.0
        )
        .execute(&self.connections);
        if done.await?.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost(tenant)) }
    }

    /// A worker that was taken over holds a client it just made: have the tenant
    /// looked at again. The one write without a fence; it only ever moves forward.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.tenants.recheck_later", skip_all, fields(tenant.id = %tenant))]
    pub async fn recheck_later(&self, tenant: TenantId, after: Duration) -> Result<(), StoreError> {
        let planned = sqlx::query!(
            r#"
            -- tenants.recheck_later
            UPDATE tenantd.tenants
               SET recheck_at = greatest(recheck_at, tenantd.clock() + $2::interval),
                   generation = generation + 1
             WHERE tenant_id = $1
            "#,
            tenant.0,
            interval(after)
        )
        .execute(&self.connections);
        planned.await?;
        Ok(())
    }
}
