//! What people and pipelines ask of the tenants: the contract's view, an insert,
//! and the un-parking that `tenantd tenant retry` does.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use crate::domain::blame::Spent;
use crate::domain::ids::{Fence, TenantId};
use crate::postgres::{Store, StoreError};

/// A line of `tenantd.status`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Status {
    /// The row.
    pub tenant_id: Uuid,
    /// The pipeline's key.
    pub external_id: String,
    /// Where the tenant lives.
    pub host: String,
    /// How far it is.
    pub phase: String,
    /// Whether it has a proven current credential.
    pub ready: bool,
    /// Whether it waits for somebody.
    pub parked: bool,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// The reason in words.
    pub message: Option<String>,
    /// Start of the present phase and reason.
    pub since: Option<DateTime<Utc>>,
    /// When somebody goes on by itself.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Failures since the last progress.
    pub failures: i32,
    /// The OAuth client.
    pub client_id: Option<String>,
    /// When the row was inserted.
    pub created_at: DateTime<Utc>,
    /// When it was first ready.
    pub ready_at: Option<DateTime<Utc>>,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
    /// The pipeline's labels.
    #[schema(value_type = Object)]
    pub labels: serde_json::Value,
    /// Version of the current credential.
    pub version: Option<i32>,
    /// Whether an operator keeps the daemon away from it or its region.
    pub paused: bool,
    /// How the client differed at the last audit.
    pub drift: Vec<String>,
    /// When that was.
    pub audited_at: Option<DateTime<Utc>>,
}

/// A new tenant as `tenantd tenant add` takes it.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// The pipeline's key.
    pub external_id: String,
    /// Where the tenant lives.
    pub host: String,
    /// Which profile it wants.
    pub profile: String,
    /// Its own client name.
    pub client_name: Option<String>,
    /// Its own redirect URIs.
    pub redirect_uris: Option<Vec<String>>,
    /// -100 to 100.
    pub priority: i32,
}

/// What is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Tenants that are not ready and go on by themselves.
    pub waiting: i64,
    /// When the first of them does.
    pub next_at: Option<DateTime<Utc>>,
    /// Tenants that are not ready and wait for somebody.
    pub parked: i64,
    /// Tenants that have a credential and wait for nobody.
    pub ready: i64,
    /// All tenants.
    pub tenants: i64,
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
    /// The instant that all instants of the schema are measured by.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            -- clock.read
            SELECT tenantd.clock() AS "now!"
            "#
        )
        .fetch_one(&self.connections)
        .await?)
    }

    /// What is left to do.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn rest(&self) -> Result<Rest, StoreError> {
        Ok(sqlx::query_as!(
            Rest,
            r#"
            -- status.rest
            SELECT count(*) FILTER (WHERE NOT s.ready AND NOT s.parked AND s.next_attempt_at IS NOT NULL) AS "waiting!",
                   min(s.next_attempt_at) FILTER (WHERE NOT s.ready AND NOT s.parked) AS next_at,
                   count(*) FILTER (WHERE NOT s.ready AND s.parked) AS "parked!",
                   count(*) FILTER (WHERE s.ready AND NOT s.parked) + (SELECT w.ready FROM tenantd.totals AS w) AS "ready!",
                   (SELECT w.tenants FROM tenantd.totals AS w) AS "tenants!"
              FROM tenantd.tenants AS t
              JOIN tenantd.status AS s ON s.tenant_id = t.tenant_id
             WHERE t.is_under_way
            "#
        )
        .fetch_one(&self.connections)
        .await?)
    }

    /// Inserts a tenant; false when its `external_id` was there already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`], whose constraint name says what is wrong with the row.
    pub async fn add_tenant(&self, new: &NewTenant) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"
            -- tenants.add
            INSERT INTO tenantd.tenants (external_id, host, profile, client_name, redirect_uris, priority)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (external_id) DO NOTHING
            "#,
            new.external_id,
            new.host,
            new.profile,
            new.client_name,
            new.redirect_uris.as_deref() as Option<&[String]>,
            new.priority
        )
        .execute(&self.connections)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// One tenant, by the pipeline's key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn status(&self, external_id: &str) -> Result<Option<Status>, StoreError> {
        status_of(&self.connections, external_id).await
    }

    /// Whose the time was from a tenant's insert to its first ready.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn spent(&self, tenant: TenantId) -> Result<Spent, StoreError> {
        let spent = sqlx::query_scalar!(
            r#"
            -- tenants.spent
            SELECT spent FROM tenantd.tenants WHERE tenant_id = $1
            "#,
            tenant.0
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(spent.as_deref().map(Spent::from_microseconds).unwrap_or_default())
    }

    /// How long the longest waiting row has been due without anybody working on it: of the
    /// next 10,000 of each region, in the order in which they are claimed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn oldest_due(&self) -> Result<Duration, StoreError> {
        let oldest = sqlx::query_scalar!(
            r#"
            -- tenants.oldest_due
            SELECT (extract(epoch FROM tenantd.clock() - min(d.due_at)) * 1000)::bigint AS oldest_ms
              FROM (SELECT '' AS region UNION ALL SELECT region FROM tenantd.regions) AS r
             CROSS JOIN LATERAL (
                   SELECT due_at, tenantd.is_leased(t) AS is_leased, paused_at, paused_until
                     FROM tenantd.tenants AS t
                    WHERE region = r.region
                      AND tenantd.rank_of(due_at, priority) <= tenantd.clock() + interval '100 minutes'
                      AND due_at <= tenantd.clock()
                    ORDER BY tenantd.rank_of(due_at, priority)
                    LIMIT 10000) AS d
             WHERE NOT d.is_leased
               -- Nobody falls behind on what an operator paused.
               AND (d.paused_at IS NULL OR d.paused_until <= tenantd.clock())
               AND NOT EXISTS (
                   SELECT FROM tenantd.pauses AS p
                    WHERE p.region IN ('*', r.region)
                      AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
            "#
        )
        .fetch_one(&self.connections)
        .await?;
        Ok(crate::postgres::duration(oldest.unwrap_or(0)))
    }

    /// Un-parks a tenant, or brings its next attempt forward: it is due at once and
    /// its patience starts anew. Returns whether there was something to do.
    ///
    /// What waits for the removal budget goes on waiting for it, and what a tenant that
    /// is well is planned for later stays planned.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn retry(&self, external_id: &str) -> Result<bool, StoreError> {
        retry(&self.connections, external_id).await
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

/// [`Store::status`], where the executor looks.
pub(super) async fn status_of<'c>(
    executor: impl PgExecutor<'c>,
    external_id: &str,
) -> Result<Option<Status>, StoreError> {
    Ok(sqlx::query_as!(
        Status,
        r#"
        -- status.one
        SELECT tenant_id AS "tenant_id!", external_id AS "external_id!", host AS "host!", phase AS "phase!",
               ready AS "ready!", parked AS "parked!", reason, message, since, next_attempt_at,
               failures AS "failures!", client_id, created_at AS "created_at!", ready_at,
               updated_at AS "updated_at!", labels AS "labels!",
               version, paused AS "paused!", drift AS "drift!", audited_at
          FROM tenantd.status
         WHERE external_id = $1
        "#,
        external_id
    )
    .fetch_optional(executor)
    .await?)
}

/// [`Store::retry`], in a transaction or alone.
pub(super) async fn retry<'c>(executor: impl PgExecutor<'c>, external_id: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"
        -- tenants.retry
        WITH retried AS (
            UPDATE tenantd.tenants
               SET generation = generation + 1,
                   parked_reason = NULL,
                   wait_reason = NULL,
                   message = NULL,
                   reason_since = tenantd.clock(),
                   failures = 0,
                   progress_at = tenantd.clock(),
                   proof_refused_at = NULL,
                   client_missing_at = NULL,
                   is_minted_afresh = false,
                   backoff_at = NULL,
                   updated_at = tenantd.clock()
             WHERE external_id = $1
               AND lease_holder IS NULL
               AND (parked_reason IS NOT NULL
                    OR (due_at > tenantd.clock() OR due_at IS NULL AND paused_at IS NOT NULL) AND (phase NOT IN ('ready', 'removed') OR wait_reason IS NOT NULL))
            RETURNING tenant_id
        )
        SELECT count(*) AS "retried!" FROM retried
        "#,
        external_id
    )
    .fetch_one(executor)
    .await?;
    Ok(done.retried == 1)
}
