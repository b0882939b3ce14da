//! What is asked for over HTTP, once: an order, and how it ended.
//!
//! The rules: **the verb, its line in the history and the caller's key are one transaction**: whoever
//! asks again with the key gets the answer of the first time, whichever replica is asked; whoever
//! asks while the first is under way waits for it. What is refused changes nothing and is not
//! remembered.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::filter;
use super::owner::lock;
use super::tenants::{self, Status};
use super::verbs::{Did, Task, Verb};
use crate::domain::filter::Filter;
use crate::postgres::connections::Link;
use crate::postgres::{Store, StoreError, interval};

/// How long a key is remembered.
const REMEMBERED: Duration = Duration::from_hours(24);

/// Most tenants of one request.
pub const MOST_AT_ONCE: u32 = 500;

/// Whom it is to be done to.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// The tenant of this key.
    One(&'a str),
    /// Those who match, as many as were seen.
    All(&'a Matching<'a>),
}

/// Those who match a filter, behind a key.
#[derive(Debug, Clone, Copy)]
pub struct Matching<'a> {
    /// Who.
    pub filter: &'a Filter,
    /// Behind this key of the pipeline's.
    pub after: &'a str,
    /// How many the caller has seen there.
    pub expect: u64,
    /// How a key is told as the place where it goes on.
    pub cursor: fn(&str) -> String,
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The caller's.
    pub key: &'a str,
    /// A digest of what is asked for, and by whom: what the key stands for.
    pub request: [u8; 32],
    /// Of whom.
    pub whom: Whom<'a>,
    /// What is to be done.
    pub task: Task<'a>,
    /// When it is asked for.
    pub now: DateTime<Utc>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Deed {
    /// What was asked for.
    pub verb: Verb,
    /// Whether there was something to do.
    pub done: bool,
    /// Of a rotation: the version that comes.
    pub version: Option<i32>,
    /// Where the tenant stands since.
    pub tenant: Status,
}

/// What came of it where it was asked of all who match.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Deeds {
    /// What was asked for.
    pub verb: Verb,
    /// To how many it was done.
    pub done: u64,
    /// With how many there was nothing to do.
    pub unchanged: u64,
    /// To whom it cannot be done: they have no secret, or are to have none.
    pub refused: Vec<String>,
    /// How many were left for another time.
    pub left: u64,
    /// Where they begin: what to give as `cursor` then.
    pub next_cursor: Option<String>,
}

/// How an order ended.
#[derive(Debug)]
pub enum Carried {
    /// It was carried out, now or the first time.
    Out(Value),
    /// There is no such tenant.
    UnknownTenant,
    /// The pause was to end before it was asked for.
    Past,
    /// The key stands for another request.
    OtherRequest,
    /// It cannot be done to this tenant.
    Impossible(Box<Status>),
    /// So many match now, and not as many as were seen.
    Differs(u64),
}

impl Store {
    /// Carries out an order, once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`]; whether it was carried out is then for the key to tell.
    pub async fn carry_out(&self, order: &Order<'_>) -> Result<Carried, StoreError> {
        let mut transaction = self.connections.begin().await?;
        let carried = self.carried(&mut transaction, order).await?;
        // The key goes with what was refused.
        match &carried {
            Carried::Out(_) => transaction.commit().await?,
            Carried::UnknownTenant
            | Carried::Past
            | Carried::OtherRequest
            | Carried::Impossible(_)
            | Carried::Differs(_) => transaction.rollback().await?,
        }
        Ok(carried)
    }

    async fn carried(&self, link: &mut Link, order: &Order<'_>) -> Result<Carried, StoreError> {
        if !keep_key(link, order).await? {
            return Ok(answer(link, order).await?.map_or(Carried::OtherRequest, Carried::Out));
        }
        // Whoever asks again once the pause is over was answered above.
        if order.task.end.is_past(order.now) {
            return Ok(Carried::Past);
        }
        let told = match order.whom {
            Whom::One(external_id) => self.to_one(link, external_id, &order.task).await?,
            Whom::All(matching) => self.to_all(link, matching, &order.task).await?,
        };
        if let Carried::Out(told) = &told {
            keep_answer(link, order, told).await?;
        }
        Ok(told)
    }

    async fn to_one(
        &self,
        link: &mut Link,
        external_id: &str,
        task: &Task<'_>,
    ) -> Result<Carried, StoreError> {
        let Some(row) = lock(link, external_id).await? else { return Ok(Carried::UnknownTenant) };
        let did = self.act(link, external_id, row.tenant, task).await?;
        let Some(tenant) = tenants::status_of(link, external_id).await? else {
            return Ok(Carried::UnknownTenant);
        };
        let (done, version) = match did {
            Did::Done(version) => (true, version),
            Did::Nothing => (false, None),
            Did::Impossible => return Ok(Carried::Impossible(Box::new(tenant))),
        };
        Ok(Carried::Out(told(&Deed { verb: task.verb, done, version, tenant })))
    }

    async fn to_all(
        &self,
        link: &mut Link,
        of: &Matching<'_>,
        task: &Task<'_>,
    ) -> Result<Carried, StoreError> {
        let count = filter::count(&mut *link, of.filter, of.after).await?;
        if count != of.expect {
            return Ok(Carried::Differs(count));
        }
        // Nor to anybody who came since they were counted.
        let most = u32::try_from(of.expect).unwrap_or(u32::MAX).min(MOST_AT_ONCE);
        let keys = filter::keys(&mut *link, of.filter, of.after, most).await?;
        let slice = self.slice(link, of.filter, &keys, task).await?;
        let left = count.saturating_sub(u64::try_from(keys.len()).unwrap_or(u64::MAX));
        Ok(Carried::Out(told(&Deeds {
            verb: task.verb,
            done: slice.done,
            unchanged: slice.unchanged,
            refused: slice.refused,
            left,
            next_cursor: keys.last().filter(|_| left > 0).map(|last| (of.cursor)(last)),
        })))
    }

    /// Forgets keys that nobody asks with any more; returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn prune_keys(&self) -> Result<u64, StoreError> {
        let pruned = sqlx::query!(
            r#"
            -- idempotency_keys.prune
            DELETE FROM tenantd.idempotency_keys WHERE answered_at < tenantd.clock() - $1::interval
            "#,
            interval(REMEMBERED)
        )
        .execute(&self.patient)
        .await?;
        Ok(pruned.rows_affected())
    }
}

fn told(answer: &impl Serialize) -> Value {
    // Only a map whose keys are no texts fails.
    serde_json::to_value(answer).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Whether the key is new. Waits for whoever has it in hand.
async fn keep_key(link: &mut Link, order: &Order<'_>) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"
        -- idempotency_keys.keep
        INSERT INTO tenantd.idempotency_keys (idempotency_key, request, answer)
        VALUES ($1, $2, 'null')
        ON CONFLICT DO NOTHING
        "#,
        order.key,
        &order.request
    )
    .execute(link)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn keep_answer(link: &mut Link, order: &Order<'_>, told: &Value) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"
        -- idempotency_keys.answer
        UPDATE tenantd.idempotency_keys SET answer = $2 WHERE idempotency_key = $1
        "#,
        order.key,
        told
    )
    .execute(link)
    .await?;
    // It was inserted in this transaction, which is not committed otherwise.
    if done.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound.into()) }
}

/// What was answered before; `None` where the key stands for something else.
async fn answer(link: &mut Link, order: &Order<'_>) -> Result<Option<Value>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        -- idempotency_keys.answered
        SELECT answer FROM tenantd.idempotency_keys WHERE idempotency_key = $1 AND request = $2
        "#,
        order.key,
        &order.request
    )
    .fetch_optional(link)
    .await?)
}
