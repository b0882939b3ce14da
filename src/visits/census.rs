//! A census: every client of the fleet, held against the database.
//!
//! The rule: looking changes nothing. What is found goes into a plan, and only
//! [`apply`] acts, on what is still as the plan says.

pub mod apply;
pub mod plan;

use std::collections::HashSet;
use std::sync::Arc;

use super::inspect::{Inspector, NotDone, each, of_qlik};
use crate::domain::census::{self, Class, Found, HostRow, HostView, Sorted, other_tenants};
use crate::domain::ids::RegionName;
use crate::domain::look::{self, SeenClient};
use crate::domain::phase::Phase;
use crate::domain::region::AllowedHost;
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::postgres::operator::inspect::{Inspected, Target};

use plan::{Counts, Entry, NotAsked, Plan, VERSION};

/// Every phase whose tenant may have a client.
const SENT: [Phase; 8] = [
    Phase::Creating,
    Phase::Created,
    Phase::Trusted,
    Phase::Ready,
    Phase::Rotating,
    Phase::Proving,
    Phase::Removing,
    Phase::Removed,
];

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only hosts of this region.
    pub region: Option<RegionName>,
    /// These hosts too, whether they have rows or not.
    pub hosts: Vec<String>,
}

/// A host and its row, where it has one.
#[derive(Debug, Clone)]
struct Place {
    host: String,
    row: Option<Target>,
}

/// A host's clients, sorted, and all that the entries rest on.
struct Counted {
    place: Place,
    row: Option<Inspected>,
    seen: Vec<SeenClient>,
    sorted: Sorted,
}

impl<Q: QlikApi> Inspector<Q> {
    /// Walks the fleet and sorts every client it sees.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the fleet cannot be listed. A host that cannot be asked is in
    /// the plan.
    pub async fn census(self: &Arc<Self>, scope: &Scope) -> Result<Plan, StoreError> {
        let made_at = self.store.now().await?;
        let places = self.places(scope).await?;
        let counted = each(places, |place| {
            let inspector = Arc::clone(self);
            async move { (place.host.clone(), inspector.count(place).await) }
        })
        .await;
        let installation_id = self.store.installation().0;
        let mut plan = Plan {
            version: VERSION,
            installation_id,
            made_at,
            counts: Counts::default(),
            entries: vec![],
            not_asked: vec![],
        };
        for (host, counted) in counted {
            match counted {
                Ok(counted) => add(&mut plan, &counted),
                Err(error) => plan.not_asked.push(NotAsked { host, reason: error.to_string() }),
            }
        }
        Ok(plan)
    }

    async fn places(&self, scope: &Scope) -> Result<Vec<Place>, StoreError> {
        let rows = self.store.targets(&SENT).await?;
        let mut places: Vec<_> =
            rows.into_iter().map(|row| Place { host: row.host.clone(), row: Some(row) }).collect();
        let mut hosts: HashSet<_> = places.iter().map(|place| place.host.clone()).collect();
        for host in &scope.hosts {
            if hosts.insert(host.clone()) {
                places.push(Place { host: host.clone(), row: self.store.tenant_at(host).await? });
            }
        }
        if let Some(region) = &scope.region {
            places.retain(|place| self.allowed(&place.host).is_ok_and(|host| host.region() == region));
        }
        Ok(places)
    }

    async fn count(&self, place: Place) -> Result<Counted, NotDone> {
        let host = self.allowed(&place.host)?;
        let Some(tenant) = place.row.as_ref().map(|row| row.tenant_id) else {
            // No row, so no lease: nobody of ours works there.
            return self.count_held(place, &host).await;
        };
        let fence = self.take(tenant).await?;
        self.under(tenant, fence, self.count_held(place, &host)).await
    }

    async fn count_held(&self, place: Place, host: &AllowedHost) -> Result<Counted, NotDone> {
        let row = match &place.row {
            Some(target) => Some(self.row(target.tenant_id).await?),
            None => None,
        };
        let mut seen = self.api.list_clients(host).await.map_err(of_qlik(host))?;
        let installation = self.store.installation();
        if census::needs_maker(installation, row.as_ref().and_then(|row| row.client.as_ref()), &seen) {
            look::tell_makers(&mut seen, &self.api.bot_user(host).await.map_err(of_qlik(host))?);
        }
        let sorted = self.sorted(row.as_ref(), host, &seen).await?;
        Ok(Counted { place, row, seen, sorted })
    }

    async fn sorted(
        &self,
        row: Option<&Inspected>,
        host: &AllowedHost,
        seen: &[SeenClient],
    ) -> Result<Sorted, NotDone> {
        let installation = self.store.installation();
        let others = other_tenants(installation, row.map(|row| row.tenant_id), seen);
        let known = self.store.known(&others).await?;
        let names = self.names(row);
        let view = HostView { installation, row: row.map(host_row), names: &names, known: &known, me: None };
        if !view.needs_me(seen) {
            return Ok(view.sort(seen));
        }
        let me = self.api.bot_user(host).await.map_err(of_qlik(host))?;
        Ok(HostView { me: Some(&me), ..view }.sort(seen))
    }

    /// The names that clients of ours have: the row's, or on a host without one any profile's.
    fn names(&self, row: Option<&Inspected>) -> HashSet<String> {
        match row {
            Some(row) => self.wanted(row).map(|wanted| wanted.name).into_iter().collect(),
            None => self.terms.profiles.values().map(|profile| profile.client_name.clone()).collect(),
        }
    }
}

fn host_row(row: &Inspected) -> HostRow<'_> {
    HostRow {
        tenant: row.tenant_id,
        phase: row.phase,
        client: row.client.as_ref(),
        is_wanted: row.is_wanted,
        is_minting: row.is_minting,
        stored: &row.stored,
    }
}

fn add(plan: &mut Plan, counted: &Counted) {
    plan.counts.hosts += 1;
    plan.counts.ours += counted.sorted.ours;
    plan.counts.foreign += counted.sorted.foreign;
    for found in &counted.sorted.found {
        plan.counts.count(found.class);
        plan.entries.push(counted.entry(found));
    }
}

impl Counted {
    fn entry(&self, found: &Found) -> Entry {
        let client = match found.class {
            Class::Missing => None,
            Class::Orphan | Class::Duplicate | Class::LookAlike | Class::StaleSecret => {
                self.seen.iter().find(|seen| seen.client_id == found.client)
            }
        };
        let row = self.row.as_ref();
        Entry {
            host: self.place.host.clone(),
            tenant_id: row.map(|row| row.tenant_id.0),
            external_id: row.map(|row| row.external_id.to_string()),
            row_client_id: row.and_then(|row| row.client.as_ref()).map(ToString::to_string),
            class: found.class,
            action: found.class.action(),
            client_id: found.client.to_string(),
            hint: found.hint.as_ref().map(ToString::to_string),
            marked_tenant_id: found.tenant.map(|tenant| tenant.0),
            name: client.map(|client| client.name.clone()),
            description: client.map(|client| client.description.clone()),
            created_at: client.and_then(|client| client.created_at),
            hints: client.map(hints_of).unwrap_or_default(),
        }
    }
}

fn hints_of(client: &SeenClient) -> Vec<String> {
    let mut hints: Vec<_> = client.secrets.iter().map(|secret| secret.hint.to_string()).collect();
    hints.sort_unstable();
    hints
}
