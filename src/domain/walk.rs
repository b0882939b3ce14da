//! Random walks through the state machine, as workers, crashes and takeovers go.
//!
//! A walk draws everything from a list of numbers, so that a failing one shrinks
//! to a short list. After every decision it hands the step to a judge.
//!
//! The rule: a walk knows what a row keeps and nothing else; whatever a worker
//! only remembers is lost when it rests or dies, as in `postgres::rows`.

mod outcomes;

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::effect::{Done, Effect, EffectKind};
use super::failure::{Failure, FailureKind};
use super::hints::StoredSecret;
use super::ids::{InstallationId, TenantId};
use super::mark::Mark;
use super::phase::Phase;
use super::retry::{Jitter, Policy};
use super::setback::after_failure;
use super::tenant::{Check, Entry, MintEntry, Recheck, State, Tenant};
use super::transition::{Ailment, Decision, IllegalOutcome, Next, Rest, after, checkpoint, next_effect};

/// A trace id and a stranger's text, to be found in no message.
pub(super) const NEVER_SHOWN: [&str; 2] = ["trace-0123456789", "a stranger's description"];

pub(super) const POLICY: Policy = Policy {
    base: Duration::from_secs(1),
    cap: Duration::from_mins(1),
    give_up_after: Duration::from_hours(24),
    settle: Duration::from_mins(2),
    prove_patience: Duration::from_mins(10),
};

pub(super) const MARK: Mark =
    Mark { installation: InstallationId(Uuid::from_u128(1)), tenant: TenantId(Uuid::from_u128(2)) };

pub(super) use outcomes::failed;

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
    pub(super) effect: Effect,
    pub(super) failure: Option<FailureKind>,
    pub(super) decision: Decision,
}

/// The acts since the last look at what became of them.
#[derive(Debug, Default)]
struct Unlooked {
    create: bool,
    mint: bool,
}

impl Unlooked {
    /// An act that cannot be repeated comes only after a look at its predecessor.
    fn sent(&mut self, effect: EffectKind) {
        match effect {
            EffectKind::Create => {
                assert!(!self.create, "a create was repeated without a look");
                self.create = true;
            }
            EffectKind::Mint => {
                assert!(!self.mint, "a mint was repeated without a comparison");
                self.mint = true;
            }
            EffectKind::Look
            | EffectKind::Compare
            | EffectKind::Tidy
            | EffectKind::Trust
            | EffectKind::Prove
            | EffectKind::Recheck
            | EffectKind::Dedupe => {}
        }
    }

    fn seen(&mut self, done: &Done) {
        match done {
            Done::Looked(_) => self.create = false,
            Done::Compared { .. } => self.mint = false,
            Done::Created { .. }
            | Done::Minted { .. }
            | Done::Tidied
            | Done::Trusted
            | Done::Proven
            | Done::Unopenable
            | Done::Rechecked(_)
            | Done::Deduped => {}
        }
    }
}

/// Walks until the numbers are used up. `judge` sees every decision.
pub(super) fn walk(numbers: &[u32], judge: &mut impl FnMut(&Step)) -> Result<(), IllegalOutcome> {
    let mut choices = Choices::new(numbers);
    let mut unlooked = Unlooked::default();
    let mut row = fresh();
    let mut worker: Option<Tenant> = None;
    while !choices.are_used_up() {
        let tenant = worker.take().unwrap_or_else(|| claimed(&row, &mut choices));
        if row.state == State::Pending {
            row = tenant.clone(); // The claim itself records the intent.
        }
        let Next::Do(effect) = next_effect(&tenant) else {
            row = checkpoint(tenant).tenant;
            continue;
        };
        if effect.kind() == EffectKind::Recheck && choices.one_in(2) {
            // Ready and looked after: the way of another tenant says more.
            (row, unlooked) = (fresh(), Unlooked::default());
            continue;
        }
        if choices.one_in(12) {
            continue; // It died before the act.
        }
        unlooked.sent(effect.kind());
        let outcome = outcomes::of(&effect, &tenant, &mut choices);
        if choices.one_in(12) {
            continue; // It died before the commit.
        }
        if let Outcome::Done(done) = &outcome {
            unlooked.seen(done);
        }
        let step = decide(tenant, effect, outcome)?;
        judge(&step);
        row = committed(&step.decision);
        worker = (step.decision.rest == Rest::Hold).then(|| row.clone());
    }
    Ok(())
}

fn decide(before: Tenant, effect: Effect, outcome: Outcome) -> Result<Step, IllegalOutcome> {
    let tenant = before.clone();
    let (decision, failure) = match outcome {
        Outcome::Done(done) => (after(tenant, &effect, done, &POLICY)?, None),
        Outcome::Failed(failure) => {
            let jitter = Jitter::from_bits(1 << 31);
            (after_failure(tenant, &effect, &failure, &POLICY, jitter), Some(failure.kind))
        }
    };
    Ok(Step { before, effect, failure, decision })
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
        failures: 0,
        without_progress: Duration::ZERO,
        refused_for: None,
        missing_for: None,
    }
}

/// What the row says after a commit.
fn committed(decision: &Decision) -> Tenant {
    let began = |age: Option<Duration>, what: Ailment| {
        age.or_else(|| (decision.ailment == Some(what)).then_some(Duration::ZERO))
    };
    let refused_for = began(decision.tenant.refused_for, Ailment::ProofRefused);
    let missing_for = began(decision.tenant.missing_for, Ailment::ClientMissing);
    Tenant { refused_for, missing_for, ..decision.tenant.clone() }
}

/// The row as the next worker finds it, some time later. A parked one was retried.
fn claimed(row: &Tenant, choices: &mut Choices<'_>) -> Tenant {
    let later = |choices: &mut Choices<'_>| Duration::from_mins([1, 11, 25 * 60][choices.below(3)]);
    let stand = row.stand();
    let may_land = stand.unanswered.is_some() && choices.one_in(2);
    let left = stand.settle.unwrap_or(POLICY.settle);
    let state = match (stand.phase, stand.client.cloned()) {
        (Phase::Pending, _) => State::Creating(Entry::Cleared),
        (Phase::Creating, None) if may_land => State::Creating(Entry::Settling { left }),
        (Phase::Creating, None) => State::Creating(Entry::Look { after_conflict: false }),
        (Phase::Creating, Some(client)) if may_land => {
            State::Adopting { client, entry: MintEntry::Settling { left } }
        }
        (Phase::Ready, Some(client)) => State::Ready { client, recheck: Recheck::Due },
        (Phase::Created | Phase::Trusted, Some(client)) if row.unproven().is_some() => match stand.phase {
            Phase::Trusted => State::Trusted { client },
            Phase::Pending | Phase::Creating | Phase::Created | Phase::Ready => {
                State::Created { client, check: check_of(row) }
            }
        },
        (_, Some(client)) => State::Adopting { client, entry: MintEntry::Compare },
        (phase, None) => panic!("a row in {phase} has no client"),
    };
    Tenant {
        state,
        without_progress: later(choices),
        refused_for: row.refused_for.map(|_| later(choices)),
        missing_for: row.missing_for.map(|_| later(choices)),
        ..row.clone()
    }
}

fn check_of(row: &Tenant) -> Check {
    let is_hint_unknown = row.unproven().is_some_and(|secret: &StoredSecret| secret.hint.is_none());
    if is_hint_unknown || row.snapshot.is_some() { Check::Compare } else { Check::Passed }
}

/// Numbers for `count` walks without a library's help, the same at every run.
pub(super) fn many_walks(count: u64) -> impl Iterator<Item = Vec<u32>> {
    (0..count).map(|seed| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u32::try_from(state >> 40).unwrap_or(0)
        };
        (0..200).map(|_| draw()).collect()
    })
}

/// Which reasons many walks come to.
pub(super) fn reasons_met(count: u64) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let (mut waits, mut parks) = (BTreeSet::new(), BTreeSet::new());
    for numbers in many_walks(count) {
        let mut note = |step: &Step| match &step.decision.rest {
            Rest::Wait { reason, .. } => drop(waits.insert(reason.as_str())),
            Rest::Park { reason, .. } => drop(parks.insert(reason.as_str())),
            Rest::Hold | Rest::Requeue | Rest::Settled => {}
        };
        if let Err(defect) = walk(&numbers, &mut note) {
            panic!("{defect}");
        }
    }
    (waits, parks)
}
