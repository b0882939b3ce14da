//! The fleet at a glance: what the status page begins with.
//!
//! The rule: it is read from kept counts, indexes of the few and samples, whatever the size of
//! the fleet.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::fleet::FleetStatus;
use super::regions::RegionStatus;
use crate::domain::choices::REMOVED;
use crate::domain::phase::Phase;
use crate::domain::rollout::Bounds;
use crate::postgres::fleet::counts::{Parked, Paused, Waiting};
use crate::postgres::operator::lately::Lately;
use crate::postgres::work::lease::LeaseHolder;
use crate::postgres::{Store, StoreError};

/// What an operator looks at first.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Overview {
    /// By the database's clock.
    pub read_at: DateTime<Utc>,
    pub fleet: FleetStatus,
    pub regions: Vec<RegionStatus>,
    /// Who waits for somebody, by reason.
    pub parked: Vec<Parked>,
    /// Who waits for something else, by reason.
    pub waiting: Vec<Waiting>,
    /// Who is paused by itself until somebody ends it.
    pub paused: Paused,
    pub lately: Option<Lately>,
    /// How long the longest has been due without anybody working on it.
    pub oldest_due: Duration,
    /// How many tenants differ in each way.
    pub drifted: Vec<(String, i64)>,
    pub workers: Vec<LeaseHolder>,
}

impl Overview {
    /// As it is now, with these bounds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn of(bounds: &Bounds, store: &Store) -> Result<Self, StoreError> {
        let waiting = store.waiting_reasons().await?;
        Ok(Self {
            read_at: store.now().await?,
            fleet: FleetStatus::of(bounds, store).await?,
            regions: RegionStatus::all(store).await?,
            parked: store.parked_reasons().await?,
            // A removed tenant may be looked at once more; nobody waits for it.
            waiting: waiting.into_iter().filter(|waiting| waiting.reason != REMOVED).collect(),
            paused: store.paused_alone().await?,
            lately: store.ready_lately().await?,
            oldest_due: store.oldest_due().await?,
            drifted: store.drifted().await?,
            workers: store.holders().await?,
        })
    }

    /// Whether no tenant is to have anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fleet.phases.iter().all(|(phase, tenants)| phase == Phase::Removed.as_str() || *tenants == 0)
    }

    /// How many tenants there are in a phase.
    #[must_use]
    pub fn in_phase(&self, phase: &str) -> i64 {
        self.fleet.phases.get(phase).copied().unwrap_or_default()
    }
}
