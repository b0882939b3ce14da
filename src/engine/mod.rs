//! The engine: claims due tenants and takes each through its steps while the
//! lease is held.
//!
//! One step is one effect, done with no transaction open, and one commit behind
//! it ([`step`]). What to do and what to write down is decided by [`crate::domain`];
//! this module only does it.
//!
//! The rules: nothing here knows HTTP; every failure is classified in the core;
//! what a worker knows but has not committed may be lost at any instant.

pub(crate) mod acts;
pub mod breaker;
mod committed;
pub mod committer;
mod defects;
pub mod dispatch;
pub mod generations;
mod granted;
mod heartbeat;
pub mod held;
mod in_hand;
pub mod judged;
pub mod lease;
mod midway;
pub mod outage;
pub mod places;
pub mod pulse;
mod rights;
pub mod rollout;
pub mod schedule;
pub mod shutdown;
pub mod step;
mod traced;
pub mod work;
pub mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::ProfileName;
use crate::domain::profile::Profile;
pub use crate::domain::proof::Proof;
use crate::domain::region::RegionMap;
use crate::domain::retry::Policy;
pub use crate::domain::rollout::Bounds;
use crate::domain::tenant::RepairScope;
use crate::ports::{Clock, Entropy, QlikApi};
use crate::postgres::Store;
use crate::postgres::work::claim::ClaimTerms;
use crate::telemetry::traces::Traces;
use crate::vault::Vault;

/// What the configuration tells the engine.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Which hosts belong to which region.
    pub regions: RegionMap,
    /// What clients look like.
    pub profiles: BTreeMap<ProfileName, Profile>,
    /// How failures are waited out.
    pub policy: Policy,
    /// How a credential is proven.
    pub proof: Proof,
    /// Whether a removed client's tokens are revoked by the filter that Qlik documents no more.
    pub revoke_by_filter: bool,
    /// What bounds changes to the fleet.
    pub bounds: Bounds,
    /// Age at which a secret is renewed (`rotation.every`); `None` for never.
    pub rotate_every: Option<Duration>,
    /// How far repairs of drift go by themselves (`audit.repair`).
    pub repair: RepairScope,
    /// Most tenants worked on at once.
    pub concurrency: usize,
    /// How long a lease lasts.
    pub lease: Duration,
    /// How often to look for due tenants without being called.
    pub poll: Duration,
    /// The total deadline of a request that cannot be repeated.
    pub request_timeout: Duration,
    /// How long the history is kept.
    pub keep_history: Duration,
    /// The objective: how soon a tenant should be ready (`objective.ready_within`).
    pub ready_within: Duration,
}

impl Terms {
    /// What claims are made with.
    #[must_use]
    pub fn claim_terms(&self) -> ClaimTerms {
        ClaimTerms::new(&self.regions, self.profiles.keys(), self.lease, self.policy.settle)
    }
}

/// Everything a worker needs, shared by all of them: one configuration, and what goes on whatever
/// the configuration is ([`Engine::under`]).
pub struct Engine<Q> {
    /// Qlik Cloud.
    pub api: Q,
    /// How many tenants are worked on at once.
    pub places: places::Places,
    /// Sends what workers decide.
    pub committer: committer::Committer,
    /// What must survive.
    pub store: Store,
    /// Where secrets are sealed.
    pub vault: Vault,
    /// Time, for measuring.
    pub clock: Arc<dyn Clock>,
    /// Chance, for jitter and keys.
    pub entropy: Arc<dyn Entropy>,
    /// The configuration.
    pub terms: Terms,
    /// The leases this process holds.
    pub leases: lease::Leases,
    /// Whether the database is away.
    pub outage: Arc<outage::Outage>,
    /// Whether its tasks go round.
    pub pulse: Arc<pulse::Pulse>,
    /// New secrets that wait for another attempt to prove them.
    kept: Arc<in_hand::Kept>,
    /// What Qlik lately let this process do.
    granted: Arc<granted::Granted>,
    /// Where removals are.
    midway: Arc<midway::Midway>,
    /// What the database took.
    committed: Arc<committed::Committed>,
    /// Who is told of visits: nobody, unless somebody is set.
    pub traces: Traces,
}

impl<Q: QlikApi> Engine<Q> {
    /// An engine that holds no lease yet.
    #[must_use]
    pub fn new(
        api: Q,
        store: Store,
        vault: Vault,
        clock: Box<dyn Clock>,
        entropy: Box<dyn Entropy>,
        terms: Terms,
    ) -> Self {
        let places = places::Places::new(terms.concurrency);
        Self {
            api,
            committer: committer::Committer::new(store.clone(), places.clone()),
            places,
            store,
            vault,
            clock: Arc::from(clock),
            entropy: Arc::from(entropy),
            terms,
            leases: lease::Leases::default(),
            outage: Arc::default(),
            pulse: Arc::default(),
            kept: Arc::default(),
            granted: Arc::default(),
            midway: Arc::default(),
            committed: Arc::default(),
            traces: Traces::default(),
        }
    }

    /// The same engine under another configuration. Whatever is under way, held or known goes on in
    /// both; who began under the old one ends under it.
    #[must_use]
    pub fn under(&self, api: Q, vault: Vault, terms: Terms) -> Self {
        self.places.resize(terms.concurrency);
        Self {
            api,
            vault,
            terms,
            places: self.places.clone(),
            committer: self.committer.clone(),
            store: self.store.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            leases: self.leases.clone(),
            outage: Arc::clone(&self.outage),
            pulse: Arc::clone(&self.pulse),
            kept: Arc::clone(&self.kept),
            granted: Arc::clone(&self.granted),
            midway: Arc::clone(&self.midway),
            committed: Arc::clone(&self.committed),
            traces: self.traces.clone(),
        }
    }
}
