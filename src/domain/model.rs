//! Random walks through the state machine, as workers, crashes and takeovers go.
//!
//! A walk draws everything from a list of numbers, so that a failing one shrinks
//! to a short list. After every decision it hands the step to a judge. [`walk`]
//! believes any outcome that fits; [`life`] asks a Qlik that keeps its word.
//!
//! The rule: a walk knows what a row keeps and nothing else ([`row`]).

pub(super) mod by_hand;
mod kept;
mod life;
mod outcomes;
mod qlik;
pub(super) mod row;
pub(super) mod stored;

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::failure::{Failure, FailureKind};
use super::ids::{InstallationId, TenantId};
use super::machine::effect::{Done, Effect, EffectKind};
use super::machine::failed::after_failure;
use super::machine::{Decision, IllegalOutcome, Next, Rest, after, checkpoint, next_effect};
use super::mark::Mark;
use super::retry::{Jitter, Policy};
use super::rights::MissingRights;
use super::tenant::{Due, State, Tenant};
use row::{Circumstances, Row};

/// A trace id and a stranger's text, to be found in no message.
pub(super) const NEVER_SHOWN: [&str; 2] = ["trace-0123456789", "a stranger's description"];

pub(super) const POLICY: Policy = Policy {
    base: Duration::from_secs(1),
    cap: Duration::from_mins(1),
    give_up_after: Duration::from_hours(24),
    settle: Duration::from_mins(2),
    prove_patience: Duration::from_mins(10),
    overlap: Duration::from_hours(48),
    audit_every: Some(Duration::from_hours(24)),
};

pub(super) const MARK: Mark =
    Mark { installation: InstallationId(Uuid::from_u128(1)), tenant: TenantId(Uuid::from_u128(2)) };

pub(super) use outcomes::{FAILURES, failed};

/// Where a walk's chance comes from; zero when it is used up.
pub(super) struct Choices<'a>(std::slice::Iter<'a, u32>);

impl<'a> Choices<'a> {
    pub(super) fn new(numbers: &'a [u32]) -> Self {
        Self(numbers.iter())
    }

    /// One of `0..count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let number = self.0.next().copied().unwrap_or(0);
        usize::try_from(number).unwrap_or(0) % count
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn are_used_up(&self) -> bool {
        self.0.len() == 0
    }
}

/// What came of an effect.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Done),
    Failed(Failure),
}

/// One decision, and what led to it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) before: Tenant,
    /// `None` where there was nothing to be done now.
    pub(super) effect: Option<Effect>,
    pub(super) done: Option<Done>,
    pub(super) failure: Option<FailureKind>,
    pub(super) decision: Decision,
}

impl Step {
    pub(super) fn kind(&self) -> Option<EffectKind> {
        self.effect.as_ref().map(Effect::kind)
    }
}

/// What may be sent, as far as it was looked at.
#[derive(Debug, Default)]
struct Looked {
    is_create_unseen: bool,
    is_compared: bool,
}

impl Looked {
    /// A create is repeated only after a look, and every mint needs a comparison of its own.
    fn sent(&mut self, effect: EffectKind) {
        match effect {
            EffectKind::Create => {
                assert!(!self.is_create_unseen, "a create was repeated without a look");
                self.is_create_unseen = true;
            }
            EffectKind::Mint => {
                assert!(self.is_compared, "a mint was sent without a comparison");
                self.is_compared = false;
            }
            EffectKind::Look
            | EffectKind::Compare
            | EffectKind::Tidy
            | EffectKind::Trust
            | EffectKind::Prove
            | EffectKind::Recheck
            | EffectKind::Dedupe
            | EffectKind::Audit
            | EffectKind::Amend
            | EffectKind::Delete
            | EffectKind::Revoke
            | EffectKind::DeleteBot => {}
        }
    }

    fn seen(&mut self, done: &Done) {
        match done {
            Done::Looked(_) => self.is_create_unseen = false,
            Done::Compared { .. } => self.is_compared = true,
            Done::Created { .. }
            | Done::Minted { .. }
            | Done::Tidied
            | Done::Trusted
            | Done::Proven
            | Done::Unopenable
            | Done::Rechecked(_)
            | Done::Deduped
            | Done::Audited(_)
            | Done::Amended
            | Done::Deleted
            | Done::Revoked { .. }
            | Done::BotDeleted => {}
        }
    }
}

/// Walks until the numbers are used up. `judge` sees every decision.
pub(super) fn walk(numbers: &[u32], judge: &mut impl FnMut(&Step)) -> Result<(), IllegalOutcome> {
    let mut choices = Choices::new(numbers);
    let mut looked = Looked::default();
    let mut row = Row::inserted();
    let mut worker: Option<Tenant> = None;
    while !choices.are_used_up() {
        if choices.one_in(30) {
            worker = worker.filter(|_| !row.is_unsent());
            row.turn();
        }
        let tenant = worker.take().unwrap_or_else(|| row.claim(&Circumstances::drawn(&mut choices)));
        let effect = match next_effect(&tenant) {
            Next::Do(effect) => effect,
            Next::Rest(rest) => {
                let step = rested(tenant, rest);
                judge(&step);
                row.commit(&step.decision);
                continue;
            }
        };
        if choices.one_in(15) {
            continue; // It died before the act.
        }
        looked.sent(effect.kind());
        let outcome = outcomes::of(&effect, &tenant, &mut choices);
        if choices.one_in(15) {
            continue; // It died before the commit.
        }
        if let Outcome::Done(done) = &outcome {
            looked.seen(done);
        }
        let step = decide(tenant, effect, outcome)?;
        judge(&step);
        let goes_on = row.commit(&step.decision);
        worker = (goes_on && !choices.one_in(15)).then(|| step.decision.tenant.clone());
        if step.decision.rest == Rest::Hold && worker.is_none() && !choices.one_in(4) {
            row.commit(&checkpoint(step.decision.tenant)); // It gave the lease back, and did not die.
        }
    }
    Ok(())
}

/// A worker found nothing to do now.
fn rested(before: Tenant, rest: Rest) -> Step {
    let decision = Decision { rest, ..checkpoint(before.clone()) };
    Step { before, effect: None, done: None, failure: None, decision }
}

fn decide(before: Tenant, effect: Effect, outcome: Outcome) -> Result<Step, IllegalOutcome> {
    let tenant = before.clone();
    let (decision, done, failure) = match outcome {
        Outcome::Done(done) => (after(tenant, &effect, done.clone(), &POLICY)?, Some(done), None),
        Outcome::Failed(failure) => {
            let jitter = Jitter::from_bits(1 << 31);
            (after_failure(tenant, &effect, &failure, &POLICY, jitter), None, Some(failure.kind))
        }
    };
    Ok(Step { before, effect: Some(effect), done, failure, decision })
}

/// A row just inserted.
pub(super) fn fresh() -> Tenant {
    Tenant {
        state: State::Pending,
        mark: MARK,
        stored: Vec::new(),
        snapshot: None,
        is_adopted: false,
        is_afresh: false,
        must_look: false,
        due: Due::default(),
        drift: Vec::new(),
        gone: Vec::new(),
        left: Vec::new(),
        hold: None,
        rights: MissingRights::default(),
        is_resting: false,
        last_failure: None,
        failures: 0,
        without_progress: Duration::ZERO,
        refused_for: None,
        missing_for: None,
    }
}

/// Numbers for `count` walks without a library's help, the same at every run.
pub(super) fn many_walks(count: u64) -> impl Iterator<Item = Vec<u32>> {
    (0..count).map(|seed| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u32::try_from(state >> 32).unwrap_or(0)
        };
        (0..400).map(|_| draw()).collect()
    })
}

/// Which reasons many walks come to.
pub(super) fn reasons_met(count: u64) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let (mut waits, mut parks) = (BTreeSet::new(), BTreeSet::new());
    for numbers in many_walks(count) {
        let mut note = |step: &Step| match &step.decision.rest {
            Rest::Wait { reason, .. } => drop(waits.insert(reason.as_str())),
            Rest::Park { reason, .. } => drop(parks.insert(reason.as_str())),
            Rest::Hold | Rest::Requeue | Rest::Settled | Rest::Still => {}
        };
        if let Err(defect) = walk(&numbers, &mut note) {
            panic!("{defect}");
        }
    }
    (waits, parks)
}
