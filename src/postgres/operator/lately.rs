//! The tenants that became ready lately: how long it took, and whose the time was.
//!
//! The rule: nobody looks through the fleet. Whoever became ready left a line in the history,
//! and only the newest lines are looked at.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::blame::Spent;
use crate::postgres::{Store, StoreError};

/// Most lines of the history that are looked at.
const LINES: i64 = 20_000;
/// Most tenants of a sample.
const TENANTS: i64 = 1_000;

/// The tenants that became ready last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lately {
    /// How many they are.
    pub tenants: i64,
    /// When the first of them was ready.
    pub since: DateTime<Utc>,
    /// How long half of them took at most.
    pub p50: Duration,
    /// How long 95 of 100 took at most.
    pub p95: Duration,
    /// How long all took together.
    pub whole: Duration,
    /// Whose that time was.
    pub spent: Spent,
}

impl Store {
    /// Up to 1,000 tenants that became ready last, of the last 20,000 lines of the history; none where
    /// nobody did.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn ready_lately(&self) -> Result<Option<Lately>, StoreError> {
        let row = sqlx::query!(
            r#"
            -- tenants.ready_lately
            WITH lines AS MATERIALIZED (
                SELECT tenant_id, started_at, duration_ms, phase, effect, outcome
                  FROM tenantd.attempts
                 ORDER BY started_at DESC
                 LIMIT $1
            ), said AS MATERIALIZED (
                -- By what a tenant becomes ready; some are of an earlier life or of a later secret.
                SELECT tenant_id, started_at, duration_ms
                  FROM lines
                 WHERE phase = 'ready' AND outcome = 'done' AND effect IN ('prove', 'adopt')
                 ORDER BY started_at DESC
                 LIMIT 2 * $2::bigint
            ), lately AS MATERIALIZED (
                SELECT t.ready_at, t.spent, extract(epoch FROM t.ready_at - t.created_at) * 1000000 AS took
                  FROM said AS l
                  JOIN tenantd.tenants AS t ON t.tenant_id = l.tenant_id
                 -- The line that says so.
                 WHERE t.ready_at >= l.started_at
                   AND t.ready_at <= l.started_at + make_interval(secs => l.duration_ms / 1000.0 + 60)
                 ORDER BY l.started_at DESC
                 LIMIT $2
            )
            SELECT count(*) AS "tenants!", min(ready_at) AS since,
                   percentile_disc(0.5) WITHIN GROUP (ORDER BY took)::bigint AS p50,
                   percentile_disc(0.95) WITHIN GROUP (ORDER BY took)::bigint AS p95,
                   sum(took)::bigint AS whole,
                   ARRAY[coalesce(sum(spent[1]), 0), coalesce(sum(spent[2]), 0), coalesce(sum(spent[3]), 0),
                         coalesce(sum(spent[4]), 0), coalesce(sum(spent[5]), 0)]::bigint[] AS spent
              FROM lately
            "#,
            LINES,
            TENANTS
        )
        .fetch_one(&self.connections)
        .await?;
        let micros = |value: Option<i64>| {
            Duration::from_micros(value.and_then(|value| u64::try_from(value).ok()).unwrap_or_default())
        };
        Ok(row.since.map(|since| Lately {
            tenants: row.tenants,
            since,
            p50: micros(row.p50),
            p95: micros(row.p95),
            whole: micros(row.whole),
            spent: row.spent.as_deref().map(Spent::from_microseconds).unwrap_or_default(),
        }))
    }
}
