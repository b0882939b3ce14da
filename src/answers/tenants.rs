//! A tenant, as `tenantd tenant show` and the API tell of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::attempts::Attempt;
use crate::domain::blame::{Blame, Spent};
use crate::postgres::operator::tenants::Status;

/// The columns of `tenantd.status`, whose the time was until it was ready, and `attempts`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Shown {
    /// Where it stands.
    #[serde(flatten)]
    pub status: Status,
    /// Whose the time was from its insert to its first ready, in seconds: `queue`, `limit`, `remote`,
    /// `backoff`, `human` and `us`, which add up to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_ready: Option<BTreeMap<String, f64>>,
    /// What was tried last, the oldest first.
    pub attempts: Vec<Attempt>,
}

impl Shown {
    /// What is known of a tenant.
    #[must_use]
    pub fn new(status: Status, spent: &Spent, attempts: Vec<Attempt>) -> Self {
        let named = |(blame, part): (Blame, Duration)| (blame.as_str().to_owned(), part.as_secs_f64());
        let time_to_ready = time_to_ready(&status, spent).map(|parts| parts.into_iter().map(named).collect());
        Self { status, time_to_ready, attempts }
    }
}

/// Whose the time was until it was ready, if it is.
#[must_use]
pub fn time_to_ready(status: &Status, spent: &Spent) -> Option<[(Blame, Duration); 6]> {
    let whole = status.ready_at? - status.created_at;
    Some(spent.of(whole.to_std().unwrap_or_default()))
}
