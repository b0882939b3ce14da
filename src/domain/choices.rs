//! What tenants may be asked for by name: phases and reasons.
//!
//! The rule: the lists are those of the schema, so that a typing error is told at once.

use crate::domain::phase::Phase;
use crate::domain::reason::{ParkReason, WaitReason};

/// The reason of a tenant that is removed.
pub const REMOVED: &str = "Removed";

/// Reasons that `tenantd.status` derives from the row.
const DERIVED: [&str; 7] =
    ["Queued", "Working", "NotBefore", "BreakerOpen", "AwaitingBudget", "Paused", REMOVED];

/// Every phase.
#[must_use]
pub fn phases() -> Vec<&'static str> {
    Phase::ALL.map(Phase::as_str).to_vec()
}

/// Every reason why a tenant is not ready, in the order of the alphabet.
#[must_use]
pub fn reasons() -> Vec<&'static str> {
    let (waits, parks) = (WaitReason::ALL.map(WaitReason::as_str), ParkReason::ALL.map(ParkReason::as_str));
    let mut all: Vec<&'static str> = DERIVED.into_iter().chain(waits).chain(parks).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a tenant of this reason is parked, whatever else is true of it.
#[must_use]
pub fn is_of_parked_alone(reason: &str) -> bool {
    let waits = WaitReason::ALL.map(WaitReason::as_str);
    ParkReason::ALL.map(ParkReason::as_str).contains(&reason)
        && !waits.contains(&reason)
        && !DERIVED.contains(&reason)
}
