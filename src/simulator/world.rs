//! The world: all tenants, behind one lock, moved by the time that is passed in.
//!
//! Doors say what time it is with [`World::at`] and then act on the
//! [`Moment`] they get. Nothing here reads a clock or does I/O.
//!
//! The rule: requests that take effect late do so in order of their instants,
//! before anything else can be seen at a later one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::behaviour::{Behaviour, NoLink};
use super::endpoint::Endpoint;
use super::faults::{Fault, FaultPlan};
use super::limits::Windows;
use super::records::{ADMIN, Plaintext, Tenant, TenantStatus};
use super::rng::Rng;
use super::tally::Tally;

/// A simulated Qlik Cloud. Clones are handles of the same world.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

/// The world, locked at one instant. All of Qlik's operations are its methods.
pub struct Moment<'w> {
    pub(super) state: MutexGuard<'w, State>,
    pub(super) now: DateTime<Utc>,
}

pub(super) struct State {
    pub(super) behaviour: Behaviour,
    pub(super) faults: FaultPlan,
    pub(super) seed: u64,
    pub(super) rng: Rng,
    pub(super) regions: Vec<RegionClient>,
    pub(super) tenants: BTreeMap<String, Tenant>,
    pub(super) windows: Windows,
    pub(super) tally: Tally,
    /// Rights that region clients lack: on which host or under which suffix, to do what.
    pub(super) withheld: BTreeSet<(String, Endpoint)>,
    late: Vec<Late>,
}

/// The OAuth client of a region, good on every host under its suffix.
pub(super) struct RegionClient {
    pub(super) suffix: String,
    pub(super) client_id: String,
    pub(super) secret: Plaintext,
}

type LateCall = Box<dyn FnOnce(&mut Moment<'_>) + Send>;

struct Late {
    at: DateTime<Utc>,
    call: LateCall,
}

impl World {
    /// A world without tenants. The same seed makes the same ids, secrets and faults.
    #[must_use]
    pub fn new(behaviour: Behaviour, faults: FaultPlan, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            behaviour,
            faults,
            seed,
            rng: Rng::new(seed),
            regions: Vec::new(),
            tenants: BTreeMap::new(),
            windows: Windows::default(),
            tally: Tally::default(),
            withheld: BTreeSet::new(),
            late: Vec::new(),
        })))
    }

    /// Adds a region's OAuth client. `suffix` is the hosts' common part, such as
    /// `us.qlikcloud.com`.
    #[must_use]
    pub fn with_region(self, suffix: &str, client_id: &str, secret: &str) -> Self {
        self.lock().regions.push(RegionClient {
            suffix: suffix.to_owned(),
            client_id: client_id.to_owned(),
            secret: Plaintext::new(secret.to_owned()),
        });
        self
    }

    /// The world as it is at `now`.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>) -> Moment<'_> {
        let mut moment = Moment { state: self.lock(), now };
        while let Some(late) = moment.state.next_late(now) {
            moment.now = late.at;
            (late.call)(&mut moment);
        }
        moment.now = now;
        moment
    }

    /// Changes switches while the world runs.
    pub fn reshape(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.lock().behaviour);
    }

    /// Changes the faults to come.
    pub fn plan_faults(&self, change: impl FnOnce(&mut FaultPlan)) {
        change(&mut self.lock().faults);
    }

    /// Takes the right to these calls from the OAuth client of a region: on all hosts under
    /// its suffix, or on one host. Its tokens are as good as before.
    pub fn withhold(&self, whose: &str, calls: impl IntoIterator<Item = Endpoint>) {
        self.lock().withheld.extend(calls.into_iter().map(|call| (whose.to_owned(), call)));
    }

    /// Takes the administrator's role from the users that a region's OAuth client acts as on
    /// all hosts under its suffix, or gives it back.
    pub fn set_admin(&self, suffix: &str, is_admin: bool) {
        let state = &mut *self.lock();
        let regions: Vec<_> = state.regions.iter().filter(|region| region.suffix == suffix).collect();
        for (host, tenant) in &mut state.tenants {
            if host.split_once('.').is_none_or(|(_, parent)| parent != suffix) {
                continue;
            }
            for user in &mut tenant.users {
                if regions.iter().any(|region| Some(&region.client_id) == user.client_id.as_ref()) {
                    user.roles = if is_admin { vec![ADMIN.to_owned()] } else { Vec::new() };
                }
            }
        }
    }

    /// Gives back what was taken with [`World::withhold`].
    pub fn grant(&self, whose: &str, calls: impl IntoIterator<Item = Endpoint>) {
        let mut state = self.lock();
        for call in calls {
            state.withheld.remove(&(whose.to_owned(), call));
        }
    }

    /// Queues faults for the next calls of one endpoint on one host.
    pub fn script(&self, host: &str, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.script(host, endpoint, faults);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while locked is a failed test; the others may still look.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_late(&mut self, now: DateTime<Utc>) -> Option<Late> {
        let due = self.late.iter().enumerate().filter(|(_, late)| late.at <= now);
        let (index, _) = due.min_by_key(|(_, late)| late.at)?;
        Some(self.late.remove(index))
    }
}

impl Moment<'_> {
    /// The instant.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Makes a tenant.
    pub fn add_tenant(&mut self, host: &str) {
        let tenant = Tenant::new(&mut self.state.rng, host, self.now);
        self.state.tenants.insert(host.to_owned(), tenant);
    }

    /// Switches a tenant on or off. One that does not exist is made first.
    pub fn set_status(&mut self, host: &str, status: TenantStatus) {
        if !self.state.tenants.contains_key(host) {
            self.add_tenant(host);
        }
        if let Some(tenant) = self.state.tenants.get_mut(host) {
            tenant.status = status;
        }
    }

    /// Notes that a request arrived and tells what goes wrong with it.
    pub(super) fn arrive(&mut self, host: &str, endpoint: Endpoint) -> Fault {
        let state = &mut *self.state;
        let nth = state.tally.arrived(host, endpoint);
        state.faults.take(state.seed, host, endpoint, nth)
    }

    /// Notes what was answered, `None` where nothing was.
    pub(super) fn answered(&mut self, endpoint: Endpoint, status: Option<u16>) {
        self.state.tally.answered(endpoint, status);
    }

    /// Lets something take effect later.
    pub(super) fn later(&mut self, after: Duration, call: impl FnOnce(&mut Moment<'_>) + Send + 'static) {
        let at = self.now + after;
        self.state.late.push(Late { at, call: Box::new(call) });
    }

    /// An id of `digits` hexadecimal digits.
    pub(super) fn new_id(&mut self, digits: usize) -> String {
        self.state.rng.hex(digits)
    }

    /// How this answer says that there is no further page.
    pub(super) fn no_link(&mut self) -> NoLink {
        let state = &mut *self.state;
        state.behaviour.no_link.draw(&mut state.rng)
    }

    /// A trace id, as Qlik's errors carry one.
    pub(super) fn trace_id(&mut self) -> String {
        self.new_id(32)
    }
}
