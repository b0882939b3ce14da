//! A tenant, as `tenantd tenant show` and the API tell of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::attempts::Attempt;
use crate::postgres::tenants::Status;

/// The columns of `tenantd.status`, and `attempts`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Shown {
    /// Where it stands.
    #[serde(flatten)]
    pub status: Status,
    /// What was tried last, the oldest first.
    pub attempts: Vec<Attempt>,
}
