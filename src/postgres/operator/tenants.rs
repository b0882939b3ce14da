//! What people and pipelines ask of the tenants: the contract's view, an insert,
//! and the un-parking that `tenantd tenant retry` does.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use crate::domain::blame::Spent;
use crate::domain::ids::TenantId;
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

/// What the owner wants of a tenant: the columns that an import fills.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is named after its column")]
pub struct Wanting {
    pub external_id: String,
    pub host: String,
    pub profile: String,
    pub client_name: Option<String>,
    pub redirect_uris: Option<Vec<String>>,
    pub desired_state: String,
    pub priority: i32,
    pub not_before: Option<DateTime<Utc>>,
    /// As Postgres writes them, to the last figure.
    pub labels: String,
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

    /// Those of these tenants that there are, by the pipeline's keys and in no order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn statuses(&self, external_ids: &[String]) -> Result<Vec<Status>, StoreError> {
        statuses_of(&self.connections, external_ids).await
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
}

/// [`Store::status`], where the executor looks.
pub(super) async fn status_of<'c>(
    executor: impl PgExecutor<'c>,
    external_id: &str,
) -> Result<Option<Status>, StoreError> {
    Ok(statuses_of(executor, &[external_id.to_owned()]).await?.pop())
}

async fn statuses_of<'c>(
    executor: impl PgExecutor<'c>,
    external_ids: &[String],
) -> Result<Vec<Status>, StoreError> {
    Ok(sqlx::query_as!(
        Status,
        r#"
        -- status.of
        SELECT tenant_id AS "tenant_id!", external_id AS "external_id!", host AS "host!", phase AS "phase!",
               ready AS "ready!", parked AS "parked!", reason, message, since, next_attempt_at,
               failures AS "failures!", client_id, created_at AS "created_at!", ready_at,
               updated_at AS "updated_at!", labels AS "labels!",
               version, paused AS "paused!", drift AS "drift!", audited_at
          FROM tenantd.status
         WHERE external_id = ANY ($1)
        "#,
        external_ids
    )
    .fetch_all(executor)
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
