//! Whole lives of a tenant, against a Qlik that keeps its word and people who do not ask.
//!
//! Requests fail, land unanswered or land late; workers die between any two acts;
//! administrators meddle; the owner changes his mind at any moment. At the end all of
//! that stops, and the tenant must come to rest as its owner wants it.
//!
//! The rule: what must hold is judged by what Qlik has and what the store keeps, never
//! by what the core believes.

use std::collections::BTreeSet;

use super::kept::Kept;
use super::qlik::{Hints, Meddling, Qlik};
use super::row::{Circumstances, Row};
use super::{Choices, Looked, Outcome, Step, decide, rested};
use crate::domain::drift::DriftKind;
use crate::domain::hints::{SLOTS, Standing};
use crate::domain::machine::effect::{Done, Effect, EffectKind};
use crate::domain::machine::{
    IllegalOutcome, Next, RecheckChange, Rest, SecretChange, checkpoint, next_effect,
};
use crate::domain::phase::Phase;
use crate::domain::tenant::{Duty, State, Tenant, Unanswered};

/// Claims after which a tenant that is left in peace must have come to rest.
const PATIENCE: usize = 60;

/// What a life came to, for tests that ask whether it was worth living.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    pub(super) promoted: usize,
    pub(super) withdrawn: usize,
    pub(super) removed: usize,
    pub(super) lost: usize,
    pub(super) deduped: usize,
    pub(super) mended: usize,
    pub(super) is_at_rest: bool,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is noted by itself")]
struct Life {
    qlik: Qlik,
    kept: Kept,
    row: Row,
    worker: Option<Tenant>,
    looked: Looked,
    /// Secrets that an administrator deleted.
    stolen: BTreeSet<u32>,
    /// Secrets of ours that a row out of a backup did not know when it was looked at: they
    /// may be in use, and stay.
    doubted: BTreeSet<u32>,
    /// An administrator did anything at all.
    is_meddled: bool,
    /// A secret was added by hand since the last comparison.
    is_added_to: bool,
    /// A client came to be since the last look.
    is_landed: bool,
    /// `recheck_at` is set.
    is_recheck_planned: bool,
    /// The last look after a removal was given up.
    is_abandoned: bool,
    /// Consumers were given a credential in this life.
    is_serving: bool,
    chronicle: Chronicle,
}

/// Lives until the numbers are used up, and then comes to rest.
pub(super) fn live(numbers: &[u32], is_meddled_with: bool) -> Result<Chronicle, IllegalOutcome> {
    let mut choices = Choices::new(numbers);
    let hints = [Hints::Plain, Hints::Plain, Hints::Alike, Hints::Untold][choices.below(4)];
    let mut life = Life {
        qlik: Qlik::empty(hints),
        kept: Kept::default(),
        row: Row::inserted(),
        worker: None,
        looked: Looked::default(),
        stolen: BTreeSet::new(),
        doubted: BTreeSet::new(),
        is_meddled: false,
        is_added_to: false,
        is_landed: false,
        is_recheck_planned: false,
        is_abandoned: false,
        is_serving: false,
        chronicle: Chronicle::default(),
    };
    while !choices.are_used_up() {
        life.suffer(&mut choices, is_meddled_with);
        let tenant = match life.worker.take() {
            Some(tenant) => tenant,
            None => life.claim(Circumstances::drawn(&mut choices), &mut choices),
        };
        life.go_on(tenant, &mut choices)?;
    }
    life.come_to_rest()?;
    Ok(life.chronicle)
}

impl Life {
    /// What comes from outside.
    fn suffer(&mut self, choices: &mut Choices<'_>, is_meddled_with: bool) {
        match choices.below(120) {
            117..=119 => {
                self.worker = self.worker.take().filter(|_| !self.row.is_unsent());
                self.row.turn();
            }
            112..=116 if is_meddled_with => self.meddle(choices),
            110 | 111 => self.is_landed |= self.qlik.land_late(),
            _ => {}
        }
    }

    fn meddle(&mut self, choices: &mut Choices<'_>) {
        let Some(client) = self.row.tenant.stand().client.cloned() else { return };
        let how = Meddling::ALL[choices.below(Meddling::ALL.len())];
        self.stolen.extend(self.qlik.meddle(&client, how, choices));
        self.is_meddled = true;
        self.is_added_to |= how == Meddling::AddSecret;
    }

    fn claim(&mut self, mut found: Circumstances, choices: &mut Choices<'_>) -> Tenant {
        found.due.recheck &= self.is_recheck_planned;
        if self.row.unanswered() == Some(Unanswered::Create) {
            self.is_recheck_planned = true;
        }
        if self.row.unanswered().is_some() && !found.is_early {
            self.is_landed |= self.qlik.settle(choices);
        }
        if found.due.recheck {
            self.is_landed |= self.qlik.land_late();
        }
        self.kept.claimed(found.is_retiring);
        self.row.claim(&found)
    }

    /// One turn of a worker.
    fn go_on(&mut self, tenant: Tenant, choices: &mut Choices<'_>) -> Result<(), IllegalOutcome> {
        let effect = match next_effect(&tenant) {
            Next::Do(effect) => effect,
            Next::Rest(rest) => {
                self.commit(&rested(tenant, rest), None);
                return Ok(());
            }
        };
        if choices.one_in(25) {
            return Ok(()); // It died before the act.
        }
        self.judge_act(&effect, &tenant);
        self.looked.sent(effect.kind());
        let is_unopenable = matches!(effect, Effect::Prove(_)) && choices.one_in(10);
        let (outcome, in_hand) = if is_unopenable {
            (Outcome::Done(Done::Unopenable), None)
        } else {
            self.qlik.ask(&effect, &tenant, self.kept.unproven(), choices)
        };
        self.judge_service("an act", &tenant);
        if choices.one_in(25) {
            return Ok(()); // It died before the commit.
        }
        if let Outcome::Done(done) = &outcome {
            self.saw(done);
        }
        let step = decide(tenant, effect, outcome)?;
        if self.commit(&step, in_hand) && !choices.one_in(25) {
            self.worker = Some(step.decision.tenant);
        } else if step.decision.rest == Rest::Hold && !choices.one_in(4) {
            self.row.commit(&checkpoint(step.decision.tenant)); // It gave the lease back.
        }
        Ok(())
    }

    fn saw(&mut self, done: &Done) {
        self.looked.seen(done);
        self.is_landed &= !matches!(done, Done::Looked(_));
        self.is_added_to &= !matches!(done, Done::Compared { .. });
    }

    /// What may be sent, as Qlik knows better than the core.
    fn judge_act(&self, effect: &Effect, tenant: &Tenant) {
        let committed = self.row.tenant.stand().client;
        match effect {
            Effect::Create => {
                let is_any = self.qlik.clients.iter().any(|client| client.is_marked);
                assert!(!is_any || self.is_landed, "a second client is made: {self:?}");
            }
            Effect::Mint(id) => {
                let is_full = self.qlik.clients.iter().any(|c| c.id == *id && c.secrets.len() >= SLOTS);
                assert!(!is_full || self.is_added_to, "a sixth secret is asked for: {self:?}");
            }
            Effect::Tidy(client, hint) => {
                for secret in self.qlik.by_hint(client, hint) {
                    assert!(secret.is_ours, "somebody's secret is deleted: {self:?}");
                    let is_live = self.kept.live().any(|serial| serial == secret.serial);
                    assert!(!is_live, "a live secret is deleted: {self:?}");
                }
            }
            Effect::Dedupe(surplus) => {
                assert_ne!(Some(surplus), committed, "the committed client is deleted: {self:?}");
                let is_foreign = self.qlik.clients.iter().any(|c| c.id == *surplus && !c.is_marked);
                assert!(!is_foreign, "somebody's client is deleted: {self:?}");
            }
            Effect::Delete(_) | Effect::Revoke(..) | Effect::DeleteBot(_) => {
                assert!(matches!(tenant.state, State::Removing(_)), "nobody asked for it: {self:?}");
            }
            Effect::Look
            | Effect::Compare(_)
            | Effect::Trust(_)
            | Effect::Prove(_)
            | Effect::Recheck(_)
            | Effect::Audit(_)
            | Effect::Amend(..) => {}
        }
    }

    /// From the first credential until the removal consumers have one that works, unless
    /// somebody took it from them.
    fn judge_service(&self, after: &str, tenant: &Tenant) {
        let is_over = matches!(tenant.state, State::Removing(_) | State::Removed { .. });
        if self.is_serving && !is_over {
            let is_served = self.kept.shown().any(|serial| self.qlik.has(serial));
            let is_robbed = self.kept.in_standing(Standing::Current).all(|one| self.stolen.contains(&one));
            assert!(is_served || is_robbed, "consumers have nothing that works after {after}: {self:?}");
        }
    }

    /// Keeps a decision. Returns whether the worker goes on.
    fn commit(&mut self, step: &Step, in_hand: Option<u32>) -> bool {
        let decision = &step.decision;
        if let SecretChange::Lose(_) = &decision.secret {
            let is_stolen =
                self.kept.in_standing(Standing::Previous).any(|serial| self.stolen.contains(&serial));
            assert!(is_stolen, "a secret is given up that nobody took: {step:?}");
        }
        self.kept.change(&decision.secret, in_hand);
        assert!(self.kept.agrees_with(&decision.tenant), "{:?} is not what is believed: {step:?}", self.kept);
        match decision.recheck {
            RecheckChange::Keep => {}
            RecheckChange::After(_) => self.is_recheck_planned = true,
            RecheckChange::Done => {
                self.is_recheck_planned = false;
                self.is_abandoned = step.failure.is_some();
            }
        }
        if step.before.must_look && !decision.tenant.must_look {
            self.doubt(&decision.tenant);
        }
        self.write_down(step);
        let goes_on = self.row.commit(decision);
        self.judge_service("a commit", &decision.tenant);
        goes_on
    }

    fn doubt(&mut self, tenant: &Tenant) {
        let client = self.qlik.clients.iter().find(|client| Some(&client.id) == tenant.stand().client);
        let ours = client.into_iter().flat_map(|client| &client.secrets).filter(|secret| secret.is_ours);
        let stored: Vec<_> = self.kept.all().collect();
        self.doubted.extend(ours.map(|secret| secret.serial).filter(|serial| !stored.contains(serial)));
    }

    fn write_down(&mut self, step: &Step) {
        let chronicle = &mut self.chronicle;
        match &step.decision.secret {
            SecretChange::Promote { .. } => {
                (chronicle.promoted, self.is_serving) = (chronicle.promoted + 1, true);
            }
            SecretChange::Withdraw => chronicle.withdrawn += 1,
            SecretChange::Lose(_) => chronicle.lost += 1,
            SecretChange::Shred => (chronicle.removed, self.is_serving) = (chronicle.removed + 1, false),
            SecretChange::Keep
            | SecretChange::Seal { .. }
            | SecretChange::Identify(_)
            | SecretChange::Discard
            | SecretChange::Forget(_) => {}
        }
        if step.failure.is_none() {
            chronicle.deduped += usize::from(step.kind() == Some(EffectKind::Dedupe));
            chronicle.mended += usize::from(step.kind() == Some(EffectKind::Amend));
        }
    }

    /// Nothing fails, nobody meddles and nobody changes his mind any more.
    fn come_to_rest(&mut self) -> Result<(), IllegalOutcome> {
        let calm = &mut Choices::new(&[]);
        self.is_landed |= self.qlik.settle(calm);
        self.is_landed |= self.qlik.land_late();
        // Once more, when the overlap of the last rotation is over, or the time of the last look came.
        let (mut parked, mut rested_for) = (0, 0);
        for _ in 0..PATIENCE {
            let mut next = Some(self.claim(Circumstances::calm(), calm));
            while let Some(tenant) = next.take() {
                let Next::Do(effect) = next_effect(&tenant) else {
                    rested_for += usize::from(next_effect(&tenant) == Next::Rest(Rest::Settled));
                    break;
                };
                self.judge_act(&effect, &tenant);
                let (outcome, in_hand) = self.qlik.ask(&effect, &tenant, self.kept.unproven(), calm);
                let step = decide(tenant, effect, outcome)?;
                let goes_on = self.commit(&step, in_hand);
                parked += usize::from(matches!(step.decision.rest, Rest::Park { .. }));
                rested_for += usize::from(step.decision.rest == Rest::Settled && !self.is_new_life());
                next = goes_on.then_some(step.decision.tenant);
            }
            if rested_for > 1 {
                self.judge_rest();
                return Ok(());
            }
            if parked > 2 {
                let may_park = self.is_meddled || self.qlik.hints != Hints::Plain || !self.doubted.is_empty();
                assert!(may_park && self.row.is_wanted, "parked without need: {self:?}");
                return Ok(());
            }
        }
        panic!("it never comes to rest: {self:?}");
    }

    /// It was removed, and is wanted again.
    fn is_new_life(&self) -> bool {
        self.row.tenant.state == State::Pending
    }

    fn judge_rest(&mut self) {
        self.chronicle.is_at_rest = true;
        let stand = self.row.tenant.stand();
        let marked = self.qlik.clients.iter().filter(|client| client.is_marked).count();
        if !self.row.is_wanted {
            assert_eq!(stand.phase, Phase::Removed, "{self:?}");
            assert!(marked == 0 || self.is_abandoned, "a client is left: {self:?}");
            assert!(self.kept.is_empty(), "a secret is left: {self:?}");
            let is_left = |of: &_| self.row.tenant.gone.contains(of);
            assert!(!self.qlik.tokens.iter().any(is_left), "a token is left: {self:?}");
            assert!(!self.qlik.bots.iter().any(is_left), "a bot user is left: {self:?}");
            return;
        }
        assert!(matches!(&self.row.tenant.state, State::Ready { duty: Duty::None, .. }), "{self:?}");
        assert_eq!(marked, 1, "one client, and only one: {self:?}");
        let client = self.qlik.clients.iter().find(|client| Some(&client.id) == stand.client).unwrap();
        let ours: Vec<_> = client.secrets.iter().filter(|s| s.is_ours).map(|s| s.serial).collect();
        let current: Vec<_> = self.kept.in_standing(Standing::Current).collect();
        // Where hints are alike, a secret that somebody deleted by hand may hide behind another.
        let is_hidden = |serial: &_| self.qlik.hints != Hints::Plain && self.stolen.contains(serial);
        let works = |serial: &_| ours.contains(serial) || is_hidden(serial);
        assert!(current.iter().all(works), "what is current works: {self:?}");
        if self.qlik.hints == Hints::Plain {
            let ours: Vec<_> = ours.into_iter().filter(|serial| !self.doubted.contains(serial)).collect();
            assert_eq!(ours, current, "nothing of ours is left but the current secret: {self:?}");
        }
        let is_mendable = |kind: &DriftKind| kind.is_mendable();
        assert!(!self.row.tenant.drift.iter().any(is_mendable), "{self:?}");
    }
}

mod tests;
