//! What is asked of the daemon: the verbs, of one tenant or of some of those who match.
//!
//! The rules: **the verb and its line in the history are one transaction**; whoever changed until
//! its row was locked, and matches no longer, is passed by.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use utoipa::ToSchema;

use super::filter;
use super::owner;
use super::pauses::{self, End};
use super::tenants;
use crate::domain::filter::Filter;
use crate::domain::ids::TenantId;
use crate::postgres::connections::Link;
use crate::postgres::{Store, StoreError};

/// What may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// `tenantd tenant retry`.
    Retry,
    /// `tenantd tenant pause`.
    Pause,
    /// `tenantd tenant resume`.
    Resume,
    /// `tenantd tenant rotate`.
    Rotate,
    /// `tenantd tenant remove`.
    Remove,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 5] = [Self::Retry, Self::Pause, Self::Resume, Self::Rotate, Self::Remove];

    /// The spelling in paths and in the history.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Rotate => "rotate",
            Self::Remove => "remove",
        }
    }
}

/// What is to be done, whoever to.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// What.
    pub verb: Verb,
    /// Of a pause: when it ends.
    pub end: End,
    /// Why, in words of whoever asks.
    pub reason: &'a str,
    /// Who asks, and by what way.
    pub by: &'a str,
}

/// What was done to some of those who match.
#[derive(Debug, Clone, Default)]
pub struct Slice {
    /// To how many it was done.
    pub done: u64,
    /// With how many there was nothing to do, or who changed meanwhile.
    pub unchanged: u64,
    /// To whom it cannot be done.
    pub refused: Vec<String>,
}

impl Store {
    /// Does something to these tenants, as far as they match (still).
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`]; nothing of it was done then, unless the commit's own answer was lost.
    pub async fn act_on_those(
        &self,
        filter: &Filter,
        keys: &[String],
        task: &Task<'_>,
    ) -> Result<Slice, StoreError> {
        let mut transaction = self.connections.begin().await?;
        be_brief(&mut transaction).await?;
        let slice = self.slice(&mut transaction, filter, keys, task).await?;
        transaction.commit().await?;
        Ok(slice)
    }

    /// Whoever changed until its row was locked, and matches no longer, is passed by.
    pub(super) async fn slice(
        &self,
        link: &mut Link,
        filter: &Filter,
        keys: &[String],
        task: &Task<'_>,
    ) -> Result<Slice, StoreError> {
        let rows = lock_all(link, keys).await?;
        let still: HashSet<String> = filter::among(&mut *link, filter, keys).await?.into_iter().collect();
        let mut slice = Slice::default();
        for external_id in keys {
            let did = match rows.get(external_id).filter(|_| still.contains(external_id)) {
                Some(tenant) => self.act(link, external_id, *tenant, task).await?,
                None => Did::Nothing,
            };
            match did {
                Did::Done(_) => slice.done += 1,
                Did::Nothing => slice.unchanged += 1,
                Did::Impossible => slice.refused.push(external_id.clone()),
            }
        }
        Ok(slice)
    }

    /// Acts on a locked row, with its line in the history.
    pub(super) async fn act(
        &self,
        link: &mut Link,
        external_id: &str,
        tenant: TenantId,
        task: &Task<'_>,
    ) -> Result<Did, StoreError> {
        let did = act(link, external_id, task).await?;
        if let Did::Done(_) = did {
            let message = format!("{}; asked for by {}", task.reason, task.by);
            self.record_in(&mut *link, tenant, task.verb.as_str(), &message).await?;
        }
        Ok(did)
    }
}

/// What came of a verb for one tenant.
pub(super) enum Did {
    /// It was done; of a rotation, the version that comes.
    Done(Option<i32>),
    /// There was nothing to do.
    Nothing,
    /// It cannot be done as the tenant is.
    Impossible,
}

async fn act(link: &mut Link, id: &str, task: &Task<'_>) -> Result<Did, StoreError> {
    let was = |is: bool| if is { Did::Done(None) } else { Did::Nothing };
    Ok(match task.verb {
        Verb::Retry => was(tenants::retry(link, id).await?),
        Verb::Pause => was(pauses::pause(link, id, task.reason, task.end).await?),
        Verb::Resume => was(pauses::resume(link, id).await?),
        Verb::Rotate => match owner::rotate(link, id).await? {
            Some(version) => Did::Done(Some(version)),
            None => Did::Impossible,
        },
        Verb::Remove => was(owner::remove(link, id).await?.is_some()),
    })
}

/// Daemons wait for rows that are locked: whoever locks some waits for none of them for long, and
/// keeps none while he is stopped.
pub(super) async fn be_brief(link: &mut Link) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        -- transaction.be_brief
        SELECT set_config('lock_timeout', '4s', true) AS "lock!",
               set_config('idle_in_transaction_session_timeout', '15s', true) AS "idle!"
        "#
    )
    .fetch_one(link)
    .await?;
    Ok(())
}

/// Locks rows in the order of their keys, so that two who do wait for each other in turn.
async fn lock_all(link: &mut Link, keys: &[String]) -> Result<HashMap<String, TenantId>, StoreError> {
    let rows = sqlx::query!(
        r#"
        -- tenants.lock_all
        SELECT external_id, tenant_id FROM tenantd.tenants WHERE external_id = ANY ($1) ORDER BY external_id FOR UPDATE
        "#,
        keys
    )
    .fetch_all(link)
    .await?;
    Ok(rows.into_iter().map(|row| (row.external_id, TenantId(row.tenant_id))).collect())
}
