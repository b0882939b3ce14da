//! What an operator's command reads of a row before it asks Qlik about it.
//!
//! The rule: a row is read under the lease that the command holds, so that no daemon
//! changes it between the reading and the acting.

use std::collections::HashMap;

use sqlx::types::{Json, Uuid};

use crate::domain::census::Known;
use crate::domain::hints::StoredSecret;
use crate::domain::ids::{ClientId, ExternalId, Fence, ProfileName, TenantId};
use crate::domain::phase::Phase;
use crate::postgres::rows::{SecretRow, stored_secrets};
use crate::postgres::{Store, StoreError};

/// A row as a command needs it.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "columns, as they are")]
pub struct Inspected {
    /// The row.
    pub tenant_id: TenantId,
    /// The pipeline's key.
    pub external_id: ExternalId,
    /// Where the tenant lives.
    pub host: String,
    /// Which profile it wants.
    pub profile: ProfileName,
    /// Its own client name.
    pub client_name: Option<String>,
    /// Its own redirect URIs.
    pub redirect_uris: Option<Vec<String>>,
    /// How far it is.
    pub phase: Phase,
    /// Its client.
    pub client: Option<ClientId>,
    /// Its secrets.
    pub stored: Vec<StoredSecret>,
    /// `desired_state` is present.
    pub is_wanted: bool,
    /// An operator keeps the daemon away.
    pub is_paused: bool,
    /// A further secret may be on its way, or leavings are being tidied.
    pub is_minting: bool,
    /// A create went unanswered and has not settled.
    pub is_settling: bool,
    /// Why it is parked.
    pub parked_reason: Option<String>,
}

/// A tenant to be visited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The row.
    pub tenant_id: TenantId,
    /// The pipeline's key.
    pub external_id: String,
    /// Where it lives.
    pub host: String,
}

/// What may keep the daemon from a repair that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Why the tenant is parked.
    pub parked: Option<String>,
    /// Why it is paused.
    pub paused: Option<String>,
}

impl Store {
    /// A row as it stands; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn inspect(&self, tenant: TenantId) -> Result<Option<Inspected>, StoreError> {
        let row = sqlx::query!(
            r#"
            -- tenants.inspect
            SELECT t.external_id, t.host, t.profile, t.client_name, t.redirect_uris, t.phase, t.client_id, t.parked_reason,
                   t.desired_state = 'present' AS "is_wanted!",
                   coalesce(t.paused_at IS NOT NULL
                            AND (t.paused_until IS NULL OR t.paused_until > tenantd.clock()), false) AS "is_paused!",
                   t.mint_snapshot IS NOT NULL OR t.is_adopted OR t.phase IN ('rotating', 'proving') AS "is_minting!",
                   t.unanswered = 'create' IS TRUE
                       AND coalesce(t.settles_at > tenantd.clock(), true) AS "is_settling!",
                   (SELECT jsonb_agg(jsonb_build_object('id', x.secret_id, 'hint', x.hint, 'standing', x.standing,
                                                        'version', x.version, 'proven_at', x.proven_at,
                                                        'retire_at', x.retire_at) ORDER BY x.secret_id)
                      FROM tenantd.secrets AS x
                     WHERE x.tenant_id = t.tenant_id) AS "secrets: Json<Vec<SecretRow>>"
              FROM tenantd.tenants AS t
             WHERE t.tenant_id = $1
            "#,
            tenant.0
        )
        .fetch_optional(&self.connections)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let phase = Phase::parse(&row.phase).ok_or_else(|| StoreError::Inconsistent {
            table: "tenantd.tenants",
            tenant,
            what: format!("phase {:?} is not of this version", row.phase),
        })?;
        Ok(Some(Inspected {
            tenant_id: tenant,
            external_id: ExternalId::new(row.external_id),
            host: row.host,
            profile: ProfileName::new(row.profile),
            client_name: row.client_name,
            redirect_uris: row.redirect_uris,
            phase,
            client: row.client_id.map(ClientId::new),
            stored: stored_secrets(tenant, row.secrets)?,
            is_wanted: row.is_wanted,
            is_paused: row.is_paused,
            is_minting: row.is_minting,
            is_settling: row.is_settling,
            parked_reason: row.parked_reason,
        }))
    }

    /// The tenant of this key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn target(&self, external_id: &str) -> Result<Option<Target>, StoreError> {
        let row = sqlx::query!(
            r#"
            -- tenants.target
            SELECT tenant_id, external_id, host
              FROM tenantd.tenants
             WHERE external_id = $1
            "#,
            external_id
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(row.map(|row| Target {
            tenant_id: TenantId(row.tenant_id),
            external_id: row.external_id,
            host: row.host,
        }))
    }

    /// The tenant that lives on this host.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn tenant_at(&self, host: &str) -> Result<Option<Target>, StoreError> {
        let row = sqlx::query!(
            r#"
            -- tenants.at_host
            SELECT tenant_id, external_id FROM tenantd.tenants WHERE host = $1
            "#,
            host
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(row.map(|row| Target {
            tenant_id: TenantId(row.tenant_id),
            external_id: row.external_id,
            host: host.to_owned(),
        }))
    }

    /// Every tenant in one of these phases, in the order of their keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn targets(&self, phases: &[Phase]) -> Result<Vec<Target>, StoreError> {
        let phases: Vec<String> = phases.iter().map(ToString::to_string).collect();
        let rows = sqlx::query!(
            r#"
            -- tenants.targets
            SELECT tenant_id, external_id, host
              FROM tenantd.tenants
             WHERE phase = ANY ($1::text[])
             ORDER BY external_id
            "#,
            &phases
        )
        .fetch_all(&self.connections)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Target {
                tenant_id: TenantId(row.tenant_id),
                external_id: row.external_id,
                host: row.host,
            })
            .collect())
    }

    /// What is known of these tenants; those that are not are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn known(&self, tenants: &[TenantId]) -> Result<HashMap<TenantId, Known>, StoreError> {
        if tenants.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
        let rows = sqlx::query!(
            r#"
            -- tenants.known
            SELECT tenant_id, client_id, phase = 'removed' AS "is_removed!"
              FROM tenantd.tenants
             WHERE tenant_id = ANY ($1::uuid[])
            "#,
            &ids
        )
        .fetch_all(&self.connections)
        .await?;
        let known = |is_removed, client: Option<String>| match client {
            _ if is_removed => Known::Removed,
            None => Known::WithoutClient,
            Some(client) => Known::WithClient(ClientId::new(client)),
        };
        Ok(rows
            .into_iter()
            .map(|row| (TenantId(row.tenant_id), known(row.is_removed, row.client_id)))
            .collect())
    }

    /// Lets every repair of a tenant through and makes it due, under the caller's lease:
    /// an audit that is under way would otherwise end the permission unused. `None` when
    /// the lease is lost.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn allow_repair(&self, tenant: TenantId, fence: Fence) -> Result<Option<Allowed>, StoreError> {
        Ok(sqlx::query_as!(
            Allowed,
            r#"
            -- tenants.allow_repair
            WITH allowed AS (
                UPDATE tenantd.tenants
                   SET repair_scope = 'all',
                       generation = generation + 1,
                       updated_at = tenantd.clock()
                 WHERE tenant_id = $1 AND lease_epoch = $2 AND lease_holder = $3
                   AND rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i)
                RETURNING parked_reason, pause_reason, paused_at, paused_until
            )
            SELECT parked_reason AS parked,
                   CASE WHEN paused_until IS NULL OR paused_until > tenantd.clock() THEN pause_reason END AS paused
              FROM allowed
            "#,
            tenant.0,
            fence.epoch,
            self.holder.0
        )
        .fetch_optional(&self.connections)
        .await?)
    }
}
