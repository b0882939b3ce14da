//! What waits for somebody, by reason.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::regions::RegionStatus;
use crate::postgres::fleet::counts::Paused;
use crate::postgres::operator::fleet::{Held, RolloutStatus};
use crate::postgres::operator::parked::ParkedTenant;
use crate::postgres::operator::pauses::Pause;
use crate::postgres::work::lease::LeaseHolder;
use crate::postgres::{Store, StoreError};

/// Tenants of each reason that are told by name.
const NAMED: u32 = 5;

/// Everything that only goes on when somebody acts.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Attention {
    /// By the database's clock.
    pub read_at: DateTime<Utc>,
    pub held: Option<Held>,
    pub pauses: Vec<Pause>,
    /// Who is paused by itself until somebody ends it.
    pub paused: Paused,
    pub regions: Vec<RegionStatus>,
    pub rollouts: Vec<RolloutStatus>,
    /// How long the longest has been due without anybody working on it.
    pub oldest_due: Duration,
    pub workers: Vec<LeaseHolder>,
    /// The most of them first.
    pub groups: Vec<Group>,
}

/// Tenants that are parked for one reason.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Group {
    pub reason: String,
    pub tenants: i64,
    /// Some of them.
    pub first: Vec<ParkedTenant>,
}

impl Attention {
    /// As it is now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn of(store: &Store) -> Result<Self, StoreError> {
        let mut counts = store.parked_reasons().await?;
        counts.sort_by_key(|counted| std::cmp::Reverse(counted.tenants));
        let reasons: Vec<String> = counts.iter().map(|counted| counted.reason.clone()).collect();
        let first = store.parked_for(&reasons, NAMED).await?;
        let group = |counted: crate::postgres::fleet::counts::Parked| Group {
            first: first.iter().filter(|tenant| tenant.reason == counted.reason).cloned().collect(),
            reason: counted.reason,
            tenants: counted.tenants,
        };
        Ok(Self {
            read_at: store.now().await?,
            held: store.hold().await?,
            pauses: store.pauses().await?,
            paused: store.paused_alone().await?,
            regions: RegionStatus::all(store).await?,
            rollouts: store.rollouts().await?,
            oldest_due: store.oldest_due().await?,
            workers: store.holders().await?,
            groups: counts.into_iter().map(group).collect(),
        })
    }
}
