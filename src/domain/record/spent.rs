//! Whose the time was since the last commit, until the tenant is first ready.
//!
//! The rule: a rest is told apart when it ends, by what it was for until it was due, and is the
//! queue's from then on; an act is Qlik's, however it ended.

use super::super::blame::{Blame, Spent};
use super::super::machine::{Decision, Rest};
use super::super::reason::WaitReason;
use super::super::when::When;
use super::columns::{Record, Seen, Tried};
use super::due::Awaited;

impl Record {
    /// Adds what passed before this decision, and says what the record rests for from now on.
    pub(super) fn note_spent(
        &mut self,
        before: &Self,
        decision: &Decision,
        tried: Option<Tried>,
        seen: &Seen,
    ) {
        self.spent = before.spent_until(seen, tried);
        let is_worked_on = decision.rest == Rest::Hold;
        self.rested = (!is_worked_on).then_some(When::NOW);
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
            Some(Awaited::Backoff(_)) => self.waits_for(),
            None => Blame::Queue,
        };
        Self { spent: self.spent_until(seen, None), rested: Some(When::NOW), rests_for, ..self.clone() }
    }

    /// What its wait reason says, also where a pause came between.
    fn waits_for(&self) -> Blame {
        let known = |reason: &WaitReason| Some(reason.as_str()) == self.wait_reason.as_deref();
        WaitReason::ALL
            .iter()
            .find(|reason| known(reason))
            .map_or(Blame::Backoff, |reason| Blame::of(*reason))
    }

    fn spent_until(&self, seen: &Seen, tried: Option<Tried>) -> Spent {
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
        if let Some(tried) = tried {
            spent.add(Blame::Remote, tried.took);
        }
        spent
    }
}
