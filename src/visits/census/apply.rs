//! A plan, carried out.
//!
//! The rules: each entry is found anew under its tenant's lease, by the same sorting that
//! found it first, and refused when anything it rests on has changed; a place in the
//! hour's budget is taken before each act; nothing is deleted while deletions are held.

use crate::domain::census::{Action, Class, Found};
use crate::domain::ids::{ClientId, Hint, TenantId};
use crate::domain::mark::marks_in;
use crate::domain::region::AllowedHost;
use crate::engine::acts::{TokenHolder, delete_bots};
use crate::ports::QlikApi;
use crate::postgres::StoreError;
use crate::visits::hold::deletions_held;
use crate::visits::inspect::{Inspector, NotDone, of_qlik};

use super::plan::{Entry, Plan};
use super::{Counted, Place, hints_of};

/// The census's name in `tenantd.rollouts`.
const KIND: &str = "census";

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It was done.
    Done,
    /// It was gone already.
    Gone,
    /// It is not as the plan says any more; nothing was done.
    Changed(String),
    /// Qlik, or the lease, could not be had.
    NotAsked(String),
}

/// Why the rest of a plan was left.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hour's changes are spent.
    #[error(
        "the hour's {0} changes are spent ([budget] changes_per_hour); run the same command again in an hour: what is done already is passed by"
    )]
    Spent(u32),
    /// Nothing may be deleted.
    #[error("{}", deletions_held(.0))]
    Held(String),
}

/// How one entry ended, when it did not end as it should.
enum Ended {
    Entry(Applied),
    All(Stop),
}

impl From<NotDone> for Ended {
    fn from(error: NotDone) -> Self {
        match error {
            NotDone::Store(StoreError::LeaseLost(_)) => Self::Entry(Applied::NotAsked(error.to_string())),
            NotDone::Store(error) => Self::All(error.into()),
            NotDone::Qlik { .. } | NotDone::Busy(_) | NotDone::Refused(_) => {
                Self::Entry(Applied::NotAsked(error.to_string()))
            }
        }
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::from(NotDone::from(error))
    }
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        Self::All(stop)
    }
}

impl<Q: QlikApi> Inspector<Q> {
    /// Carries out what a plan proposes to delete, one entry after the other, and says of
    /// each what became of it.
    ///
    /// # Errors
    ///
    /// [`Stop`]; the entries before were told.
    pub async fn apply(
        &self,
        plan: &Plan,
        by: &str,
        mut tell: impl FnMut(&Entry, &Applied),
    ) -> Result<(), Stop> {
        for entry in &plan.entries {
            let is_deletion = match entry.action {
                Action::DeleteClient | Action::DeleteSecret => true,
                Action::Recreate | Action::None => false,
            };
            if !is_deletion {
                continue;
            }
            let applied = match self.apply_one(entry, by).await {
                Ok(applied) | Err(Ended::Entry(applied)) => applied,
                Err(Ended::All(stop)) => return Err(stop),
            };
            tell(entry, &applied);
        }
        Ok(())
    }

    async fn apply_one(&self, entry: &Entry, by: &str) -> Result<Applied, Ended> {
        let host = self.allowed(&entry.host)?;
        let row = self.store.tenant_at(&entry.host).await?;
        let tenant = row.as_ref().map(|row| row.tenant_id);
        if tenant.map(|tenant| tenant.0) != entry.tenant_id {
            return Ok(Applied::Changed("the host's row is another one now".to_owned()));
        }
        let place = Place { host: entry.host.clone(), row };
        let Some(tenant) = tenant else { return self.apply_held(entry, place, &host, by).await };
        let fence = self.take(tenant).await?;
        let mut ended = None;
        let act = async {
            ended = Some(self.apply_held(entry, place, &host, by).await);
            Ok(())
        };
        self.under(tenant, fence, act).await?;
        ended.unwrap_or_else(|| Err(StoreError::LeaseLost(tenant).into()))
    }

    async fn apply_held(
        &self,
        entry: &Entry,
        place: Place,
        host: &AllowedHost,
        by: &str,
    ) -> Result<Applied, Ended> {
        let counted = self.count_held(place, host).await?;
        let client = ClientId::new(entry.client_id.clone());
        let is_there = counted.seen.iter().any(|seen| !seen.is_deleted && seen.client_id == client);
        if let Some(changed) = row_change(entry, &counted).or_else(|| self.unmarked(entry)) {
            return Ok(Applied::Changed(changed));
        }
        match (entry.action, is_there) {
            (Action::DeleteClient, false) => self.end_traces_of_gone(entry, host, &client, by).await,
            (Action::DeleteSecret, false) => Ok(Applied::Gone),
            (Action::DeleteClient | Action::DeleteSecret, true) => {
                if is_secret_gone(entry, &counted) {
                    return Ok(Applied::Gone);
                }
                if let Some(changed) = change(entry, &counted) {
                    return Ok(Applied::Changed(changed));
                }
                self.spend(entry).await?;
                self.act_on(entry, host, &client).await?;
                self.write_down(entry, by).await?;
                Ok(Applied::Done)
            }
            (Action::Recreate | Action::None, _) => Ok(Applied::Changed("nothing is proposed".to_owned())),
        }
    }

    /// Whether the plan itself names a client that is not ours: then somebody has edited it.
    fn unmarked(&self, entry: &Entry) -> Option<String> {
        let description = entry.description.as_deref().unwrap_or_default();
        let installation = self.store.installation();
        let is_ours = match entry.class {
            Class::Orphan | Class::Duplicate => {
                let mut marks = marks_in(description).peekable();
                let is_committed = entry.row_client_id.as_ref() == Some(&entry.client_id);
                marks.peek().is_some() && marks.all(|mark| mark.installation == installation) && !is_committed
            }
            Class::StaleSecret => entry.row_client_id.as_ref() == Some(&entry.client_id),
            Class::Missing | Class::LookAlike => false,
        };
        (!is_ours).then(|| "the plan proposes what no census does".to_owned())
    }

    /// Takes a place in the budget, unless nothing may be deleted at all.
    async fn spend(&self, entry: &Entry) -> Result<(), Ended> {
        if let Some(held) = self.store.hold().await? {
            return Err(Stop::Held(held.reason).into());
        }
        let per_hour = self.terms.bounds.changes_per_hour;
        let tenant = TenantId(entry.marked_tenant_id.or(entry.tenant_id).unwrap_or_default());
        if self.store.spend_change(KIND, tenant, per_hour).await? {
            Ok(())
        } else {
            Err(Stop::Spent(per_hour).into())
        }
    }

    async fn act_on(&self, entry: &Entry, host: &AllowedHost, client: &ClientId) -> Result<(), NotDone> {
        if let Some(hint) = &entry.hint {
            let hint = Hint::new(hint.clone());
            return self.api.delete_secret(host, client, &hint).await.map_err(of_qlik(host));
        }
        self.api.delete_client(host, client).await.map_err(of_qlik(host))?;
        self.end_traces(host, client).await
    }

    /// Of a client that was deleted before, but perhaps not all that outlives it.
    async fn end_traces_of_gone(
        &self,
        entry: &Entry,
        host: &AllowedHost,
        client: &ClientId,
        by: &str,
    ) -> Result<Applied, Ended> {
        let bots = self.api.bots_of(host, client).await.map_err(of_qlik(host))?;
        let has_tokens = self.has_tokens(host, &TokenHolder { client, bots: &bots }).await?;
        if bots.is_empty() && !has_tokens {
            return Ok(Applied::Gone);
        }
        self.spend(entry).await?;
        self.end_traces(host, client).await?;
        self.write_down(entry, by).await?;
        Ok(Applied::Done)
    }

    /// Ends a deleted client's tokens, then its bot user, as a removal does.
    async fn end_traces(&self, host: &AllowedHost, client: &ClientId) -> Result<(), NotDone> {
        let of_host = of_qlik(host);
        let bots = self.api.bots_of(host, client).await.map_err(&of_host)?;
        if self.terms.revoke_by_filter {
            self.api.delete_tokens_of(host, client).await.map_err(&of_host)?;
        } else {
            self.revoke_all(host, &TokenHolder { client, bots: &bots }).await?;
        }
        delete_bots(&self.api, host, &bots).await.map_err(of_host)
    }

    async fn write_down(&self, entry: &Entry, by: &str) -> Result<(), StoreError> {
        let Some(tenant) = entry.tenant_id else { return Ok(()) };
        let what = match &entry.hint {
            Some(hint) => format!("secret {hint} of client {}", entry.client_id),
            None => format!("client {}", entry.client_id),
        };
        let message = format!("{} {what} was deleted by {by}", entry.class.as_str());
        self.store.record(TenantId(tenant), KIND, &message).await
    }
}

fn row_change(entry: &Entry, counted: &Counted) -> Option<String> {
    let client = counted.row.as_ref().and_then(|row| row.client.as_ref()).map(ToString::to_string);
    (client != entry.row_client_id).then(|| "the tenant's row has another client now".to_owned())
}

fn is_secret_gone(entry: &Entry, counted: &Counted) -> bool {
    let client = counted.seen.iter().find(|seen| seen.client_id.as_str() == entry.client_id);
    let shows = |hint: &String| client.is_some_and(|client| hints_of(client).contains(hint));
    entry.hint.as_ref().is_some_and(|hint| !shows(hint))
}

/// What is not as the plan says; `None` when all is.
fn change(entry: &Entry, counted: &Counted) -> Option<String> {
    let is_it = |found: &&Found| {
        found.class == entry.class
            && found.client.as_str() == entry.client_id
            && found.hint.as_ref().map(Hint::as_str) == entry.hint.as_deref()
    };
    let Some(found) = counted.sorted.found.iter().find(is_it) else {
        return Some(format!("it is no {} any more", entry.class.as_str()));
    };
    let now = counted.entry(found);
    // Deleting one stale secret must not make the next one of the plan look changed.
    let are_hints_same = match entry.class {
        Class::StaleSecret => now.hints.iter().all(|hint| entry.hints.contains(hint)),
        Class::Missing | Class::Orphan | Class::Duplicate | Class::LookAlike => now.hints == entry.hints,
    };
    let differs = [
        ("its description", now.description != entry.description),
        ("its createdAt", now.created_at != entry.created_at),
        ("its secrets", !are_hints_same),
        ("the tenant of its mark", now.marked_tenant_id != entry.marked_tenant_id),
        ("the proposal", now.action != entry.action),
    ];
    differs.iter().find(|(_, differs)| *differs).map(|(what, _)| format!("{what} is not as in the plan"))
}
