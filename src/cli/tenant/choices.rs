//! What may be asked for by name: phases and reasons.
//!
//! The rule: the lists are those of the schema, so that a typing error is told at once.

use clap::builder::PossibleValuesParser;

use super::standing::REMOVED;
use crate::domain::phase::Phase;
use crate::domain::reason::{ParkReason, WaitReason};

/// Reasons that `tenantd.status` derives from the row.
const DERIVED: [&str; 7] =
    ["Queued", "Working", "NotBefore", "BreakerOpen", "AwaitingBudget", "Paused", REMOVED];

pub(super) fn phases() -> PossibleValuesParser {
    PossibleValuesParser::new(Phase::ALL.map(Phase::as_str))
}

pub(super) fn reasons() -> PossibleValuesParser {
    let (waits, parks) = (WaitReason::ALL.map(WaitReason::as_str), ParkReason::ALL.map(ParkReason::as_str));
    let mut all: Vec<&'static str> = DERIVED.into_iter().chain(waits).chain(parks).collect();
    all.sort_unstable();
    all.dedup();
    PossibleValuesParser::new(all)
}

pub(super) fn park_reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(ParkReason::ALL.map(ParkReason::as_str))
}
