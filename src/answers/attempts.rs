//! The lines of a tenant's history.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::postgres::operator::attempts::PastAttempt;

/// An attempt: the columns of `tenantd.attempts`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempt {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What was tried.
    pub effect: String,
    /// `done`, or the retry class of the failure.
    pub outcome: String,
    /// The phase after it.
    pub phase: String,
    /// Status of Qlik's answer.
    pub http_status: Option<i16>,
    /// Qlik's error code.
    pub error_code: Option<String>,
    /// Qlik's trace id.
    pub trace_id: Option<String>,
    /// What happened, in words of ours.
    pub message: Option<String>,
}

impl From<PastAttempt> for Attempt {
    fn from(past: PastAttempt) -> Self {
        Self {
            started_at: past.started_at,
            duration_ms: u64::try_from(past.took.as_millis()).unwrap_or(u64::MAX),
            effect: past.effect,
            outcome: past.outcome,
            phase: past.phase,
            http_status: past.http_status,
            error_code: past.error_code,
            trace_id: past.trace_id,
            message: past.message,
        }
    }
}
