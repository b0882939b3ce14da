//! Pauses: an operator keeps the daemon away from a tenant, a region or the fleet.
//!
//! The rule: no lease is broken. A pause keeps rows from being claimed, and whoever has a
//! tenant that is paused, by itself, with its region or with the fleet, ends its step and
//! gives it back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use crate::domain::waiting::Fleet;
use crate::postgres::{Store, StoreError, interval};

/// What stands for the whole fleet where a region is named.
pub const FLEET: &str = Fleet::ALL;

/// When a pause ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Never.
    Open,
    /// After so long.
    After(Duration),
    /// Then.
    At(DateTime<Utc>),
}

/// A pause of a region or of the fleet that is in effect.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pause {
    /// The region; [`FLEET`] for all.
    pub region: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
}

impl End {
    /// A pause that is to last longer has no end.
    pub const LONGEST: Duration = Duration::from_hours(24 * 10_000);

    /// Then, or after so long. `None` where both are said, or what is no time for a pause.
    #[must_use]
    pub fn of(until: Option<DateTime<Utc>>, after: Option<Duration>) -> Option<Self> {
        match (until, after) {
            (None, None) => Some(Self::Open),
            (Some(until), None) => Some(Self::At(until)),
            (None, Some(after)) => {
                Some(Self::After(after)).filter(|_| !after.is_zero() && after <= Self::LONGEST)
            }
            (Some(_), Some(_)) => None,
        }
    }

    /// Whether it had come before the pause was asked for.
    #[must_use]
    pub fn is_past(self, now: DateTime<Utc>) -> bool {
        self.at().is_some_and(|until| until <= now)
    }

    fn after(self) -> Option<Duration> {
        match self {
            Self::After(duration) => Some(duration),
            Self::Open | Self::At(_) => None,
        }
    }

    fn at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::At(instant) => Some(instant),
            Self::Open | Self::After(_) => None,
        }
    }
}

impl Store {
    /// Pauses a tenant; one that is paused already gets the new reason and end. Returns
    /// whether there is such a tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn pause(&self, external_id: &str, reason: &str, end: End) -> Result<bool, StoreError> {
        pause(&self.connections, external_id, reason, end).await
    }

    /// Ends a tenant's pause and nothing else. Returns whether it was paused.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn resume(&self, external_id: &str) -> Result<bool, StoreError> {
        resume(&self.connections, external_id).await
    }

    /// Pauses a region, or with [`FLEET`] all. Returns whether there is such a region.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn pause_region(&self, region: &str, reason: &str, end: End) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"
            -- pauses.begin
            INSERT INTO tenantd.pauses AS p (region, reason, paused_at, paused_until)
            SELECT $1::text, $2, tenantd.clock(), coalesce($3::timestamptz, tenantd.clock() + $4::interval)
             WHERE $1::text = '*' OR EXISTS (SELECT FROM tenantd.regions AS r WHERE r.region = $1::text)
            ON CONFLICT (region) DO UPDATE
               SET reason = EXCLUDED.reason,
                   paused_at = CASE WHEN p.paused_until <= tenantd.clock() THEN EXCLUDED.paused_at
                                    ELSE p.paused_at END,
                   paused_until = EXCLUDED.paused_until
            "#,
            region,
            reason,
            end.at(),
            end.after().map(interval) as _
        )
        .execute(&self.connections)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends the pause of a region, or with [`FLEET`] that of all. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn resume_region(&self, region: &str) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"
            -- pauses.end
            WITH resumed AS (
                DELETE FROM tenantd.pauses WHERE region = $1 RETURNING region, paused_until
            ), excused AS (
                -- Whom the pause kept waiting is not counted by the objective.
                DELETE FROM tenantd.awaited
                 WHERE tenant_id IN (
                           SELECT a.tenant_id
                             FROM tenantd.awaited AS a
                             JOIN tenantd.tenants AS t USING (tenant_id)
                             JOIN resumed AS r ON r.region IN ('*', t.region)
                            WHERE t.ready_at IS NULL
                              AND a.since < coalesce(r.paused_until, 'infinity')
                              AND a.since <= tenantd.clock()
                              -- Waits for nobody: neither for an owner's statement nor for a judge.
                              FOR UPDATE OF a SKIP LOCKED)
            )
            SELECT count(*) AS "resumed!", max(pg_notify('tenantd_work', '')::text) AS woken FROM resumed
            "#,
            region
        )
        .fetch_one(&self.connections)
        .await?;
        Ok(done.resumed == 1)
    }

    /// The pauses of regions and of the fleet that are in effect.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        Ok(sqlx::query_as!(
            Pause,
            r#"
            -- pauses.list
            SELECT region, reason, paused_at AS since, paused_until AS until
              FROM tenantd.pauses
             WHERE paused_until IS NULL OR paused_until > tenantd.clock()
             ORDER BY region
            "#
        )
        .fetch_all(&self.connections)
        .await?)
    }
}

/// [`Store::pause`], in a transaction or alone.
pub(super) async fn pause<'c>(
    executor: impl PgExecutor<'c>,
    external_id: &str,
    reason: &str,
    end: End,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"
        -- tenants.pause
        UPDATE tenantd.tenants
           SET paused_at = CASE WHEN paused_until > tenantd.clock() OR paused_until IS NULL
                                THEN coalesce(paused_at, tenantd.clock()) ELSE tenantd.clock() END,
               paused_until = coalesce($3::timestamptz, tenantd.clock() + $4::interval),
               pause_reason = $2,
               updated_at = tenantd.clock()
         WHERE external_id = $1
        "#,
        external_id,
        reason,
        end.at(),
        end.after().map(interval) as _
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// [`Store::resume`], in a transaction or alone.
pub(super) async fn resume<'c>(executor: impl PgExecutor<'c>, external_id: &str) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"
        -- tenants.resume
        WITH resumed AS (
            UPDATE tenantd.tenants
               SET paused_at = NULL,
                   paused_until = NULL,
                   pause_reason = NULL,
                   -- What it was kept from is not held against it.
                   progress_at = tenantd.clock(),
                   updated_at = tenantd.clock()
             WHERE external_id = $1 AND paused_at IS NOT NULL
            RETURNING tenant_id, ready_at
        ), excused AS (
            -- Nor counted by the objective.
            DELETE FROM tenantd.awaited AS a USING resumed AS r
             WHERE a.tenant_id = r.tenant_id AND r.ready_at IS NULL AND a.since <= tenantd.clock()
        )
        SELECT count(*) AS "resumed!" FROM resumed
        "#,
        external_id
    )
    .fetch_one(executor)
    .await?;
    Ok(done.resumed == 1)
}
