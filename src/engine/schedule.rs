//! Housekeeping on a schedule.
//!
//! `tokio-cron-scheduler` is only a ticker: its jobs put a token into a channel of
//! one and nothing else, so that a slow job never overlaps itself and a panic
//! cannot hide in it. What is due is judged by the database, so that any replica
//! may do it and none does it twice; what every replica does for itself (its gauges,
//! its configuration's regions) needs no slot.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job as Ticker, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::generations::Generations;
use super::pulse::Task;
use crate::domain::rollout::Stage;
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::postgres::fleet::objective::Judged;
use crate::postgres::fleet::schedules::Job;
use crate::telemetry;

/// How often the slots of the fleet's jobs are asked for: every five seconds.
const SLOTS: &str = "*/5 * * * * *";
/// When the gauges are refreshed: every 15 seconds.
const GAUGE: &str = "*/15 * * * * *";
/// When rows are sorted by the regions again, for those that a daemon of an earlier
/// configuration left behind: every minute.
const ADOPT: &str = "30 * * * * *";
/// Slices that are woken after a rejoin before the other jobs have their turn.
const WAKING: u32 = 100;
/// Rows deleted by one statement, so that none takes long.
const PRUNE_BATCH: u32 = 5_000;

impl<Q: QlikApi> Generations<Q> {
    /// Runs the housekeeping until stopped.
    ///
    /// # Errors
    ///
    /// [`JobSchedulerError`] when the ticker cannot be started.
    pub async fn run_schedules(&self, stop: CancellationToken) -> Result<(), JobSchedulerError> {
        let mut scheduler = JobScheduler::new().await?;
        let mut slots = tick(&scheduler, SLOTS).await?;
        let mut gauge = tick(&scheduler, GAUGE).await?;
        let mut adopt = tick(&scheduler, ADOPT).await?;
        scheduler.start().await?;
        let keep = async {
            loop {
                let turn = async {
                    tokio::select! {
                        Some(()) = slots.recv() => self.now().take_slots().await,
                        Some(()) = gauge.recv() => self.now().gauge().await,
                        Some(()) = adopt.recv() => self.now().adopt_regions().await,
                    }
                };
                // A ticker that has died makes a turn that takes too long.
                let engine = self.now();
                if let Err(error) = engine.pulse.turn(Task::Upkeep, engine.clock.as_ref(), turn).await {
                    engine.outage.note(&error);
                }
            }
        };
        // Also in the middle of a statement: each may be left undone until next time.
        stop.run_until_cancelled(keep).await;
        scheduler.shutdown().await
    }
}

impl<Q: QlikApi> Engine<Q> {
    /// The same under one configuration.
    ///
    /// # Errors
    ///
    /// As of [`Generations::run_schedules`].
    pub async fn run_schedules(self: Arc<Self>, stop: CancellationToken) -> Result<(), JobSchedulerError> {
        Generations::new(self).run_schedules(stop).await
    }

    /// Does what is due for the whole fleet and nobody else has taken.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; what was taken is then done at its next slot.
    pub async fn take_slots(&self) -> Result<(), StoreError> {
        for job in self.store.take_slots().await? {
            match job {
                Job::Prune => self.prune().await?,
                Job::PlanAudits => {
                    self.store.plan_audits(self.terms.policy.audit_every).await?;
                }
                Job::RollOut => self.roll_out().await?,
                Job::FoldCounts => {
                    self.store.fold_counts().await?;
                }
                Job::JudgeObjective => {
                    let tell = |judged: Judged| telemetry::count_judged(judged.met, judged.missed);
                    self.store.judge_objective(self.terms.ready_within, tell).await?;
                }
                Job::Distrust => {
                    let woken = self.store.wake_distrusted(self.terms.policy.settle, WAKING).await?;
                    if woken > 0 {
                        tracing::info!(woken, "woke {woken} tenants to be looked at");
                    }
                }
            }
        }
        Ok(())
    }

    /// Sorts the rows by the regions of this configuration.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn adopt_regions(&self) -> Result<(), StoreError> {
        let sorted = self.store.adopt_regions(&self.terms.claim_terms()).await?;
        if sorted > 0 {
            tracing::info!(sorted, "sorted {sorted} tenants by the configured regions");
        }
        Ok(())
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let mut pruned = 0;
        loop {
            let batch = self.store.prune_history(self.terms.keep_history, PRUNE_BATCH).await?;
            pruned += batch;
            if batch < u64::from(PRUNE_BATCH) {
                break;
            }
        }
        self.store.prune_changes(self.terms.keep_history).await?;
        self.store.prune_keys().await?;
        tracing::info!(pruned, "pruned {pruned} attempts from the history");
        Ok(())
    }

    /// Counts the fleet for the metrics.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn gauge(&self) -> Result<(), StoreError> {
        telemetry::report_fleet(
            self.store.phases().await?.into_iter().map(|of| (of.phase, of.tenants)),
            self.store.parked_reasons().await?.into_iter().map(|of| (of.reason, of.tenants)),
        );
        telemetry::report_care(
            self.store.drifted().await?,
            self.store.rollouts().await?.into_iter().map(|r| (r.kind, r.stage == Stage::Halted.as_str())),
            self.store.removals().await?.waiting,
            self.store.hold().await?.map(|held| held.hold()),
        );
        self.gauge_breakers(&self.store.breakers().await?);
        self.gauge_rights(&self.store.missing_rights().await?);
        let oldest: Duration = self.store.oldest_due().await?;
        metrics::gauge!(telemetry::OLDEST_DUE_SECONDS).set(oldest.as_secs_f64());
        // Last: while one of them cannot be read, all of them are as old as this says.
        telemetry::report_read(self.clock.now());
        Ok(())
    }
}

async fn tick(scheduler: &JobScheduler, cron: &str) -> Result<mpsc::Receiver<()>, JobSchedulerError> {
    let (ticks, due) = mpsc::channel(1);
    let job = Ticker::new(cron, move |_, _| {
        // A full channel means that the last tick is still being worked on.
        ticks.try_send(()).ok();
    })?;
    scheduler.add(job).await?;
    Ok(due)
}
