//! How far removals are behind the deletion of the client, kept between two visits.
//!
//! Revoking takes as many visits as the pacing of requests makes it. The row says only
//! that the tenant is being removed; whoever knows no more begins with the deletion,
//! which is done already, and with the first page of tokens.
//!
//! The rule: what is kept here only spares work. It counts for nothing but the very
//! client that the row names, and there are never more than [`CAPACITY`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::ids::TenantId;
use crate::domain::tenant::Removal;

/// Most removals kept; beyond that all are dropped.
const CAPACITY: usize = 4096;

/// Where removals are.
#[derive(Debug, Default)]
pub(super) struct Midway(Mutex<HashMap<TenantId, Removal>>);

impl Midway {
    /// Keeps where a removal is until the next visit.
    pub(super) fn put(&self, tenant: TenantId, removal: Removal) {
        // Nothing panics while it is locked.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CAPACITY {
            kept.clear();
        }
        kept.insert(tenant, removal);
    }

    /// Takes where the tenant's removal was.
    pub(super) fn take(&self, tenant: TenantId) -> Option<Removal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant)
    }
}
