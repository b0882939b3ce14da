//! The adoption of a client that somebody else made.
//!
//! The rule: the client is committed before anything at Qlik is changed. From then on
//! the row knows what it has: it neither creates, nor takes a secret of the client's for
//! a lost one of its own.

use std::time::Duration;

use crate::domain::ids::{ClientId, Fence, Hint, TenantId};
use crate::postgres::{Store, StoreError, interval};

impl Store {
    /// Gives a row without a client this one, under the caller's lease, which stays. The
    /// hints are all that the client shows now. False when the row has moved on since it
    /// was read, or the lease is lost: nothing is written then.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn adopt_client(
        &self,
        tenant: TenantId,
        fence: Fence,
        client: &ClientId,
        hints: &[Hint],
        recheck_after: Duration,
        message: &str,
    ) -> Result<bool, StoreError> {
        let hints: Vec<String> = hints.iter().map(ToString::to_string).collect();
        let taken = sqlx::query!(
                r#"
            -- tenants.adopt_client
            WITH taken AS (
                UPDATE tenantd.tenants AS t
                   SET phase = 'creating',
                       client_id = $4,
                       unanswered = NULL,
                       settles_at = NULL,
                       mint_snapshot = $5,
                       is_adopted = false,
                       is_minted_afresh = false,
                       must_look = false,
                       failures = 0,
                       progress_at = tenantd.clock(),
                       proof_refused_at = NULL,
                       client_missing_at = NULL,
                       -- A create that was sent before may still come to light.
                       recheck_at = CASE WHEN t.phase = 'creating' OR t.must_look
                                         THEN greatest(t.recheck_at, tenantd.clock() + $6::interval)
                                         ELSE t.recheck_at END,
                       wait_reason = NULL,
                       parked_reason = NULL,
                       message = NULL,
                       reason_since = tenantd.clock(),
                       generation = t.generation + 1,
                       backoff_at = NULL,
                       lease_step = t.lease_step + 1,
                       updated_at = tenantd.clock()
                 WHERE t.tenant_id = $1
                   AND t.lease_epoch = $2
                   AND t.lease_step = $3
                   AND t.lease_holder = $8
                   AND t.rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i)
                   AND t.phase IN ('pending', 'creating')
                   AND t.client_id IS NULL
                   AND t.desired_state = 'present'
                   AND (t.unanswered IS NULL OR t.settles_at <= tenantd.clock())
                RETURNING t.tenant_id, t.phase
            )
            INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, message, started_at, duration_ms, holder)
            SELECT tenant_id, phase, 'adopt', 'done', $7, tenantd.clock(), 0, $8 FROM taken
            "#,
                tenant.0,
                fence.epoch,
                fence.step,
                client.as_str(),
                &hints,
                interval(recheck_after),
                message,
                self.holder.0
            )
            .execute(&self.connections)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Other rows that have this client, or had: by the pipeline's keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn rows_with_client(
        &self,
        client: &ClientId,
        but: TenantId,
    ) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            -- tenants.with_client
            SELECT external_id
              FROM tenantd.tenants
             WHERE client_id = $1 AND tenant_id <> $2
             ORDER BY external_id
            "#,
            client.as_str(),
            but.0
        )
        .fetch_all(&self.connections)
        .await?)
    }
}
