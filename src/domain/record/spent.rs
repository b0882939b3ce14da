//! Whose the time was since the last commit, until the tenant is first ready.
//!
//! The rule: a rest is told apart when it ends, by what it was for until it was due, and is the
//! queue's from then on; an act is Qlik's, however it ended; **while nobody wants the tenant all of
//! its time is its owner's.**

use std::time::Duration;

use super::super::blame::{Blame, Spent};
use super::super::machine::{Decision, Rest};
use super::super::phase::Phase;
use super::super::reason::WaitReason;
use super::super::waiting::Awaited;
use super::super::when::When;
use super::columns::{Record, Seen, Tried};

impl Record {
    /// Adds what passed before this decision, and says what the record rests for from now on.
    pub(super) fn note_spent(
        &mut self,
        before: &Self,
        decision: &Decision,
        tried: Option<Tried>,
        seen: &Seen,
    ) {
        let is_worked_on = decision.rest == Rest::Hold;
        self.rested = (!is_worked_on).then_some(When::NOW);
        if decision.tenant.stand().phase == Phase::Removed {
            // The next life begins with this, whether it begins now or some day.
            self.spent = Spent::waiting_for_people(When::At(seen.created).age(seen.now));
            self.rests_for = Blame::Human;
            return;
        }
        self.spent = before.spent_until(seen, tried.map_or(Duration::ZERO, |tried| tried.took));
        self.rests_for = match &decision.rest {
            Rest::Hold | Rest::Requeue | Rest::Settled | Rest::Still => Blame::Queue,
            Rest::Wait { reason, .. } => Blame::of(*reason),
            Rest::Park { .. } => Blame::Human,
        };
    }

    /// The same where it rests on: what it was woken for ended no wait.
    pub(super) fn rest_on(&self, awaited: Option<Awaited>, seen: &Seen) -> Self {
        let rests_for = match awaited {
            Some(Awaited::Somebody | Awaited::Pause(_) | Awaited::Start(_)) => Blame::Human,
            Some(Awaited::Budget) => Blame::Limit,
            // Also where a pause came between.
            Some(Awaited::Backoff(_)) => {
                let reason = self.wait_reason.as_deref().and_then(WaitReason::parse);
                reason.map_or(Blame::Backoff, Blame::of)
            }
            None => Blame::Queue,
        };
        let spent = self.spent_until(seen, Duration::ZERO);
        Self { spent, rested: Some(When::NOW), rests_for, ..self.clone() }
    }

    /// An act was done whose decision is not written.
    pub fn note_took(&mut self, took: Duration) {
        if self.ready.is_none() {
            self.spent.add(Blame::Remote, took);
        }
    }

    /// It was claimed, and waited for a worker of this process.
    pub fn note_queued(&mut self, waited: Duration) {
        if self.ready.is_none() {
            self.spent.add(Blame::Queue, waited);
        }
    }

    fn spent_until(&self, seen: &Seen, took: Duration) -> Spent {
        let mut spent = self.spent;
        if self.ready.is_some() {
            return spent;
        }
        if let Some(rested) = self.rested {
            let (from, now) = (rested.at(seen.now).min(seen.now), seen.now);
            let due = self.due.map_or(now, |due| due.at(now)).clamp(from, now);
            spent.add(self.rests_for, When::At(from).age(due));
            spent.add(Blame::Queue, When::At(due).age(now));
        }
        spent.add(Blame::Remote, took);
        spent
    }
}

#[cfg(test)]
mod tests;
