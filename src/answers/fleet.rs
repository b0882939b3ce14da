//! The fleet: every brake on it, and how much is left of each budget.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::rollout::Bounds;
use crate::postgres::fleet::rights::MissingRight;
use crate::postgres::operator::fleet::{Held, RolloutStatus};
use crate::postgres::operator::pauses::Pause;
use crate::postgres::{Store, StoreError};

/// The kind of change that has a budget of its own.
const REMOVAL: &str = "removal";

/// What bounds changes to the fleet, and how many tenants are in which phase.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FleetStatus {
    /// Deletions at Qlik are held, or all changes.
    pub deletions_held: Option<Held>,
    /// Rights that regions lack.
    pub rights_missing: Vec<MissingRight>,
    /// Pauses of regions and of the fleet.
    pub pauses: Vec<Pause>,
    /// Where each kind of bounded change stands.
    pub rollouts: Vec<RolloutStatus>,
    /// What was let through in the last hour, and how much may be.
    pub budgets: Vec<HourlyBudget>,
    /// How many tenants are in which phase.
    pub phases: BTreeMap<String, i64>,
}

/// A budget of the last hour, over all replicas.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HourlyBudget {
    /// Its key in `[budget]`.
    pub name: &'static str,
    /// How many changes were let through.
    pub spent: i64,
    /// How many may be.
    pub limit: i64,
    /// How many wait for it, where that is counted.
    pub waiting: Option<i64>,
}

impl FleetStatus {
    /// As it is now, with these bounds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn of(bounds: &Bounds, store: &Store) -> Result<Self, StoreError> {
        let rollouts = store.rollouts().await?;
        Ok(Self {
            deletions_held: store.hold().await?,
            rights_missing: store.missing_rights().await?,
            pauses: store.pauses().await?,
            budgets: budgets(&rollouts, bounds, store).await?,
            rollouts,
            phases: store.phases().await?.into_iter().map(|of| (of.phase, of.tenants)).collect(),
        })
    }
}

async fn budgets(
    rollouts: &[RolloutStatus],
    bounds: &Bounds,
    store: &Store,
) -> Result<Vec<HourlyBudget>, StoreError> {
    let spent = |is_removal: bool| {
        let counted = rollouts.iter().filter(|rollout| (rollout.kind == REMOVAL) == is_removal);
        counted.map(|rollout| rollout.spent).sum()
    };
    let removals = store.removals().await?;
    let limit = removals.limit(bounds.removals_per_hour);
    Ok(vec![
        HourlyBudget {
            name: "removals_per_hour",
            spent: spent(true),
            limit,
            waiting: Some(removals.waiting),
        },
        HourlyBudget {
            name: "changes_per_hour",
            spent: spent(false),
            limit: bounds.changes_per_hour.into(),
            waiting: None,
        },
    ])
}
