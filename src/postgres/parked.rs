//! Tenants that wait for somebody, reason by reason: shown, and retried together.
//!
//! The rules: **what was not counted before the eyes of whoever asks is not retried**: who
//! was parked later than that is left alone. The retry, its lines in the history and its key
//! are one transaction, and the key answers again what it answered first.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::tenants;
use super::verbs::{Verb, answer, keep_answer, keep_key};
use super::{Store, StoreError};

/// Most tenants of one retry: what is done within the time of a statement.
pub const MOST_AT_ONCE: i64 = 2_000;

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

/// Somebody asks that all be retried who are parked for one reason.
#[derive(Debug, Clone, Copy)]
pub struct RetryAll<'a> {
    /// The caller's, new for each time that it was asked.
    pub key: &'a str,
    /// A digest of what is asked for, and by whom.
    pub request: [u8; 32],
    /// For which reason they are parked.
    pub parked_reason: &'a str,
    /// When they were counted: who is parked since then stays so.
    pub counted_at: DateTime<Utc>,
    /// Why, in words of whoever asks.
    pub reason: &'a str,
    /// Who asks.
    pub by: &'a str,
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

    /// Retries all that were parked for a reason when they were counted, at most
    /// [`MOST_AT_ONCE`], once. Returns how many; `None` where the key stands for something else.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`]; whether it was done is then for the key to tell.
    pub async fn retry_all(&self, asked: &RetryAll<'_>) -> Result<Option<i64>, StoreError> {
        let mut transaction = self.connections.begin().await?;
        if !keep_key(&mut transaction, asked.key, &asked.request).await? {
            let told = answer(&mut transaction, asked.key, &asked.request).await?;
            transaction.commit().await?;
            return Ok(told.and_then(|told| told.as_i64()));
        }
        let chosen = sqlx::query_scalar!(
            r#"
            -- parked.choose
            SELECT external_id
              FROM tenantd.tenants
             WHERE parked_reason IS NOT NULL AND parked_reason = $1 AND reason_since <= $2 AND lease_holder IS NULL
             ORDER BY external_id
             LIMIT $3
               -- Waits for nobody: who is worked on is not parked any more.
               FOR NO KEY UPDATE SKIP LOCKED
            "#,
            asked.parked_reason,
            asked.counted_at,
            MOST_AT_ONCE
        )
        .fetch_all(&mut *transaction)
        .await?;
        let retried = tenants::retry(&mut *transaction, &chosen).await?;
        let message = format!("{}; asked for by {} over HTTP", asked.reason, asked.by);
        let verb = Verb::Retry.as_str();
        let told = self.record_all(&mut *transaction, &retried, verb, &message).await?;
        keep_answer(&mut transaction, asked.key, &Value::from(told)).await?;
        transaction.commit().await?;
        Ok(Some(told))
    }
}
