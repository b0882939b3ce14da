//! What an operator sees of the whole fleet: rollouts, what the budgets let through, and
//! whether deletions are held.
//!
//! The rule: the limit that is shown is the one that admits: [`Store::removals`] counts
//! as the admission of removals does.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::place::Hold;
use crate::postgres::{Store, StoreError};

/// A kind of change that is bounded, and where its rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RolloutStatus {
    /// `rotation`, `repair`, `removal`, `census`.
    pub kind: String,
    /// `idle`, `canary`, `rolling`, `halted`.
    pub stage: String,
    /// Start of the stage.
    pub since: DateTime<Utc>,
    /// Why it halted, with what to do.
    pub message: Option<String>,
    /// How many changes were let through in the last hour.
    pub spent: i64,
}

/// What of the fleet counts for the budget of removals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removals {
    /// The limit where none is configured: 5, or a tenth of the fleet, whichever is more.
    pub default_limit: i64,
    /// How many were let through in the last hour.
    pub spent: i64,
    /// How many wait for their place.
    pub waiting: i64,
}

/// Deletions at Qlik are held, or all changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Held {
    /// Whether nothing at all is changed.
    pub changes: bool,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

impl Removals {
    /// The limit that holds where this one is configured, or none.
    #[must_use]
    pub fn limit(&self, configured: Option<u32>) -> i64 {
        configured.map_or(self.default_limit, i64::from)
    }
}

impl Held {
    /// Which of the two.
    #[must_use]
    pub const fn hold(&self) -> Hold {
        if self.changes { Hold::Changes } else { Hold::Deletions }
    }
}

impl Store {
    /// Every rollout with what it spent in the last hour.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn rollouts(&self) -> Result<Vec<RolloutStatus>, StoreError> {
        Ok(sqlx::query_as!(
            RolloutStatus,
            r#"
            -- rollouts.list
            SELECT r.kind, r.stage, r.since, r.message,
                   (SELECT count(*) FROM tenantd.changes AS c
                     WHERE c.kind = r.kind AND c.started_at > tenantd.clock() - interval '1 hour') AS "spent!"
              FROM tenantd.rollouts AS r
             ORDER BY r.kind
            "#
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// How many tenants differ in each way.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn drifted(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query!(
            r#"
            -- drift.counts
            SELECT kind AS "kind!", count(*) AS "tenants!"
              FROM tenantd.tenants CROSS JOIN LATERAL unnest(drift) AS kind
             WHERE drift <> '{}'
             GROUP BY kind
            "#
        )
        .fetch_all(&self.connections)
        .await?;
        Ok(rows.into_iter().map(|row| (row.kind, row.tenants)).collect())
    }

    /// What the budget of removals is measured by.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn removals(&self) -> Result<Removals, StoreError> {
        Ok(sqlx::query_as!(
            Removals,
            r#"
            -- removals.measure
            SELECT tenantd.default_removals() AS "default_limit!",
                   (SELECT count(*) FROM tenantd.changes
                     WHERE kind = 'removal' AND started_at > tenantd.clock() - interval '1 hour') AS "spent!",
                   (SELECT count(*) FROM tenantd.tenants
                     WHERE desired_state = 'absent' AND removal_admitted_at IS NULL
                       AND phase NOT IN ('removing', 'removed')) AS "waiting!"
            "#
        )
        .fetch_one(&self.connections)
        .await?)
    }

    /// Since when, and why, nothing is deleted at Qlik; `None` when it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn hold(&self) -> Result<Option<Held>, StoreError> {
        Ok(sqlx::query_as!(
            Held,
            r#"
            -- installation.hold
            SELECT changes_held_at IS NOT NULL AS "changes!", deletions_held_at AS "since!", held_reason AS "reason!"
              FROM tenantd.installation
             WHERE deletions_held_at IS NOT NULL
            "#
        )
        .fetch_optional(&self.connections)
        .await?)
    }

    /// Lets a halted rollout begin anew when it is next due; what failed before is answered,
    /// and judges nothing any more. Returns whether it was halted.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn resume_rollout(&self, kind: &str) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"
            -- rollouts.resume
            UPDATE tenantd.rollouts
               SET stage = 'idle', since = tenantd.clock(), judged_from = tenantd.clock(), message = NULL
             WHERE kind = $1 AND stage = 'halted'
            "#,
            kind
        )
        .execute(&self.connections)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
