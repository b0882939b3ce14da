//! Budgets for an hour: how many removals, and how many changes of the daemon's own.
//!
//! Every change that a budget lets through is a row of `tenantd.changes`; a budget is a
//! sum over the last hour of them, so that no restart and no second replica spends it twice.
//!
//! The rule: **whoever lets changes through holds the lock on all rows of
//! `tenantd.rollouts` that share the budget**, and counts only after it has it: a
//! statement that counted before it waited would not see what the other let through.

use std::time::Duration;

use crate::domain::ids::{ClientId, TenantId};
use crate::domain::rollout::Kind;
use crate::postgres::connections::Link;
use crate::postgres::{Connections, Store, StoreError, interval};

impl Store {
    /// Lets removals through, as many as the budget allows, in the order in which they
    /// were asked for. Returns how many; 0 without a lock where none waits.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.removals.admit", level = "debug", skip_all)]
    pub async fn admit_removals(&self, per_hour: Option<u32>) -> Result<u64, StoreError> {
        if !is_any_awaiting(&self.connections).await? {
            return Ok(0);
        }
        let mut transaction = self.connections.begin().await?;
        lock(&mut transaction, Kind::Removal).await?;
        let admitted = admit_removals(&mut transaction, per_hour).await?;
        transaction.commit().await?;
        Ok(admitted)
    }

    /// Takes a place among the hour's removals for the deletion of a duplicate. One that has
    /// its place already, because an earlier attempt failed, takes no second one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.removals.spend", level = "debug", skip_all)]
    pub async fn spend_removal(
        &self,
        tenant: TenantId,
        client: &ClientId,
        per_hour: Option<u32>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.connections.begin().await?;
        lock(&mut transaction, Kind::Removal).await?;
        let is_allowed = spend_removal(&mut transaction, tenant, client, per_hour).await?;
        transaction.commit().await?;
        Ok(is_allowed)
    }

    /// Deletes changes older than `keep`, which no budget counts any more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn prune_changes(&self, keep: Duration) -> Result<u64, StoreError> {
        let pruned = sqlx::query!(
            r#"
            -- changes.prune
            DELETE FROM tenantd.changes
             WHERE ended_at IS NOT NULL AND started_at < tenantd.clock() - $1::interval
            "#,
            interval(keep)
        )
        .execute(&self.connections);
        Ok(pruned.await?.rows_affected())
    }
}

async fn is_any_awaiting(connections: &Connections) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        -- removals.are_awaiting
        SELECT EXISTS (
               SELECT FROM tenantd.tenants
                WHERE desired_state = 'absent' AND removal_admitted_at IS NULL
                  AND phase NOT IN ('removing', 'removed')) AS "is_any!"
        "#
    )
    .fetch_one(connections)
    .await
}

/// Waits for the rows of all who share the budget of changes, in one order, so that none
/// counts while another spends.
pub(super) async fn lock_changes(connection: &mut Link) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        -- rollouts.lock_changes
        SELECT kind FROM tenantd.rollouts WHERE kind <> 'removal' ORDER BY kind FOR UPDATE
        "#
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Waits for the rollout's row; returns its stage.
pub(super) async fn lock(connection: &mut Link, kind: Kind) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        -- rollouts.lock
        SELECT stage FROM tenantd.rollouts WHERE kind = $1 FOR UPDATE
        "#,
        kind.as_str()
    )
    .fetch_one(connection)
    .await
}

async fn spend_removal(
    connection: &mut Link,
    tenant: TenantId,
    client: &ClientId,
    per_hour: Option<u32>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        -- removals.spend
        WITH removals AS (
            SELECT (SELECT count(*) FROM tenantd.changes
                     WHERE kind = 'removal' AND started_at > tenantd.clock() - interval '1 hour') AS spent,
                   -- However long ago: a client is deleted once, however often Qlik refuses that.
                   EXISTS (SELECT FROM tenantd.changes
                            WHERE kind = 'removal' AND tenant_id = $1 AND client_id = $2) AS is_known
        ), taken AS (
            INSERT INTO tenantd.changes (kind, tenant_id, client_id, ended_at, outcome)
            SELECT 'removal', $1, $2, tenantd.clock(), 'done'
              FROM removals
             WHERE NOT is_known
               AND spent < coalesce($3::bigint, tenantd.default_removals())
            RETURNING change_id
        )
        SELECT is_known OR EXISTS (SELECT FROM taken) AS "is_allowed!" FROM removals
        "#,
        tenant.0,
        client.as_str(),
        per_hour.map(i64::from)
    )
    .fetch_one(connection)
    .await
}

async fn admit_removals(connection: &mut Link, per_hour: Option<u32>) -> Result<u64, sqlx::Error> {
    let admitted = sqlx::query!(
        r#"
        -- removals.admit
        WITH allowed AS (
            -- The fleet is counted only where nobody said how many.
            SELECT coalesce($1::bigint, tenantd.default_removals())
                   - (SELECT count(*) FROM tenantd.changes
                       WHERE kind = 'removal' AND started_at > tenantd.clock() - interval '1 hour') AS removals
             -- What cannot begin now must not be saved up.
             WHERE NOT EXISTS (SELECT FROM tenantd.installation WHERE deletions_held_at IS NOT NULL)
        ), next AS (
            SELECT t.tenant_id
              FROM tenantd.tenants AS t
             WHERE t.desired_state = 'absent' AND t.removal_admitted_at IS NULL
               AND t.phase NOT IN ('removing', 'removed')
               -- Its slice would take that back, and the place be spent for nothing.
               AND (t.rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i) OR t.lease_epoch = 0)
               AND (t.paused_at IS NULL OR t.paused_until <= tenantd.clock())
               AND NOT EXISTS (
                   SELECT FROM tenantd.pauses AS p
                    WHERE p.region IN ('*', t.region) AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
               AND NOT EXISTS (
                   SELECT FROM tenantd.regions AS b WHERE b.region = t.region AND b.opened_at IS NOT NULL)
               AND NOT EXISTS (
                   SELECT FROM tenantd.rights AS g
                    WHERE g.region = t.region AND g.effect IN ('look', 'delete') AND g.missing_since IS NOT NULL)
             ORDER BY t.turned_at
             LIMIT coalesce((SELECT greatest(removals, 0) FROM allowed), 0)
               FOR UPDATE SKIP LOCKED
        ), admitted AS (
            UPDATE tenantd.tenants AS t
               SET removal_admitted_at = tenantd.clock(),
                   progress_at = tenantd.clock(),
                   -- A worker may have parked it, or let it wait, after its owner had turned.
                   parked_reason = NULL,
                   wait_reason = NULL,
                   message = NULL,
                   backoff_at = NULL,
                   failures = 0
              FROM next
             WHERE t.tenant_id = next.tenant_id
            RETURNING t.tenant_id
        )
        INSERT INTO tenantd.changes (kind, tenant_id, ended_at, outcome)
        SELECT 'removal', tenant_id, tenantd.clock(), 'done' FROM admitted
        "#,
        per_hour.map(i64::from)
    )
    .execute(connection)
    .await?;
    Ok(admitted.rows_affected())
}
