//! What people are told of a tenant: whether it is ready, why not, and when somebody goes on.
//!
//! The rule: the stored reason, over which stands what time alone changes and what is true of
//! more than one tenant. No daemon's configuration counts: of a row that was not sorted yet
//! nobody can say which region it waits for.

use chrono::{DateTime, Utc};

use super::blocker::{Blocker, BlockerKind};
use super::facts::{Facts, Fleet};
use crate::domain::phase::Phase;

/// What the view says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// There is a proven credential.
    pub is_ready: bool,
    /// Why it is not ready, or why it is parked.
    pub reason: Option<String>,
    /// When somebody goes on by itself, at the earliest.
    pub next: Option<DateTime<Utc>>,
}

impl Facts {
    /// What is told of the row.
    #[must_use]
    pub fn told(&self) -> Told {
        let fleet = Fleet { configured: None, ..self.fleet.clone() };
        let blockers = Self { fleet, ..self.clone() }.blockers();
        Told { is_ready: self.row.is_ready(), reason: self.reason(&blockers), next: self.next(&blockers) }
    }

    fn reason(&self, blockers: &[Blocker]) -> Option<String> {
        let row = &self.row;
        if let Some(parked) = &row.parked_reason {
            return Some(parked.clone());
        }
        if row.known_phase() == Some(Phase::Removed) {
            return Some("Removed".to_owned());
        }
        if row.is_ready() {
            return None;
        }
        let first = blockers.iter().filter_map(|blocker| overlay(blocker.kind)).min();
        let is_refused = blockers.iter().any(|blocker| blocker.kind == BlockerKind::BreakerOpen);
        Some(match first {
            // Nothing of a region whose credential is refused is let through.
            Some(AWAITING_BUDGET) if is_refused => BREAKER_OPEN.1.to_owned(),
            Some((_, reason)) => reason.to_owned(),
            None => row.wait_reason.clone().unwrap_or_else(|| "Queued".to_owned()),
        })
    }

    fn next(&self, blockers: &[Blocker]) -> Option<DateTime<Utc>> {
        let row = &self.row;
        if row.known_phase() == Some(Phase::Removed) && row.recheck.is_none() {
            return None;
        }
        blockers.iter().try_fold(row.due?, |latest, blocker| {
            let until = match blocker.kind {
                BlockerKind::Working => None,
                // Its slice may come at any moment.
                BlockerKind::Rejoining => Some(latest),
                // The probe may close it.
                BlockerKind::BreakerOpen => self.probe(),
                BlockerKind::NotBefore
                | BlockerKind::NotDue
                | BlockerKind::Paused
                | BlockerKind::RegionPaused
                | BlockerKind::FleetPaused
                | BlockerKind::Parked
                | BlockerKind::AwaitingBudget
                | BlockerKind::DeletionsHeld
                | BlockerKind::ChangesHeld
                | BlockerKind::NothingDue
                | BlockerKind::RegionNotConfigured
                | BlockerKind::UnknownPhase => blocker.until,
            };
            Some(latest.max(until?))
        })
    }

    fn probe(&self) -> Option<DateTime<Utc>> {
        self.fleet.breakers.iter().find(|breaker| breaker.region == self.row.region)?.probe
    }
}

const AWAITING_BUDGET: (u8, &str) = (2, "AwaitingBudget");
const BREAKER_OPEN: (u8, &str) = (5, "BreakerOpen");

/// What stands over the stored reason; the least is told.
const fn overlay(kind: BlockerKind) -> Option<(u8, &'static str)> {
    match kind {
        BlockerKind::ChangesHeld => Some((0, "ChangesHeld")),
        BlockerKind::DeletionsHeld => Some((0, "DeletionsHeld")),
        // What is paused is not let through, whatever the budget has left.
        BlockerKind::Paused | BlockerKind::RegionPaused | BlockerKind::FleetPaused => Some((1, "Paused")),
        BlockerKind::NotBefore => Some((3, "NotBefore")),
        BlockerKind::Working => Some((4, "Working")),
        BlockerKind::BreakerOpen => Some(BREAKER_OPEN),
        BlockerKind::AwaitingBudget => Some(AWAITING_BUDGET),
        // Parked says its own; the others are what is stored, or nobody's but a daemon's.
        BlockerKind::Parked
        | BlockerKind::NothingDue
        | BlockerKind::NotDue
        | BlockerKind::Rejoining
        | BlockerKind::RegionNotConfigured
        | BlockerKind::UnknownPhase => None,
    }
}
