//! Forgetting: the end of a tenant whose host no longer exists.
//!
//! The rule: what may still live at Qlik is said, because from here on nobody else
//! remembers it. Whoever works on the row is fenced out.

use super::owner::lock;
use super::verbs::be_brief;
use crate::domain::ids::TenantId;
use crate::domain::mark::Mark;
use crate::postgres::connections::Link;
use crate::postgres::{Store, StoreError};

/// A tenant that was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The client that may still live.
    pub client_id: Option<String>,
    /// A create went unanswered: a client that nobody knows may live.
    pub is_create_unknown: bool,
    /// How many sealed secrets were shredded.
    pub secrets: u64,
    /// What the client bears in its description.
    pub mark: Mark,
}

impl Store {
    /// Ends a tenant's life without a word to Qlik: the row is removed, its secrets are
    /// shredded. `None` where there is no such tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn forget(
        &self,
        external_id: &str,
        reason: &str,
        asked: &str,
    ) -> Result<Option<Forgotten>, StoreError> {
        let mut transaction = self.connections.begin().await?;
        be_brief(&mut transaction).await?;
        let Some(row) = lock(&mut transaction, external_id).await? else { return Ok(None) };
        let left = left_behind(&mut transaction, row.tenant).await?;
        // First as an owner would: the schema's trigger clears the message of a row it turns.
        turn_away(&mut transaction, row.tenant).await?;
        end(&mut transaction, row.tenant, reason).await?;
        let secrets = shred(&mut transaction, row.tenant).await?;
        let client = left.client_id.as_deref().unwrap_or("none known");
        let message = format!("{reason}; its client: {client}; asked for by {asked}");
        self.record_in(&mut *transaction, row.tenant, "forget", &message).await?;
        transaction.commit().await?;
        Ok(Some(Forgotten {
            client_id: left.client_id,
            is_create_unknown: left.is_create_unknown,
            secrets,
            mark: Mark { installation: self.installation, tenant: row.tenant },
        }))
    }
}

struct Left {
    client_id: Option<String>,
    is_create_unknown: bool,
}

async fn left_behind(connection: &mut Link, tenant: TenantId) -> Result<Left, StoreError> {
    Ok(sqlx::query_as!(
        Left,
        r#"
        -- tenants.left_behind
        SELECT client_id, client_id IS NULL AND phase NOT IN ('pending', 'removed') AS "is_create_unknown!"
          FROM tenantd.tenants
         WHERE tenant_id = $1
        "#,
        tenant.0
    )
    .fetch_one(connection)
    .await?)
}

async fn turn_away(connection: &mut Link, tenant: TenantId) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        -- tenants.turn_away
        UPDATE tenantd.tenants SET desired_state = 'absent' WHERE tenant_id = $1 AND desired_state = 'present'
        "#,
        tenant.0
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "one statement, column by column")]
async fn end(connection: &mut Link, tenant: TenantId, reason: &str) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"
        -- tenants.forget
        UPDATE tenantd.tenants AS t
           SET phase = 'removed',
               client_id = NULL,
               unanswered = NULL,
               settles_at = NULL,
               mint_snapshot = NULL,
               is_adopted = false,
               is_minted_afresh = false,
               must_look = true,
               -- Numbers never go back, also not in a new life.
               last_version = greatest(last_version, current_version),
               current_version = NULL,
               acknowledged_version = NULL,
               ready_at = NULL,
               -- Until somebody wants it again, its time is its owner's.
               spent = ARRAY[0, 0, 0, 0, extract(epoch FROM tenantd.clock() - t.created_at) * 1000000]::bigint[],
               rested_at = tenantd.clock(),
               rests_for = 'human',
               applied_wants = NULL,
               edited_at = NULL,
               retire_at = NULL,
               audit_at = NULL,
               drift = '{}',
               drifted_at = NULL,
               repair_scope = NULL,
               removal_admitted_at = CASE WHEN desired_state = 'absent' THEN tenantd.clock() END,
               generation = generation + 1,
               backoff_at = NULL,
               recheck_at = NULL,
               wait_reason = NULL,
               parked_reason = NULL,
               message = 'forgotten: ' || $2,
               reason_since = tenantd.clock(),
               failures = 0,
               proof_refused_at = NULL,
               client_missing_at = NULL,
               credential_refused_at = NULL,
               awaits_right = NULL,
               right_refused_at = NULL,
               lease_holder = NULL,
               leased_at = NULL,
               lease_expires_at = NULL,
               -- Also to whoever claimed it in what the database forgot, where no slice has come yet; and
               -- none comes any more: it would have a host looked at that no longer exists.
               lease_epoch = CASE WHEN t.rejoin_epoch = i.rejoin_epoch THEN t.lease_epoch + 1
                                  ELSE greatest(t.lease_epoch + 1, tenantd.epoch_of(tenantd.clock())) END,
               rejoin_epoch = i.rejoin_epoch,
               lease_step = 0,
               updated_at = tenantd.clock()
          FROM tenantd.installation AS i
         WHERE t.tenant_id = $1
        "#,
        tenant.0,
        reason
    )
    .execute(connection)
    .await?;
    // Its row is locked, and the installation has one: nothing else is committed.
    if done.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound.into()) }
}

/// Deletes every sealed secret of a tenant whose row is locked; returns how many.
pub(super) async fn shred(connection: &mut Link, tenant: TenantId) -> Result<u64, StoreError> {
    let shredded = sqlx::query!(
        r#"
        -- secrets.shred
        DELETE FROM tenantd.secrets WHERE tenant_id = $1
        "#,
        tenant.0
    )
    .execute(connection)
    .await?;
    Ok(shredded.rows_affected())
}
