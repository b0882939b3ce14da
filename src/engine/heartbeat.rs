//! The heartbeat: renews every lease of this process in one batch, and looks around.
//!
//! The rule: it holds nothing while it waits; a beat that fails leaves every lease as certain
//! as it was.

use tokio_util::sync::CancellationToken;

use super::Engine;
use super::generations::Generations;
use super::pulse::Task;
use crate::ports::QlikApi;
use crate::postgres::StoreError;

impl<Q: QlikApi> Generations<Q> {
    /// Renews every lease in one batch, three times in a lease, until stopped.
    pub async fn heartbeat(&self, stop: &CancellationToken) {
        let beats = async {
            loop {
                let before = self.now();
                before.pulse.sleep(Task::Heartbeat, before.clock.as_ref(), before.terms.lease / 3).await;
                let engine = self.now();
                let beat = engine.pulse.turn(Task::Heartbeat, engine.clock.as_ref(), engine.beat());
                if let Err(error) = beat.await {
                    engine.outage.note(&error);
                }
            }
        };
        stop.run_until_cancelled(beats).await;
    }
}

impl<Q: QlikApi> Engine<Q> {
    /// One heartbeat.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the leases then stay as certain as they were.
    pub async fn beat(&self) -> Result<(), StoreError> {
        self.leases.forget_left(self.clock.elapsed());
        let held = self.leases.held();
        if !held.is_empty() {
            let sent_at = self.clock.elapsed();
            let renewed = self.store.renew(&held, self.terms.lease).await?;
            let lost = self.leases.renewed(&held, &renewed, sent_at + self.terms.lease);
            if lost > 0 {
                metrics::counter!(crate::telemetry::LEASES_LOST_TOTAL).increment(lost as u64);
                tracing::warn!(lost, "{lost} leases were taken over; their workers stop");
            }
        }
        self.store.look_around().await?;
        self.report_tokens().await
    }
}
