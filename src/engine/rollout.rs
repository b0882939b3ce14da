//! What the daemon starts by itself, or is asked to do to many, in bounds.
//!
//! The rule: nothing here touches a tenant at Qlik. It lets rows through; workers do
//! the rest, each under its own lease.

use super::Engine;
use crate::domain::rollout::Stage;
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::postgres::fleet::rollouts::{Limits, Rollout};

impl<Q: QlikApi> Engine<Q> {
    /// Lets removals through as far as their budget goes.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn admit_removals(&self) -> Result<(), StoreError> {
        // Boxed, here and below: transactions make large futures, and every claim holds this one.
        let admitted = Box::pin(self.store.admit_removals(self.terms.bounds.removals_per_hour)).await?;
        if admitted > 0 {
            tracing::info!(admitted, "{admitted} removals begin");
        }
        Ok(())
    }

    /// One turn of every rollout that the configuration asks for.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn roll_out(&self) -> Result<(), StoreError> {
        let bounds = self.terms.bounds;
        let limits = Limits {
            changes_per_hour: bounds.changes_per_hour,
            canary: bounds.canary,
            max_failure_ratio: bounds.max_failure_ratio,
            give_up_after: self.terms.policy.give_up_after,
        };
        let rotation = self.terms.rotate_every.map(|every| Rollout::Rotation { every });
        let repair = self.terms.policy.audit_every.map(|_| Rollout::Repair { scope: self.terms.repair });
        for rollout in [rotation, repair].into_iter().flatten() {
            let (kind, turned) = (rollout.kind(), Box::pin(self.store.turn_rollout(rollout, &limits)).await?);
            if turned.stage == Stage::Halted && turned.before != Stage::Halted {
                let why = turned.message.unwrap_or_default();
                tracing::error!(%kind, "the rollout of {kind} has halted: {why}");
            } else if turned.stage != turned.before || turned.admitted > 0 {
                let (stage, admitted) = (turned.stage, turned.admitted);
                tracing::info!(%kind, %stage, admitted, "the rollout of {kind} is {stage}: {admitted} tenants let through");
            }
        }
        Ok(())
    }
}
