//! What is left to do, and for how long the first of it has waited.
//!
//! The rule: only the rows under way, or the first of each region, are asked, however large the
//! fleet is.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::postgres::{Store, StoreError, duration};

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

impl Store {
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
            WITH due_up_to AS (
                -- As far as a claim reads.
                SELECT tenantd.clock() + CASE WHEN EXISTS (
                           SELECT FROM tenantd.tenants WHERE priority < 0 AND due_at <= tenantd.clock())
                       THEN interval '100 minutes' ELSE interval '0' END AS horizon)
            SELECT (extract(epoch FROM tenantd.clock() - min(d.due_at)) * 1000)::bigint AS oldest_ms
              FROM (SELECT '' AS region UNION ALL SELECT region FROM tenantd.regions) AS r
             CROSS JOIN LATERAL (
                   SELECT due_at, tenantd.is_leased(t) AS is_leased, paused_at, paused_until
                     FROM tenantd.tenants AS t
                    WHERE region = r.region
                      AND tenantd.rank_of(due_at, priority) <= (SELECT horizon FROM due_up_to)
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
        Ok(duration(oldest.unwrap_or(0)))
    }
}
