//! A claimed tenant on its way: who may be worked on, and what a worker carries.
//!
//! The rule: a row whose host or profile the configuration does not allow is refused
//! here, before any connection is opened.

use crate::domain::host::Host;
use crate::domain::ids::{ExternalId, TenantId};
use crate::domain::machine::{self, Decision, Next, Rest};
use crate::domain::profile::WantedClient;
use crate::domain::reason::ParkReason;
use crate::domain::region::AllowedHost;
use crate::domain::tenant::{Removal, State, Tenant};
use crate::domain::text::plain;
use crate::ports::QlikApi;
use crate::postgres::work::claim::Claimed;
use crate::postgres::work::commit::{Committed, Write};

use super::Engine;
use super::held::Held;
use super::in_hand::InHand;
use super::judged::Judged;
use super::places::Place;
use super::traced::Visit;

/// A claimed tenant that may be worked on.
#[derive(Debug)]
pub struct Work {
    /// The row.
    pub tenant_id: TenantId,
    /// The pipeline's key.
    pub external_id: ExternalId,
    /// Where it lives.
    pub host: AllowedHost,
    /// The client it should get; `None` only when its profile is unknown.
    pub(super) wanted: Option<WantedClient>,
    /// What is stored of it.
    pub held: Box<Held>,
    /// Where it stands.
    pub tenant: Tenant,
    /// Its new secret, from Qlik's answer until it is proven.
    pub(super) in_hand: Option<InHand>,
    /// Its place, while it may need Qlik.
    pub(super) place: Option<Place>,
    /// The visit, where somebody wants to know of it.
    pub(super) visit: Option<Box<Visit>>,
    /// Where its removal is, behind the deletion of the client.
    midway: Option<Removal>,
}

/// Why a claimed row may not be worked on.
#[derive(Debug)]
pub struct NotAdmitted {
    /// The pipeline's key.
    pub external_id: ExternalId,
    /// The row.
    pub held: Held,
    /// What to write down.
    pub decision: Decision,
}

impl<Q: QlikApi> Engine<Q> {
    /// Whether the configuration allows work on this row. Opens no connection.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`], with the decision that parks the row, or lets it rest on.
    pub fn admit(&self, claimed: Claimed) -> Result<Work, Box<NotAdmitted>> {
        // Woken for nothing: then it does not matter what the configuration allows.
        if let Next::Rest(rest @ (Rest::Still | Rest::Settled)) = machine::next_effect(&claimed.tenant) {
            let held = Held::of(&claimed);
            let decision = machine::resting(&claimed.tenant, rest);
            return Err(Box::new(NotAdmitted { external_id: claimed.external_id, held, decision }));
        }
        let host = Host::parse(&claimed.host).ok().and_then(|host| self.terms.regions.allow(&host));
        let Some(host) = host else {
            let what = format!("no region of the configuration allows {}", claimed.host);
            return Err(Box::new(not_admitted(claimed, ParkReason::HostNotAllowed, &what)));
        };
        let profile = self.terms.profiles.get(&claimed.profile);
        let needs_profile =
            claimed.tenant.due.edit || matches!(claimed.tenant.state, State::Pending | State::Creating(_));
        if profile.is_none() && needs_profile {
            let what = format!("the configuration has no profile {}", plain(claimed.profile.as_str()));
            return Err(Box::new(not_admitted(claimed, ParkReason::UnknownProfile, &what)));
        }
        let wanted = profile.map(|profile| {
            let (name, uris) = (claimed.client_name.as_deref(), claimed.redirect_uris.as_deref());
            profile.client_for(claimed.tenant.mark, name, uris)
        });
        let held = Held::of(&claimed);
        let tenant = match self.midway.take(claimed.tenant_id) {
            Some(midway) => claimed.tenant.resumed(midway),
            None => claimed.tenant,
        };
        Ok(Work {
            tenant_id: claimed.tenant_id,
            external_id: claimed.external_id,
            host,
            wanted,
            held: Box::new(held),
            tenant,
            in_hand: None,
            place: None,
            visit: None,
            midway: None,
        })
    }

    /// Ends the work on a tenant. A daemon that only seals keeps a secret that is not
    /// proven yet for its next attempt.
    pub fn end(&self, work: Work) {
        if let Some(in_hand) = work.in_hand
            && self.vault.is_seal_only()
        {
            self.kept.put(work.tenant_id, in_hand);
        }
        if let Some(midway) = work.midway {
            self.midway.put(work.tenant_id, midway);
        }
    }
}

impl Work {
    /// What to do now.
    #[must_use]
    pub fn next(&self) -> Next {
        machine::next_effect(&self.tenant)
    }

    /// Nothing more is sent under this lease. Where nothing was, the intent to create goes as well.
    pub(super) fn stop_here(&mut self) {
        if self.held.is_unsent() {
            self.tenant = self.tenant.clone().without_intent();
        }
    }

    /// The decision that gives the lease back with these words.
    #[must_use]
    pub fn resting(&self, rest: Rest) -> Decision {
        machine::resting(&self.tenant, rest)
    }

    /// Goes on with a judged act that may be repeated: the next commit writes it, too.
    pub(super) fn ride(&mut self, judged: Judged) {
        self.held.ride(*judged.record, judged.attempt);
        self.moved_on(judged.decision.tenant, judged.keeps_the_place);
    }

    /// The same tenant with the secrets as they are stored now, once a write has landed.
    pub(super) fn written(
        &mut self,
        tenant: Tenant,
        write: Write,
        committed: &Committed,
        keeps_the_place: bool,
    ) {
        let stored = self.held.written(write, committed).to_vec();
        // What retires is judged when the row is claimed.
        self.moved_on(Tenant { stored, ..tenant }, keeps_the_place);
    }

    pub(super) fn moved_on(&mut self, tenant: Tenant, keeps_the_place: bool) {
        let has_failed = matches!(tenant.state, State::Removing(Removal::Delete(_)));
        let before = self.tenant.midway().filter(|_| has_failed && keeps_the_place);
        self.midway = tenant.midway().or(before);
        // Once proven, or no good, the clear text has served.
        if !matches!(tenant.state, State::Created { .. } | State::Trusted { .. } | State::Proving { .. }) {
            self.in_hand = None;
        }
        self.tenant = tenant;
    }
}

/// A claim under another configuration may have recorded an intent, and nothing came of it.
fn not_admitted(claimed: Claimed, reason: ParkReason, what: &str) -> NotAdmitted {
    let message = format!("{what}; {}", reason.remedy());
    let held = Held::of(&claimed);
    let tenant = if held.is_unsent() { claimed.tenant.without_intent() } else { claimed.tenant };
    let checkpoint = machine::checkpoint(tenant);
    let decision = Decision { rest: Rest::Park { reason, message }, ..checkpoint };
    NotAdmitted { external_id: claimed.external_id, held, decision }
}
