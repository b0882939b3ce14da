//! A row between two leases: what a commit keeps of a decision, and what the next
//! claim makes of it.
//!
//! The rule: as in [`Record`], the claim and the owner's triggers; whatever a worker only
//! remembers is lost.

use std::time::Duration;

use super::stored::{inserted, seen};
use super::{Choices, POLICY, fresh};
use crate::domain::hints::Standing;
use crate::domain::machine::{Ailment, Decision, Rest, SecretChange};
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::record::{Record, Seen};
use crate::domain::tenant::{Due, Entry, RepairScope, State, Tenant, Unanswered};
use crate::domain::when::When;

/// A row as it is stored.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Row {
    pub(in crate::domain) tenant: Tenant,
    /// `desired_state` is present.
    pub(in crate::domain) is_wanted: bool,
}

/// What time and other people have brought when a row is claimed.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Circumstances {
    /// What went unanswered may still land.
    pub(in crate::domain) is_early: bool,
    /// What a ready tenant is due for.
    pub(in crate::domain) due: Due,
    /// The time of the previous secrets is over.
    pub(in crate::domain) is_retiring: bool,
    /// What is held.
    pub(in crate::domain) hold: Option<Hold>,
    /// The row came out of a backup.
    pub(in crate::domain) is_restored: bool,
    /// Since the last progress.
    pub(in crate::domain) without_progress: Duration,
    /// Since a refusal or a miss began.
    pub(in crate::domain) ailing: Duration,
}

impl Circumstances {
    /// All of them from one number, so that a walk is long on steps.
    pub(in crate::domain) fn drawn(choices: &mut Choices<'_>) -> Self {
        let mut number = choices.below(usize::MAX);
        let mut below = |count: usize| {
            let drawn = number % count;
            number /= count;
            drawn
        };
        let later = [1, 11, 25 * 60].map(Duration::from_mins);
        Self {
            is_early: below(2) == 1,
            due: Due {
                recheck: below(3) == 2,
                edit: below(4) == 3,
                repair: [None, None, Some(RepairScope::Consent), Some(RepairScope::All)][below(4)],
                rotation: below(2) == 1,
                audit: below(2) == 1,
                leavings: false,
            },
            is_retiring: below(3) == 2,
            hold: [Some(Hold::Deletions), Some(Hold::Changes)].get(below(16)).copied().flatten(),
            is_restored: below(12) == 11,
            without_progress: later[below(3)],
            ailing: later[below(3)],
        }
    }

    /// Everything is over that ever ends by itself or by an operator's word.
    pub(in crate::domain) fn calm() -> Self {
        let due = Due {
            recheck: true,
            edit: true,
            repair: Some(RepairScope::All),
            rotation: false,
            audit: true,
            leavings: false,
        };
        Self {
            is_early: false,
            due,
            is_retiring: true,
            hold: None,
            is_restored: false,
            without_progress: Duration::ZERO,
            ailing: Duration::from_mins(11),
        }
    }
}

impl Row {
    pub(in crate::domain) fn inserted() -> Self {
        Self { tenant: fresh(), is_wanted: true }
    }

    /// Whether a change of mind fences out whoever holds the row: nothing was sent.
    pub(in crate::domain) fn is_unsent(&self) -> bool {
        matches!(self.tenant.stand().phase, Phase::Pending | Phase::Removed)
    }

    /// The owner changes his mind.
    pub(in crate::domain) fn turn(&mut self) {
        self.is_wanted = !self.is_wanted;
        let turned = match (self.is_wanted, self.tenant.stand().phase) {
            (false, Phase::Pending) => Some(State::Removed { is_recheck_due: false }),
            (true, Phase::Removed) => Some(State::Pending),
            (_, _) => None,
        };
        if let Some(state) = turned {
            (self.tenant.state, self.tenant.must_look) = (state, true);
        }
        self.tenant.failures = 0;
    }

    /// Keeps a decision. Returns whether the worker goes on with it.
    pub(in crate::domain) fn commit(&mut self, decision: &Decision) -> bool {
        let began = |age: Option<Duration>, what: Ailment| {
            age.or_else(|| (decision.ailment == Some(what)).then_some(Duration::ZERO))
        };
        let refused_for = began(decision.tenant.refused_for, Ailment::ProofRefused);
        let missing_for = began(decision.tenant.missing_for, Ailment::ClientMissing);
        let must_look = decision.tenant.must_look || decision.secret == SecretChange::Shred;
        self.tenant = Tenant { must_look, refused_for, missing_for, ..decision.tenant.clone() };
        let phase = self.tenant.stand().phase;
        if phase == Phase::Removed && self.is_wanted {
            self.tenant.state = State::Pending;
        }
        decision.rest == Rest::Hold && (self.is_wanted || phase == Phase::Removing)
    }

    /// Leases the row to the next worker. A parked one was retried.
    pub(in crate::domain) fn claim(&mut self, found: &Circumstances) -> Tenant {
        self.tenant.must_look |= found.is_restored;
        let is_admitted = self.tenant.state == State::Pending;
        let mut tenant = Tenant {
            due: found.due,
            hold: found.hold,
            gone: vec![],
            without_progress: found.without_progress,
            refused_for: self.tenant.refused_for.map(|_| found.ailing),
            missing_for: self.tenant.missing_for.map(|_| found.ailing),
            ..self.tenant.clone()
        };
        for stored in &mut tenant.stored {
            stored.is_retiring = stored.standing == Standing::Previous && found.is_retiring;
        }
        tenant.due.leavings = tenant.has_leavings();
        tenant.state = match (is_admitted, tenant.must_look) {
            (true, false) => State::Creating(Entry::Cleared),
            (true, true) => State::Creating(Entry::Look { after_conflict: false }),
            (false, _) => self.taken_up(&tenant, found),
        };
        if is_admitted || matches!(tenant.state, State::Removing(_)) {
            self.tenant.state = tenant.state.clone(); // The claim itself records the intent.
        }
        tenant
    }

    /// As from the record that the decision left.
    fn taken_up(&self, tenant: &Tenant, found: &Circumstances) -> State {
        let stand = self.tenant.stand();
        let may_land = stand.unanswered.is_some() && found.is_early;
        let record = Record {
            phase: stand.phase,
            client: stand.client.cloned(),
            unanswered: stand.unanswered,
            settles: may_land.then(|| When::After(stand.settle.unwrap_or(POLICY.settle))),
            ..inserted()
        };
        let seen = Seen { is_present: self.is_wanted, is_admitted: !self.is_wanted, ..seen() };
        record.state(&seen, tenant).unwrap_or_else(|unreadable| panic!("nobody can take up: {unreadable}"))
    }

    /// What may be on its way.
    pub(in crate::domain) fn unanswered(&self) -> Option<Unanswered> {
        self.tenant.stand().unanswered
    }
}
