//! What is asked for over HTTP: the verbs of the commands, each at most once by its key.
//!
//! The rule: **the verb, its line in the history and its key are one transaction.** Whoever asks
//! again with the key gets the answer of the first time, whichever replica is asked; whoever
//! asks while the first is under way waits for it. What is refused changes nothing and is not
//! remembered.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::connections::Link;
use super::owner::{self, lock};
use super::pauses::{self, End};
use super::tenants::{self, Status};
use super::{Store, StoreError, interval};

/// How long a key is remembered.
const REMEMBERED: Duration = Duration::from_hours(24);

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

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The caller's.
    pub key: &'a str,
    /// A digest of what is asked for, and by whom: what the key stands for.
    pub request: [u8; 32],
    /// Of which tenant.
    pub external_id: &'a str,
    /// What is to be done.
    pub verb: Verb,
    /// Of a pause: when it ends.
    pub end: End,
    /// When it is asked for.
    pub now: DateTime<Utc>,
    /// Why, in words of whoever asks.
    pub reason: &'a str,
    /// Who asks.
    pub by: &'a str,
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
}

impl Store {
    /// Carries out an order, once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`]; whether it was carried out is then for the key to tell.
    pub async fn carry_out(&self, order: &Order<'_>) -> Result<Carried, StoreError> {
        let mut transaction = self.connections.begin().await?;
        if !keep_key(&mut transaction, order.key, &order.request).await? {
            let answered = answer(&mut transaction, order.key, &order.request).await?;
            transaction.commit().await?;
            return Ok(answered.map_or(Carried::OtherRequest, Carried::Out));
        }
        // What is not committed from here on takes the key with it. Whoever asks again once the pause is
        // over was answered above.
        if matches!(order.end, End::At(until) if until <= order.now) {
            return Ok(Carried::Past);
        }
        let Some(row) = lock(&mut transaction, order.external_id).await? else {
            return Ok(Carried::UnknownTenant);
        };
        let did = act(&mut transaction, order).await?;
        let Some(tenant) = tenants::status_of(&mut *transaction, order.external_id).await? else {
            return Ok(Carried::UnknownTenant);
        };
        let (done, version) = match did {
            Did::Done(version) => (true, version),
            Did::Nothing => (false, None),
            Did::Impossible => return Ok(Carried::Impossible(Box::new(tenant))),
        };
        if done {
            let message = format!("{}; asked for by {} over HTTP", order.reason, order.by);
            self.record_in(&mut *transaction, row.tenant, order.verb.as_str(), &message).await?;
        }
        let deed = Deed { verb: order.verb, done, version, tenant };
        // Only a map whose keys are no texts fails.
        let told = serde_json::to_value(&deed).unwrap_or_else(|error| unreachable!("{error}"));
        keep_answer(&mut transaction, order.key, &told).await?;
        transaction.commit().await?;
        Ok(Carried::Out(told))
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

enum Did {
    Done(Option<i32>),
    Nothing,
    Impossible,
}

async fn act(link: &mut Link, order: &Order<'_>) -> Result<Did, StoreError> {
    let id = order.external_id;
    let was = |is: bool| if is { Did::Done(None) } else { Did::Nothing };
    Ok(match order.verb {
        Verb::Retry => was(!tenants::retry(link, &[id.to_owned()]).await?.is_empty()),
        Verb::Pause => was(pauses::pause(link, id, order.reason, order.end).await?),
        Verb::Resume => was(pauses::resume(link, id).await?),
        Verb::Rotate => match owner::rotate(link, id).await? {
            Some(version) => Did::Done(Some(version)),
            None => Did::Impossible,
        },
        Verb::Remove => was(owner::remove(link, id).await?.is_some()),
    })
}

/// Whether the key is new. Waits for whoever has it in hand.
pub(super) async fn keep_key(link: &mut Link, key: &str, request: &[u8; 32]) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"
        -- idempotency_keys.keep
        INSERT INTO tenantd.idempotency_keys (idempotency_key, request, answer)
        VALUES ($1, $2, 'null')
        ON CONFLICT DO NOTHING
        "#,
        key,
        request
    )
    .execute(link)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn keep_answer(link: &mut Link, key: &str, told: &Value) -> Result<(), StoreError> {
    let done = sqlx::query!(
        r#"
        -- idempotency_keys.answer
        UPDATE tenantd.idempotency_keys SET answer = $2 WHERE idempotency_key = $1
        "#,
        key,
        told
    )
    .execute(link)
    .await?;
    // It was inserted in this transaction, which is not committed otherwise.
    if done.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound.into()) }
}

/// What was answered before; `None` where the key stands for something else.
pub(super) async fn answer(
    link: &mut Link,
    key: &str,
    request: &[u8; 32],
) -> Result<Option<Value>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        -- idempotency_keys.answered
        SELECT answer FROM tenantd.idempotency_keys WHERE idempotency_key = $1 AND request = $2
        "#,
        key,
        request
    )
    .fetch_optional(link)
    .await?)
}
