//! The history: read and pruned here. What the daemon did is written by [`super::commit`],
//! what a person's command did by [`Store::record`] or in the statement of that command.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{Store, StoreError, interval};
use crate::domain::ids::TenantId;

/// One effect that was tried.
#[derive(Debug, Clone)]
pub struct PastAttempt {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// What was tried.
    pub effect: String,
    /// `done`, or the retry class of the failure.
    pub outcome: String,
    /// The phase after it.
    pub phase: String,
    /// Status of Qlik's answer.
    pub http_status: Option<i16>,
    /// Qlik's error code.
    pub error_code: Option<String>,
    /// Qlik's trace id.
    pub trace_id: Option<String>,
    /// What happened, in our words.
    pub message: Option<String>,
}

impl Store {
    /// The last `limit` attempts of a tenant, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn history(&self, tenant: TenantId, limit: u32) -> Result<Vec<PastAttempt>, StoreError> {
        let mut rows = sqlx::query!(
            r#"
            -- attempts.list
            SELECT started_at, duration_ms, effect, outcome, phase, http_status, error_code, trace_id, message
              FROM tenantd.attempts
             WHERE tenant_id = $1
             ORDER BY attempt_id DESC
             LIMIT $2
            "#,
            tenant.0,
            i64::from(limit)
        )
        .fetch_all(&self.connections)
        .await?;
        rows.reverse();
        Ok(rows
            .into_iter()
            .map(|row| PastAttempt {
                started_at: row.started_at,
                took: super::duration(row.duration_ms.into()),
                effect: row.effect,
                outcome: row.outcome,
                phase: row.phase,
                http_status: row.http_status,
                error_code: row.error_code,
                trace_id: row.trace_id,
                message: row.message,
            })
            .collect())
    }

    /// Deletes up to `limit` attempts older than `keep`; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.attempts.prune", level = "debug", skip_all)]
    pub async fn prune_history(&self, keep: Duration, limit: u32) -> Result<u64, StoreError> {
        let pruned = sqlx::query!(
            r#"
            -- attempts.prune
            DELETE FROM tenantd.attempts
             -- An attempt is never updated, so that it stays where it is.
             WHERE ctid = ANY (ARRAY(
                   SELECT ctid
                     FROM tenantd.attempts
                    WHERE started_at < tenantd.clock() - $1::interval
                    ORDER BY started_at
                    LIMIT $2))
            "#,
            interval(keep),
            i64::from(limit)
        )
        .execute(&self.connections)
        .await?;
        Ok(pruned.rows_affected())
    }

    /// Writes down what a person had done to a tenant, in the transaction that does it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub(super) async fn record_in<'c>(
        &self,
        executor: impl PgExecutor<'c>,
        tenant: TenantId,
        effect: &str,
        message: &str,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            -- attempts.record
            INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, message, started_at, duration_ms, holder)
            SELECT tenant_id, phase, $2, 'done', $3, tenantd.clock(), 0, $4
              FROM tenantd.tenants
             WHERE tenant_id = $1
            "#,
            tenant.0,
            effect,
            message,
            self.holder.0
        )
        .execute(executor)
        .await?;
        Ok(())
    }

    /// Writes down what a person's command did for a tenant: showed its secret, deleted
    /// something at Qlik.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn record(&self, tenant: TenantId, effect: &str, message: &str) -> Result<(), StoreError> {
        self.record_in(&self.connections, tenant, effect, message).await
    }
}
