//! Who works on tenants now.

use serde::Serialize;
use utoipa::ToSchema;

use crate::postgres::work::lease::LeaseHolder;

/// Everybody who holds a lease.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Workers {
    /// Whoever has most comes first.
    pub workers: Vec<LeaseHolder>,
}
