//! Rotations by day: since when the secrets of today serve, when they come of age, and what
//! rollouts renewed.
//!
//! The rule: one look at the index of current secrets, which holds no secret, and one at the
//! log of changes, which the budget keeps short.

use std::time::Duration;

use chrono::NaiveDate;

use crate::postgres::{Store, StoreError, interval};

/// Current secrets of one day, which come of age on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Since when they serve.
    pub since: NaiveDate,
    /// When they are of the age at which they are renewed; none where nothing is by age.
    pub due: Option<NaiveDate>,
    /// How many.
    pub secrets: i64,
}

/// What rollouts renewed on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// When it was let through.
    pub day: NaiveDate,
    /// `done`, `failed`, `skipped`; none while it is under way.
    pub outcome: Option<String>,
    /// How many.
    pub rotations: i64,
}

impl Store {
    /// How many current secrets serve since which day (UTC), and when they are to be renewed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn served_since(&self, every: Option<Duration>) -> Result<Vec<Served>, StoreError> {
        Ok(sqlx::query_as!(
            Served,
            r#"
            -- calendar.served
            SELECT (proven_at AT TIME ZONE 'UTC')::date AS "since!",
                   ((proven_at + $1::interval) AT TIME ZONE 'UTC')::date AS due,
                   count(*) AS "secrets!"
              FROM tenantd.secrets
             WHERE standing = 'current'
             GROUP BY 1, 2
             ORDER BY 1, 2
            "#,
            every.map(interval) as _
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// How many rotations of rollouts were let through on which day (UTC): today, and on so many
    /// days before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn renewed(&self, days: i32) -> Result<Vec<Renewed>, StoreError> {
        Ok(sqlx::query_as!(
            Renewed,
            r#"
            -- calendar.renewed
            SELECT (started_at AT TIME ZONE 'UTC')::date AS "day!", outcome, count(*) AS "rotations!"
              FROM tenantd.changes
             WHERE kind = 'rotation'
               -- From midnight on: a day is told whole.
               AND started_at >= date_trunc('day', tenantd.clock(), 'UTC') - make_interval(hours => 24 * $1)
             GROUP BY 1, 2
             ORDER BY 1, 2
            "#,
            days
        )
        .fetch_all(&self.connections)
        .await?)
    }
}
