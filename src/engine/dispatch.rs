//! The claim loop: fills free places with due tenants, in batches.
//!
//! It wakes on a call from Postgres, on a freed place, and on its poll; a claim
//! that came back full is followed by another at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};

use super::Engine;
use super::generations::Generations;
use super::pulse::Task;
use super::shutdown::Stop;
use crate::ports::QlikApi;
use crate::postgres::{StoreError, work::claim::ClaimTerms};
use crate::telemetry;

/// Most rows of one claim.
const BATCH: usize = 64;

/// How often removals are let through, at most: while some wait, that counts the fleet.
const ADMIT_EVERY: Duration = Duration::from_secs(1);

/// Pause after a claim that failed for a reason that waiting does not mend.
const DEFECT_AGAIN: Duration = Duration::from_secs(10);

/// When to stop by oneself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Never.
    Daemon,
    /// When nothing is due any more.
    Once,
}

/// What was left when the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Leases that were not given back and run out by themselves.
    pub leases: usize,
}

impl<Q: QlikApi> Generations<Q> {
    /// Claims and works until `stop`, or in [`Mode::Once`] until nothing is due.
    ///
    /// # Errors
    ///
    /// In [`Mode::Once`] the error of the first claim that fails: nobody waits there.
    /// Steps in flight have then had as long as a lease to end.
    pub async fn dispatch(&self, wake: &Notify, stop: &Stop, mode: Mode) -> Result<Left, StoreError> {
        let mut engine = self.now();
        let mut terms = engine.terms.claim_terms();
        let mut workers = JoinSet::new();
        let mut admit_at = Duration::ZERO;
        // One that is broken off is repeated by the upkeep.
        let mut sorting = JoinSet::new();
        while !stop.drain.is_cancelled() {
            let newest = self.now();
            if !Arc::ptr_eq(&engine, &newest) {
                terms = newest.terms.claim_terms();
                engine = newest;
                // From here on: a claim under the one before would put rows back where they were.
                sorting.shutdown().await;
                sorting.spawn(Arc::clone(&engine).sort());
            }
            let room = engine.places.room(workers.len());
            let now = engine.clock.elapsed();
            let is_time_to_admit = now >= admit_at;
            if is_time_to_admit {
                admit_at = now + ADMIT_EVERY;
            }
            let filled = engine.fill(self, &terms, room.min(BATCH), is_time_to_admit, stop, &mut workers);
            let filled = engine.pulse.turn(Task::Claims, engine.clock.as_ref(), filled);
            // What an unanswered claim leased runs out by itself.
            let Some(filled) = stop.abort.run_until_cancelled(filled).await else { break };
            let is_drained = match filled {
                Ok(is_drained) => is_drained,
                Err(error) if mode == Mode::Once && !error.is_contended() && !error.is_elsewhere() => {
                    return engine.give_up(error, workers, stop).await;
                }
                Err(error) => {
                    engine.claim_failed(&error, stop).await;
                    continue;
                }
            };
            if mode == Mode::Once && is_drained && workers.is_empty() {
                break;
            }
            // Whoever woke us may have asked for a removal, which is let through when it is time.
            let till_admission = admit_at.saturating_sub(now);
            let poll = engine.terms.poll;
            let again = if is_time_to_admit { poll } else { poll.min(till_admission) };
            engine.wait(is_drained, again, [wake, &self.replaced], stop, &mut workers).await;
        }
        Ok(engine.finish(workers, stop).await)
    }
}

impl<Q: QlikApi> Engine<Q> {
    /// The same under one configuration.
    ///
    /// # Errors
    ///
    /// As of [`Generations::dispatch`].
    pub async fn dispatch(
        self: &Arc<Self>,
        wake: &Notify,
        stop: &Stop,
        mode: Mode,
    ) -> Result<Left, StoreError> {
        Generations::new(Arc::clone(self)).dispatch(wake, stop, mode).await
    }

    /// Claims for the free places and the line, and starts a worker on each row. Returns whether
    /// nothing more was due.
    async fn fill(
        &self,
        generations: &Generations<Q>,
        terms: &ClaimTerms,
        room: usize,
        is_time_to_admit: bool,
        stop: &Stop,
        workers: &mut JoinSet<()>,
    ) -> Result<bool, StoreError> {
        if room == 0 {
            // Every worker may be waiting for the very database that is not the recognised one.
            self.store.look_around().await?;
            return Ok(false);
        }
        if is_time_to_admit {
            self.admit_removals().await?;
        }
        let asked_at = self.clock.elapsed();
        let claims = self.claim(terms, room).await?;
        self.outage.ended();
        metrics::counter!(telemetry::CLAIMS_TOTAL).increment(1);
        let is_drained = claims.touched < room;
        for row in claims.rows {
            let lease = self.leases.hold(row.tenant_id, row.fence, asked_at + self.terms.lease);
            let (generations, ticket) = (generations.clone(), self.places.line_up());
            let drain = stop.drain.clone();
            workers.spawn(async move { generations.work_in_turn(ticket, row, lease, &drain).await });
        }
        Ok(is_drained)
    }

    /// Sorts rows by the regions that hold now. Where the database is away, the upkeep does it.
    async fn sort(self: Arc<Self>) {
        if let Err(error) = self.adopt_regions().await {
            self.outage.note(&error);
        }
    }

    async fn claim_failed(&self, error: &StoreError, stop: &Stop) {
        if error.is_elsewhere() {
            // Boxed: it is rare, and would make every claim's future larger.
            let recognising = Box::pin(stop.abort.run_until_cancelled(self.recognise()));
            self.pulse.while_doing(Task::Claims, self.clock.as_ref(), recognising).await;
        }
        let again = if error.is_outage() || error.is_contended() {
            self.outage.began(error)
        } else {
            tracing::error!(error = %error, "no tenants could be claimed: {error}");
            DEFECT_AGAIN
        };
        let sleep = self.pulse.sleep(Task::Claims, self.clock.as_ref(), again);
        stop.drain.run_until_cancelled(sleep).await;
    }

    /// The database is not where it was: looks what it is, and goes on with what follows
    /// from that. Everybody else waits meanwhile, as in an outage.
    async fn recognise(&self) {
        match self.store.recognise(self.terms.policy.settle).await {
            Ok(recognition) => recognition.tell(),
            Err(error) => self.outage.note(&error),
        }
    }

    /// Waits until another claim makes sense: when there is room for several after a full one,
    /// else when called, when all are done, after `again`, or under another configuration.
    async fn wait(
        &self,
        is_drained: bool,
        again: Duration,
        [wake, replaced]: [&Notify; 2],
        stop: &Stop,
        workers: &mut JoinSet<()>,
    ) {
        let poll = self.pulse.sleep(Task::Claims, self.clock.as_ref(), again);
        tokio::pin!(poll);
        loop {
            let has_room = self.places.is_worth_a_claim(self.places.room(workers.len()));
            if has_room && !is_drained {
                return;
            }
            tokio::select! {
                () = stop.drain.cancelled() => return,
                () = wake.notified(), if has_room => return,
                () = &mut poll => return,
                () = replaced.notified() => return,
                () = self.places.changed() => continue,
                Some(ended) = workers.join_next() => report(ended),
            }
            while let Some(ended) = workers.try_join_next() {
                report(ended);
            }
            // Nothing more was due: only the last worker's end is news.
            if workers.is_empty() {
                return;
            }
        }
    }

    /// Ends a single run that cannot go on. A worker may still hold what exists nowhere
    /// else, so each has as long as its lease, if nobody renews it, could last.
    async fn give_up(
        &self,
        error: StoreError,
        workers: JoinSet<()>,
        stop: &Stop,
    ) -> Result<Left, StoreError> {
        stop.drain.cancel();
        tokio::time::timeout(self.terms.lease, self.finish(workers, stop)).await.ok();
        Err(error)
    }

    /// Lets every worker finish its step, unless told to break off.
    async fn finish(&self, mut workers: JoinSet<()>, stop: &Stop) -> Left {
        let drained = async {
            while let Some(ended) = workers.join_next().await {
                report(ended);
            }
        };
        if stop.abort.run_until_cancelled(drained).await.is_none() {
            // Counted first: a worker that is broken off lets go of its lease here, not in the row.
            let leases = self.leases.left(self.clock.elapsed());
            workers.abort_all();
            return Left { leases };
        }
        Left { leases: self.leases.left(self.clock.elapsed()) }
    }
}

/// A worker that panicked leaves its lease to run out; the others go on.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(
            "a worker panicked: a defect of tenantd, please report it; its tenant is taken up again when the lease has run out"
        );
    }
}
