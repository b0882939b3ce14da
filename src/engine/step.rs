//! One step of one tenant: the next effect, its act, and what to write down.
//!
//! The three parts are separate so that a test can stop between any two of them,
//! as a crash does.
//!
//! The rule: **a secret that Qlik returned is sealed in the same commit that
//! records its client, before any further request.** In the clear it stays only
//! here, until it is proven.

use crate::domain::drift::{Drift, Expected};
use crate::domain::failure::{Evidence, Failure, FailureKind};
use crate::domain::ids::{ClientId, TenantId};
use crate::domain::look::SeenClient;
use crate::domain::machine::effect::{Done, Effect, EffectKind};
use crate::domain::machine::{self, IllegalOutcome};
use crate::domain::record::{Tried, VersionsUsedUp};
use crate::domain::region::AllowedHost;
use crate::domain::retry::{Jitter, RetryClass};
use crate::domain::secret::ClientSecret;
use crate::domain::tenant::State;
use crate::domain::token::Walk;
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::postgres::work::commit::{Attempt, Committed, DONE, SealedSecret, Write};
use crate::vault::SealedFor;

use super::acts::{self, TokenHolder};
use super::in_hand::InHand;
use super::judged::Judged;
use super::work::Work;
use super::{Engine, Proof};

/// Pages without a token of ours that one effect passes.
const REVOKE_PAGES: u32 = 50;

/// What an act brought, before it is judged.
#[derive(Debug)]
pub struct Acted {
    effect: Effect,
    result: Result<Done, Failure>,
    sealed: Option<SealedSecret>,
    took: std::time::Duration,
}

impl Acted {
    /// Whether Qlik may have made a client: it said so, or what it said proves nothing.
    #[must_use]
    pub fn may_have_made_a_client(&self) -> bool {
        let kind = self.effect.kind();
        kind == EffectKind::Create
            && self.result.as_ref().map_or_else(
                |failure| machine::class_of(kind, &failure.kind) == RetryClass::Ambiguous,
                |_| true,
            )
    }

    /// What the act was.
    #[must_use]
    pub fn effect(&self) -> &Effect {
        &self.effect
    }
}

/// An act that cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Unjudged {
    /// A defect of ours.
    #[error(transparent)]
    Illegal(#[from] IllegalOutcome),
    /// What was decided cannot be written down.
    #[error(transparent)]
    UsedUp(#[from] VersionsUsedUp),
}

impl<Q: QlikApi> Engine<Q> {
    /// Does one effect at Qlik. A secret that comes back is sealed at once.
    pub async fn act(&self, work: &mut Work, effect: Effect) -> Acted {
        work.held.sends();
        let started = self.clock.elapsed();
        let result = self.in_time(&effect, self.perform(work, &effect)).await;
        let took = self.clock.elapsed().saturating_sub(started);
        let (result, sealed) = self.seal(work, result);
        Acted { effect, result, sealed, took }
    }

    /// What cannot be repeated, or takes something away, must end while the lease is
    /// certain, whatever it takes: the fetching of a token, a renewed one, the request itself.
    async fn in_time<T>(
        &self,
        effect: &Effect,
        act: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if !effect.kind().needs_a_certain_lease() {
            return act.await;
        }
        let ended = tokio::time::timeout(self.terms.request_timeout, act).await;
        ended.unwrap_or_else(|_| Err(Failure::unanswered(FailureKind::NoAnswer)))
    }

    async fn perform(
        &self,
        work: &mut Work,
        effect: &Effect,
    ) -> Result<(Done, Option<ClientSecret>), Failure> {
        let (api, host) = (&self.api, &work.host);
        let plain = |done| (done, None);
        match effect {
            Effect::Create => {
                // Admission makes sure of it; without a profile nothing is sent.
                let wanted = work.wanted.as_ref().ok_or(Failure::unanswered(FailureKind::NotConnected))?;
                let made = api.create_client(host, wanted).await?;
                Ok((Done::Created { client: made.client_id, hint: made.hint }, Some(made.secret)))
            }
            Effect::Look => self.look(work).await.map(Done::Looked).map(plain),
            Effect::Compare(client) => {
                let me = api.bot_user(host).await?;
                let secrets = api.list_secrets(host, client).await?;
                Ok(plain(Done::Compared { secrets, me }))
            }
            Effect::Mint(client) => {
                let made = api.mint_secret(host, client).await?;
                Ok((Done::Minted { hint: made.hint }, Some(made.secret)))
            }
            Effect::Tidy(client, hint) => {
                api.delete_secret(host, client, hint).await.map(|()| plain(Done::Tidied))
            }
            Effect::Trust(client) => api.trust(host, client).await.map(|()| plain(Done::Trusted)),
            Effect::Prove(client) => self.prove(work, client).await.map(plain),
            Effect::Recheck(_) => self.look(work).await.map(Done::Rechecked).map(plain),
            Effect::Dedupe(surplus) => api.delete_client(host, surplus).await.map(|()| plain(Done::Deduped)),
            Effect::Audit(client) => self.audit(work, client).await.map(Done::Audited).map(plain),
            Effect::Amend(client, changes) => {
                api.amend(host, client, changes).await.map(|()| plain(Done::Amended))
            }
            Effect::Delete(client) => api.delete_client(host, client).await.map(|()| plain(Done::Deleted)),
            Effect::Revoke(client, walk) => {
                self.revoke(host, client, walk.clone()).await.map(|left| plain(Done::Revoked { left }))
            }
            Effect::DeleteBot(client) => {
                acts::delete_bots(api, host, &api.bots_of(host, client).await?).await?;
                Ok(plain(Done::BotDeleted))
            }
        }
    }

    async fn look(&self, work: &Work) -> Result<Vec<SeenClient>, Failure> {
        acts::look(&self.api, &work.host, &work.tenant.mark, work.tenant.stand().client).await
    }

    /// One GET where the list says all, which Qlik's does.
    async fn audit(&self, work: &Work, client: &ClientId) -> Result<Vec<Drift>, Failure> {
        let seen = acts::look_closely(&self.api, &work.host, &work.tenant.mark, client).await?;
        let (tenant, wanted) = (&work.tenant, work.wanted.as_ref());
        Ok(Expected { client, mark: &tenant.mark, wanted, stored: &tenant.stored }.drifts(&seen))
    }

    /// Revokes the client's tokens of one page, the next that has some. It stops in time
    /// for its lease, and returns where to go on.
    async fn revoke(
        &self,
        host: &AllowedHost,
        client: &ClientId,
        mut walk: Walk,
    ) -> Result<Option<Walk>, Failure> {
        if self.terms.revoke_by_filter {
            self.api.delete_tokens_of(host, client).await?;
            return Ok(None);
        }
        let started = self.clock.elapsed();
        // What began before must still end within the limit of one request.
        let has_time = || self.clock.elapsed().saturating_sub(started) < self.terms.request_timeout / 2;
        let holder = TokenHolder { client, bots: &self.api.bots_of(host, client).await? };
        for _ in 0..REVOKE_PAGES {
            let (next, revoked) = acts::revoke_page(&self.api, host, &holder, walk, has_time).await?;
            let Some(next) = next else { return Ok(None) };
            walk = next;
            if !revoked.is_empty() || !has_time() {
                break;
            }
        }
        Ok(Some(walk))
    }

    async fn prove(&self, work: &mut Work, client: &ClientId) -> Result<Done, Failure> {
        if self.terms.proof == Proof::Waived {
            return Ok(Done::Proven);
        }
        if work.in_hand.is_none() {
            work.in_hand = self.open_stored(work, client).await?;
        }
        match &work.in_hand {
            Some(InHand { secret, .. }) => {
                self.api.prove(&work.host, client, secret).await.map(|()| Done::Proven)
            }
            None => Ok(Done::Unopenable),
        }
    }

    /// The stored unproven secret, or `None` when it cannot be opened here.
    async fn open_stored(&self, work: &Work, client: &ClientId) -> Result<Option<InHand>, Failure> {
        let Some(sealed) = self.stored_unproven(work.tenant_id).await? else { return Ok(None) };
        if let Some(kept) = self.kept.take(work.tenant_id, &sealed) {
            return Ok(Some(kept));
        }
        match self.vault.open(&sealed, &sealed_for(work, client)) {
            Ok(secret) => Ok(Some(InHand { secret, sealed })),
            Err(error) => {
                tracing::info!(tenant.id = %work.tenant_id, %error, "an unproven secret cannot be opened; minting anew");
                Ok(None)
            }
        }
    }

    /// Waits out an outage of the database: it is no failure of the tenant's.
    async fn stored_unproven(&self, tenant: TenantId) -> Result<Option<String>, Failure> {
        loop {
            match self.store.unproven(tenant).await {
                Ok(sealed) => return Ok(sealed),
                Err(error) if error.is_final() => {
                    tracing::error!(tenant.id = %tenant, error = %error, "tenant {tenant}: {error}");
                    return Err(Failure::unanswered(FailureKind::NotConnected));
                }
                Err(error) => tokio::time::sleep(self.not_now(&error)).await,
            }
        }
    }

    fn seal(
        &self,
        work: &mut Work,
        result: Result<(Done, Option<ClientSecret>), Failure>,
    ) -> (Result<Done, Failure>, Option<SealedSecret>) {
        let (done, secret) = match result {
            Ok((done, Some(secret))) => (done, secret),
            Ok((done, None)) => return (Ok(done), None),
            Err(failure) => return (Err(failure), None),
        };
        let client = match (&done, &work.tenant.state) {
            (Done::Created { client, .. }, _) | (_, State::Minting { client, .. }) => client.clone(),
            (_, _) => return (Ok(done), None),
        };
        match self.vault.seal(&sealed_for(work, &client), &secret, self.entropy.as_ref()) {
            Ok(sealed) => {
                work.in_hand = Some(InHand { secret, sealed: sealed.as_str().to_owned() });
                let sealed =
                    SealedSecret { sealed: sealed.as_str().to_owned(), key_id: sealed.kid().to_string() };
                (Ok(done), Some(sealed))
            }
            Err(error) => {
                // As good as an answer that could not be read: the client is found again by its mark.
                tracing::error!(tenant.id = %work.tenant_id, %error, "a new secret could not be sealed");
                (Err(Failure::unanswered(FailureKind::Unreadable)), None)
            }
        }
    }

    /// Judges an act: what to write down about it.
    ///
    /// # Errors
    ///
    /// [`Unjudged`]
    pub fn judge(&self, work: &Work, acted: Acted) -> Result<Judged, Unjudged> {
        let tenant = work.tenant.clone();
        let keeps_the_place = acted.result.as_ref().err().is_none_or(Failure::keeps_the_place);
        let (decision, outcome, evidence, message) = match acted.result {
            Ok(done) => {
                let decision = machine::after(tenant, &acted.effect, done, &self.terms.policy)?;
                (decision, DONE, Evidence::default(), None)
            }
            Err(failure) => {
                let jitter = self.jitter();
                let class = machine::class_of(acted.effect.kind(), &failure.kind);
                let decision =
                    machine::after_failure(tenant, &acted.effect, &failure, &self.terms.policy, jitter);
                let message = Some(failure.to_string());
                (decision, class.as_str(), failure.evidence, message)
            }
        };
        let effect = acted.effect.kind();
        let record = work.held.after(
            &decision,
            Some(Tried { effect, is_done: outcome == DONE, took: acted.took }),
            &self.terms.policy,
        )?;
        let (phase, began_ago, took) = (record.phase, acted.took, acted.took);
        let attempt = Attempt { effect, phase, outcome, evidence, message, began_ago, took };
        Ok(Judged { decision, record: Box::new(record), sealed: acted.sealed, attempt, keeps_the_place })
    }

    /// A random share of a wait.
    pub(super) fn jitter(&self) -> Jitter {
        // The low 32 of 128 random bits.
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are as random as the rest")]
        Jitter::from_bits(self.entropy.bits() as u32)
    }

    /// Commits a judged act and moves the work on.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the work then stands as before and the same commit may be sent again.
    pub async fn commit(&self, work: &mut Work, judged: &Judged) -> Result<Committed, StoreError> {
        let write = judged.write(work);
        let committed = self.committer.write(write.clone()).await?;
        work.written(judged.decision.tenant.clone(), write, &committed, judged.keeps_the_place);
        Ok(committed)
    }
}

impl Judged {
    /// What its commit writes.
    #[must_use]
    pub fn write(&self, work: &Work) -> Write {
        let (record, attempt) = ((*self.record).clone(), Some(self.attempt.clone()));
        work.held.write(&self.decision, record, self.sealed.clone(), attempt)
    }
}

fn sealed_for<'a>(work: &'a Work, client: &'a ClientId) -> SealedFor<'a> {
    SealedFor { tenant_id: work.tenant_id, host: work.host.host(), client_id: client }
}
