//! One tenant, taken as far as it goes under one lease.
//!
//! The rules: a request that cannot be repeated is sent only under enough certain
//! lease; a commit is sent again until the database answered it, because the secret
//! it carries exists nowhere else; a worker that was taken over writes nothing,
//! but for the note that there may be a second client.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::generations::Generations;
use super::held::Held;
use super::judged::Judged;
use super::places::{Place, Ticket};
use super::traced::Visit;
use super::work::{NotAdmitted, Work};
use super::{Engine, defects, outage, traced};
use crate::domain::hints::Standing;
use crate::domain::ids::{ClientId, ExternalId, Fence, TenantId};
use crate::domain::machine::effect::{Effect, EffectKind};
use crate::domain::machine::{self, Ailment, Decision, Next, Progress, Rest, SecretChange};
use crate::engine::lease::Lease;
use crate::ports::QlikApi;
use crate::postgres::work::claim::Claimed;
use crate::postgres::{StoreError, work::commit::Committed};
use crate::telemetry;

/// So often a commit is sent that the database refuses for what may be this row's fault:
/// for about ten seconds.
const REFUSALS: u32 = 40;

/// Whether workers should stop at the next step.
pub trait Stopping {
    /// They should.
    fn is_stopping(&self) -> bool;
}

impl Stopping for CancellationToken {
    fn is_stopping(&self) -> bool {
        self.is_cancelled()
    }
}

/// Whether to go on with the tenant.
enum Turn {
    Next,
    /// It rests, or is in other hands.
    End,
    /// What would have given the lease back was not written: it runs out by itself.
    Left,
}

impl<Q: QlikApi> Generations<Q> {
    /// Waits in line for a place, unless `stop` says so before, and works there under the
    /// configuration that holds then.
    pub(super) async fn work_in_turn(
        &self,
        ticket: Ticket,
        mut claimed: Claimed,
        lease: Lease,
        stop: &CancellationToken,
    ) {
        let clock = Arc::clone(&self.now().clock);
        let claimed_at = clock.elapsed();
        let place = stop.run_until_cancelled(ticket.place()).await;
        let in_line = clock.elapsed().saturating_sub(claimed_at);
        claimed.record.note_queued(in_line);
        claimed.age += in_line;
        self.now().work_at(place, claimed, lease, stop).await;
    }
}

impl<Q: QlikApi> Engine<Q> {
    /// Works on a claimed tenant until it rests, its lease is lost, or `stop` says so.
    pub async fn work_on(&self, claimed: Claimed, lease: Lease, stop: &impl Stopping) {
        self.work_at(None, claimed, lease, stop).await;
    }

    #[tracing::instrument(
        name = "tenant.work", level = "debug", skip_all,
        fields(tenant.id = %claimed.tenant_id, tenant.external_id = %claimed.external_id, tenant.host = %claimed.host)
    )]
    async fn work_at(&self, place: Option<Place>, claimed: Claimed, lease: Lease, stop: &impl Stopping) {
        let age = claimed.age;
        let started = self.clock.elapsed();
        let mut visit = self.visit(&claimed);
        let mut work = match self.admit(claimed) {
            Ok(work) => work,
            Err(refused) => {
                drop(place);
                let NotAdmitted { external_id, held, decision } = *refused;
                if let Turn::Left = self.record(&external_id, &held, &decision, &mut visit).await {
                    lease.leave();
                }
                self.trace_end(visit, &held);
                return;
            }
        };
        (work.visit, work.place) = (visit, place);
        let (was_ready, was_told) = (is_ready(&work), work.held.time_to_ready().is_some());
        let is_left = loop {
            match self.turn(&mut work, &lease, stop).await {
                Turn::Next => {}
                Turn::End => break false,
                Turn::Left => break true,
            }
        };
        if is_left {
            lease.leave();
        }
        if !was_ready && is_ready(&work) {
            let age = age + self.clock.elapsed().saturating_sub(started);
            metrics::histogram!(telemetry::TIME_TO_READY_SECONDS).record(age.as_secs_f64());
        }
        for (blame, part) in work.held.time_to_ready().filter(|_| !was_told).into_iter().flatten() {
            metrics::histogram!(telemetry::TIME_TO_READY_PART_SECONDS, "part" => blame.as_str())
                .record(part.as_secs_f64());
        }
        self.trace_end(work.visit.take(), &work.held);
        self.end(work);
    }

    async fn turn(&self, work: &mut Work, lease: &Lease, stop: &impl Stopping) -> Turn {
        if lease.is_lost() {
            return Turn::End;
        }
        let effect = match work.next() {
            Next::Do(effect) if !stop.is_stopping() && self.may_send(&effect, lease) => effect,
            Next::Do(_) => {
                work.stop_here();
                return self.rest(work, Rest::Requeue).await;
            }
            Next::Rest(rest) => return self.rest(work, rest).await,
        };
        if let Effect::Dedupe(surplus) = &effect
            && !self.may_dedupe(work, surplus).await
        {
            let decision = machine::put_off(work.tenant.clone(), &self.terms.policy);
            work.place = None;
            return self.record(&work.external_id, &work.held, &decision, &mut work.visit).await;
        }
        let acted = self.act(work, effect).await;
        let may_be_one_more = acted.may_have_made_a_client();
        let judged = match self.judge(work, acted) {
            Ok(judged) => judged,
            Err(defect) => {
                self.park_defect(work.tenant_id, Some(work.held.fence.epoch), &defect.to_string()).await;
                return Turn::End;
            }
        };
        self.trace_act(work.visit.as_deref_mut(), &work.tenant, &judged);
        if judged.decision.may_ride() {
            note(&judged, work);
            self.learn_right(work, &judged.attempt, judged.decision.ailment).await;
            work.ride(judged);
            return Turn::Next;
        }
        // Another may send something meanwhile.
        let places = work.place.take().map(Place::free);
        match self.persist(work, &judged).await {
            Ok(committed) => {
                traced::rests(&mut work.visit, &judged.decision.rest);
                let turn = self.after_commit(work, &judged, &committed).await;
                if let (Turn::Next, Some(places)) = (&turn, places) {
                    work.place = Some(places.come_back().place().await);
                }
                turn
            }
            Err(StoreError::Superseded(_)) => {
                work.held.note(judged.attempt);
                self.rest(work, Rest::Requeue).await
            }
            Err(error) => {
                self.not_persisted(work.tenant_id, &error, may_be_one_more).await;
                self.refused_commit(work.tenant_id, work.held.fence, &error).await
            }
        }
    }

    /// Whether the lease covers the effect, were it answered at the last moment. Nothing is
    /// deleted on the word of a row that may be in other hands, either.
    fn may_send(&self, effect: &Effect, lease: &Lease) -> bool {
        !effect.kind().needs_a_certain_lease()
            || lease.covers(self.clock.elapsed(), self.terms.request_timeout)
    }

    /// Whether the hour's removals have room for a duplicate. Where the database does not
    /// say so, they have none.
    async fn may_dedupe(&self, work: &Work, surplus: &ClientId) -> bool {
        let per_hour = self.terms.bounds.removals_per_hour;
        let spent = self.store.spend_removal(work.tenant_id, surplus, per_hour).await;
        spent.unwrap_or_else(|error| {
            self.outage.note(&error);
            false
        })
    }

    /// Sends the commit until the database has answered it. What may be this row's fault is
    /// tried for a while, in case somebody mends it, and until others are served: what refuses
    /// all is waited out with the secret in hand.
    async fn persist(&self, work: &mut Work, judged: &Judged) -> Result<Committed, StoreError> {
        let effect = judged.attempt.effect;
        let (mut refusals, before) = (0, self.committed.count(effect));
        loop {
            let again = match self.commit(work, judged).await {
                Err(error) if !error.is_final() => {
                    let are_others_served = refusals >= REFUSALS && self.committed.count(effect) > before;
                    if defects::is_of_the_row(&error, are_others_served) {
                        return Err(error);
                    }
                    refusals += u32::from(error.may_be_one_rows());
                    self.not_now(&error)
                }
                other => {
                    if other.is_ok() {
                        self.committed.note(effect);
                    }
                    self.outage.ended();
                    return other;
                }
            };
            tokio::time::sleep(again).await;
        }
    }

    async fn after_commit(&self, work: &mut Work, judged: &Judged, committed: &Committed) -> Turn {
        note(judged, work);
        if judged.decision.ailment == Some(Ailment::CredentialRefused) {
            self.refused(work.host.region()).await;
        }
        self.learn_right(work, &judged.attempt, judged.decision.ailment).await;
        match judged.decision.rest {
            Rest::Hold if may_go_on(committed) => Turn::Next,
            Rest::Hold => self.rest(work, Rest::Requeue).await,
            Rest::Requeue | Rest::Wait { .. } | Rest::Park { .. } | Rest::Settled | Rest::Still => Turn::End,
        }
    }

    /// What to do about a commit that could not be made: nothing but to remember
    /// that there may be a client which nobody knows but by its mark.
    pub async fn not_persisted(&self, tenant: TenantId, error: &StoreError, may_be_one_more: bool) {
        tracing::warn!(tenant.id = %tenant, error = %error, "tenant {tenant}: {error}");
        if !may_be_one_more {
            return;
        }
        let after = self.terms.policy.recheck_after();
        while let Err(error) = self.store.recheck_later(tenant, after).await {
            if error.is_final() || error.may_be_one_rows() {
                tracing::error!(tenant.id = %tenant, error = %error, "tenant {tenant} could not be marked for a recheck: {error}");
                return;
            }
            tokio::time::sleep(self.not_now(&error)).await;
        }
    }

    /// How long to wait before a statement that was not served is sent again.
    pub(super) fn not_now(&self, error: &StoreError) -> Duration {
        if error.is_outage() || error.is_contended() {
            return self.outage.began(error);
        }
        self.outage.note(error);
        outage::AGAIN
    }

    /// Values that the database refuses are refused again whenever they are sent: a case for
    /// people. Otherwise somebody else has the row, or it is left to its lease.
    async fn refused_commit(&self, tenant: TenantId, fence: Fence, error: &StoreError) -> Turn {
        match error {
            StoreError::LeaseLost(_) => Turn::End,
            StoreError::Superseded(_) => Turn::Left,
            StoreError::Driver(_) | StoreError::Shared(_) | StoreError::Inconsistent { .. } => {
                if !error.may_be_one_rows() {
                    return Turn::Left;
                }
                self.park_defect(tenant, Some(fence.epoch), &error.to_string()).await;
                Turn::End
            }
        }
    }

    async fn rest(&self, work: &mut Work, rest: Rest) -> Turn {
        work.place = None;
        let decision = work.resting(rest);
        self.record(&work.external_id, &work.held, &decision, &mut work.visit).await
    }

    /// Sends a decision that has no effect behind it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]
    pub async fn send(&self, held: &Held, decision: &Decision) -> Result<Committed, StoreError> {
        // Only a proof gives a number, and it has an effect behind it.
        let record =
            held.after(decision, None, &self.terms.policy).map_err(|_| StoreError::LeaseLost(held.tenant))?;
        self.committer.write(held.write(decision, record, None, None)).await
    }

    /// Writes a decision that has no effect behind it. If that fails, the lease
    /// runs out by itself, and nobody is told that the visit rests so.
    async fn record(
        &self,
        name: &ExternalId,
        held: &Held,
        decision: &Decision,
        visit: &mut Option<Box<Visit>>,
    ) -> Turn {
        let (tenant, fence) = (held.tenant, held.fence);
        match self.send(held, decision).await {
            Ok(_) => {
                traced::rests(visit, &decision.rest);
                if let Rest::Park { reason, message } = &decision.rest {
                    tracing::warn!(tenant.id = %tenant, reason = %reason, "tenant {name} is parked, {reason}: {message}");
                }
                Turn::End
            }
            Err(error) if error.is_outage() || error.is_contended() => {
                self.outage.note(&error);
                Turn::Left
            }
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, error = %error, "tenant {name} could not be put to rest: {error}");
                if error.is_final() { self.refused_commit(tenant, fence, &error).await } else { Turn::Left }
            }
        }
    }
}

/// Whether nobody has said anything else of the tenant since it was claimed, or stopped its
/// region.
fn may_go_on(committed: &Committed) -> bool {
    committed.is_current && !committed.is_stopped
}

/// Whether the tenant has a proven credential.
fn is_ready(work: &Work) -> bool {
    work.tenant.stored.iter().any(|secret| secret.standing == Standing::Current)
}

/// Logs and counts what was committed: once, here.
fn note(judged: &Judged, work: &Work) {
    let Judged { decision, attempt, .. } = judged;
    count(attempt.effect, attempt.outcome, attempt.took);
    let (tenant, host, effect) = (&work.external_id, work.host.host(), attempt.effect);
    match &decision.rest {
        Rest::Park { reason, message } => {
            tracing::warn!(tenant.id = %work.tenant_id, %reason, "tenant {tenant} ({host}) is parked, {reason}: {message}");
        }
        Rest::Wait { reason, due, message } => {
            let due = humantime::format_duration(Duration::from_secs(due.as_secs()));
            tracing::info!(tenant.id = %work.tenant_id, %reason, "tenant {tenant} ({host}) waits {due}, {reason}: {message}");
        }
        Rest::Settled | Rest::Hold if matches!(decision.secret, SecretChange::Promote { .. }) => {
            tracing::info!(tenant.id = %work.tenant_id, "tenant {tenant} ({host}) is ready");
        }
        Rest::Settled if decision.secret == SecretChange::Shred => {
            tracing::info!(tenant.id = %work.tenant_id, "tenant {tenant} ({host}) is removed");
        }
        Rest::Hold | Rest::Requeue | Rest::Settled | Rest::Still => {
            let progress = decision.progress == Progress::Made;
            tracing::debug!(tenant.id = %work.tenant_id, progress, "tenant {tenant} ({host}): {effect} done");
        }
    }
}

fn count(effect: EffectKind, outcome: &'static str, took: Duration) {
    metrics::counter!(telemetry::EFFECTS_TOTAL, "effect" => effect.as_str(), "outcome" => outcome)
        .increment(1);
    metrics::histogram!(telemetry::EFFECT_DURATION_SECONDS, "effect" => effect.as_str())
        .record(took.as_secs_f64());
}
