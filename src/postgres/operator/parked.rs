//! Tenants that wait for somebody, reason by reason.
//!
//! The rule: nobody looks through the fleet. Few are told by name, and those are found in an
//! index that holds their reasons.

use chrono::{DateTime, Utc};

use crate::postgres::{Store, StoreError};

/// A tenant that waits for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedTenant {
    /// Why.
    pub reason: String,
    /// The pipeline's key.
    pub external_id: String,
    /// Where it lives.
    pub host: String,
    /// The reason in words.
    pub message: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl Store {
    /// The first tenants of each of these reasons, in the order of their keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn parked_for(
        &self,
        reasons: &[String],
        of_each: u32,
    ) -> Result<Vec<ParkedTenant>, StoreError> {
        Ok(sqlx::query_as!(
            ParkedTenant,
            r#"
            -- parked.first
            SELECT r.reason AS "reason!", t.external_id, t.host, t.message, t.reason_since AS since
              FROM unnest($1::text[]) AS r (reason)
             CROSS JOIN LATERAL (
                   -- Served by an index that holds the reason too.
                   SELECT external_id FROM tenantd.tenants
                    WHERE parked_reason IS NOT NULL AND parked_reason = r.reason
                    ORDER BY external_id
                    LIMIT $2) AS f
              JOIN tenantd.tenants AS t ON t.external_id = f.external_id
             WHERE t.parked_reason = r.reason
             ORDER BY r.reason, t.external_id
            "#,
            reasons,
            i64::from(of_each)
        )
        .fetch_all(&self.connections)
        .await?)
    }
}
