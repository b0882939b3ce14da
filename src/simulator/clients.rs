//! OAuth clients: made, listed, read, deleted, trusted.
//!
//! The rule: names are not unique unless the switch says so, and nothing here is
//! idempotent: two creates are two clients, as at Qlik.

use super::behaviour::{HintSpelling, ListOrder};
use super::draft::Draft;
use super::endpoint::Endpoint;
use super::problem::Problem;
use super::query::{Cut, ListQuery, cut};
use super::records::{Client, ClientView, Plaintext};
use super::rng::Rng;
use super::tenants::Caller;
use super::world::{Moment, State};

mod changes;
#[cfg(test)]
mod tests;

/// A client in the one answer that shows its secret.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Created {
    pub client_id: String,
    /// `None` for a client that has no use for one.
    pub secret: Option<Plaintext>,
    pub hint: Option<String>,
    /// Where the answer shows the hint.
    pub spelling: HintSpelling,
    pub view: ClientView,
}

/// One page of clients.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct ClientPage {
    pub clients: Vec<ClientView>,
    /// The cursor of the page before.
    pub prev: Option<String>,
    /// The cursor of the page after.
    pub next: Option<String>,
    /// How many there are on all pages, where asked for.
    pub total: Option<usize>,
}

/// The attributes a list can be filtered by.
pub(super) const FILTERS: [&str; 5] = ["clientId", "clientName", "appType", "tenantId", "createdByType"];
/// The fields a list can be sorted by.
pub(super) const SORTS: [&str; 6] =
    ["clientId", "clientName", "appType", "tenantId", "createdAt", "updatedAt"];

impl Moment<'_> {
    /// Makes a client.
    ///
    /// # Errors
    ///
    /// 400 for a broken limit; 409 for a name in use, where the switch says so.
    pub fn create_client(
        &mut self,
        caller: Caller<'_>,
        draft: Draft,
        is_trusted: bool,
    ) -> Result<Created, Problem> {
        let admitted = self.admit_admin(caller, Endpoint::CreateClient)?;
        self.make_client(caller.host, &admitted.user_id, draft, is_trusted)
    }

    /// Makes a client for a user who may.
    pub(super) fn make_client(
        &mut self,
        host: &str,
        by: &str,
        draft: Draft,
        is_trusted: bool,
    ) -> Result<Created, Problem> {
        draft.check()?;
        self.check_name(host, &draft.client_name)?;
        let (id, now) = (self.new_id(32), self.now);
        let mut client = Client {
            id,
            draft,
            is_trusted,
            secrets: Vec::new(),
            owner_id: by.to_owned(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
            disable_tag: None,
            most_secrets: 0,
        };
        let mut secret = None;
        if client.draft.uses_secrets() {
            let (kept, minted) = self.state.new_secret(None, now, by);
            client.keep(kept, now);
            secret = Some(minted);
        }
        let view = client.view();
        self.tenant(host)?.clients.push(client);
        let state = &mut *self.state;
        let spelling = state.behaviour.hint.draw(&mut state.rng);
        let (secret, hint) = secret.map(|minted| (minted.secret, minted.view.hint)).unzip();
        Ok(Created { client_id: view.client_id.clone(), secret, hint, spelling, view })
    }

    fn check_name(&mut self, host: &str, name: &str) -> Result<(), Problem> {
        let is_unique = self.state.behaviour.unique_names;
        let tenant = self.tenant(host)?;
        let mut live = tenant.clients.iter().filter(|client| client.is_live());
        if is_unique && live.any(|client| client.draft.client_name == name) {
            return Err(Problem::conflict("an OAuth client of this name exists"));
        }
        Ok(())
    }

    /// One page of clients.
    ///
    /// # Errors
    ///
    /// 400 for a cursor that names nothing.
    pub fn list_clients(&mut self, caller: Caller<'_>, query: &ListQuery) -> Result<ClientPage, Problem> {
        self.admit_admin(caller, Endpoint::ListClients)?;
        self.tenant(caller.host)?;
        let state = &*self.state;
        let Some(tenant) = state.tenants.get(caller.host) else { return Err(Problem::no_such_host()) };
        let hidden_since = self.now - state.lag_of(caller.host);
        let mut sorted: Vec<&Client> = tenant.clients.iter().collect();
        sort(&mut sorted, query.sort.as_ref(), state.behaviour.list_order, &tenant.id);
        let shown = |client: &Client| {
            (client.is_live() || state.behaviour.tombstones)
                && client.created_at <= hidden_since
                && query.filter.matches(|name| client.attribute(&tenant.id, name))
        };
        let Cut { items, prev, next, total } = cut(&sorted, |client| &client.id, shown, &query.paging)?;
        Ok(ClientPage {
            clients: items.into_iter().map(Client::view).collect(),
            prev,
            next,
            total: query.total.then_some(total),
        })
    }

    /// Reads one client.
    ///
    /// # Errors
    ///
    /// 404 for one that is not there; a deleted one is, where the switch says so.
    pub fn get_client(&mut self, caller: Caller<'_>, id: &str) -> Result<ClientView, Problem> {
        self.admit_admin(caller, Endpoint::GetClient)?;
        let tombstones = self.state.behaviour.tombstones;
        let tenant = self.tenant(caller.host)?;
        let found = tenant.clients.iter().find(|client| client.id == id && (tombstones || client.is_live()));
        found.map(Client::view).ok_or_else(|| Problem::not_found("OAuth client"))
    }

    /// Deletes a client. Tokens it has and its bot user stay.
    ///
    /// # Errors
    ///
    /// 400 unless `confirm` (header `qlik-confirm-delete`) repeats the id; 404.
    pub fn delete_client(
        &mut self,
        caller: Caller<'_>,
        id: &str,
        confirm: Option<&str>,
    ) -> Result<(), Problem> {
        self.admit_admin(caller, Endpoint::DeleteClient)?;
        if confirm != Some(id) {
            return Err(Problem::invalid("header qlik-confirm-delete must hold the client id"));
        }
        let now = self.now;
        self.tenant(caller.host)?.live_client(id)?.deleted_at = Some(now);
        Ok(())
    }
}

impl State {
    /// How long this tenant hides new clients from lists.
    fn lag_of(&self, host: &str) -> std::time::Duration {
        match self.behaviour.list_lag {
            Some(list) if Rng::named(self.seed, host).share() < list.share => list.lag,
            Some(_) | None => std::time::Duration::ZERO,
        }
    }
}

/// Sorts by the field asked for, else by the switch; equals stay in order of creation.
fn sort(clients: &mut [&Client], sort: Option<&super::query::Sort>, otherwise: ListOrder, tenant_id: &str) {
    let Some(sort) = sort else {
        match otherwise {
            ListOrder::OldestFirst => {}
            ListOrder::NewestFirst => clients.reverse(),
            ListOrder::ById => clients.sort_by(|a, b| a.id.cmp(&b.id)),
        }
        return;
    };
    clients.sort_by(|a, b| match sort.field.as_str() {
        "createdAt" => a.created_at.cmp(&b.created_at),
        "updatedAt" => a.updated_at.cmp(&b.updated_at),
        name => a.attribute(tenant_id, name).cmp(b.attribute(tenant_id, name)),
    });
    if sort.is_descending {
        clients.reverse();
    }
}
