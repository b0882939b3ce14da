//! How long a record has been without progress, what ails it, and why it rests.
//!
//! The rule: an ailment is measured from the first of its kind, and ends with what proves that it
//! is over.

use super::super::machine::{Ailment, Decision, Progress, Rest, SecretChange};
use super::super::when::When;
use super::columns::{Record, Seen, Tried};
use super::due;

impl Record {
    pub(super) fn note_progress(&mut self, before: &Self, decision: &Decision, tried: Option<Tried>) {
        let (tenant, ailment) = (&decision.tenant, decision.ailment);
        let is_made = decision.progress == Progress::Made;
        self.progress = match decision.progress {
            Progress::Made => When::NOW,
            Progress::Excused(waited) => before.progress.moved(waited),
            Progress::None => before.progress,
        };
        let began = |since: Option<When>, is_on: bool| since.or(Some(When::NOW)).filter(|_| is_on);
        let is_refused = tenant.refused_for.is_some() || ailment == Some(Ailment::ProofRefused);
        self.proof_refused = began(before.proof_refused, is_refused);
        let is_missing = tenant.missing_for.is_some() || ailment == Some(Ailment::ClientMissing);
        self.client_missing = began(before.client_missing, is_missing);
        self.credential_refused = match ailment {
            Some(Ailment::CredentialRefused) => Some(When::NOW),
            Some(
                Ailment::ProofRefused
                | Ailment::ClientMissing
                | Ailment::RightRefused(_)
                | Ailment::RightAwaited(_),
            )
            | None => before.credential_refused.filter(|_| !is_made),
        };
        self.note_right(before, decision, tried);
    }

    fn note_right(&mut self, before: &Self, decision: &Decision, tried: Option<Tried>) {
        let (awaited, is_refused_now) = match decision.ailment {
            Some(Ailment::RightRefused(effect)) => (Some(effect), true),
            Some(Ailment::RightAwaited(effect)) => (Some(effect), false),
            Some(Ailment::ProofRefused | Ailment::ClientMissing | Ailment::CredentialRefused) | None => {
                (None, false)
            }
        };
        // Kept beyond other progress: it tells whether others were granted it since.
        let is_granted =
            tried.is_some_and(|tried| tried.is_done && Some(tried.effect) == before.awaits_right);
        let is_forgotten = decision.secret == SecretChange::Shred || is_granted;
        let known = before.right_refused.filter(|_| !is_forgotten);
        (self.awaits_right, self.right_refused) = match awaited {
            Some(effect) if before.awaits_right == Some(effect) => {
                (Some(effect), if is_refused_now { before.right_refused.or(Some(When::NOW)) } else { known })
            }
            Some(effect) => (Some(effect), is_refused_now.then_some(When::NOW)),
            None => (before.awaits_right.filter(|_| !is_forgotten), known),
        };
    }

    pub(super) fn note_reason(&mut self, before: &Self, decision: &Decision, seen: &Seen) {
        let text = |reason: &'static str| Some(reason.to_owned());
        (self.wait_reason, self.parked_reason, self.message) = match &decision.rest {
            // More to do, but nothing gained yet: what the row waited for stays its story.
            Rest::Hold | Rest::Requeue | Rest::Still if decision.progress != Progress::Made => {
                (before.wait_reason.clone(), None, before.message.clone())
            }
            Rest::Hold | Rest::Requeue | Rest::Still | Rest::Settled => (None, None, None),
            Rest::Wait { reason, message, .. } => (text(reason.as_str()), None, Some(message.clone())),
            Rest::Park { reason, message } => {
                // What may go now goes, whatever stood in its way.
                let is_going = due::may_be_removed(self, seen);
                (None, text(reason.as_str()).filter(|_| !is_going), Some(message.clone()))
            }
        };
        let said = |record: &Self| (record.phase, record.wait_reason.clone(), record.parked_reason.clone());
        if said(self) != said(before) {
            self.reason_since = When::NOW;
        }
    }
}
