//! The store: what must survive, in Postgres, with no trait above it.
//!
//! How to add a query: put it beside the queries that touch the same thing, start
//! it with a `-- thing.verb` comment (it shows in `pg_stat_statements`), take
//! durations as arguments and let `tenantd.clock()` make the instants, and check
//! how many rows it touched.
//!
//! The rules: **every write to a claimed row is fenced** ([`commit`]), every
//! decision is one statement, and no transaction is ever open across a request to Qlik.

pub mod adopt;
pub mod attempts;
pub mod audits;
pub mod budget;
pub mod census;
pub mod checkup;
pub mod claim;
pub mod commit;
pub mod error;
pub mod explain;
pub mod fleet;
pub mod forget;
pub mod inspect;
pub mod lease;
pub mod listener;
pub mod pauses;
pub mod recreate;
pub mod regions;
pub mod rejoin;
pub mod requests;
pub mod rollback;
pub mod rollouts;
mod rows;
pub mod schedules;
pub mod schema;
pub mod secrets;
pub mod tenants;

use std::future::Future;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

use crate::domain::ids::{Holder, InstallationId};

pub use error::StoreError;

/// One process's view of the store.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    installation: InstallationId,
    holder: Holder,
}

impl Store {
    /// Takes a pool on a migrated database; `holder` is this process's name in leases.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`], also when the schema is missing.
    pub async fn open(pool: PgPool, holder: Holder) -> Result<Self, StoreError> {
        let installation = sqlx::query_scalar!(
            r#"
            -- installation.read
            SELECT installation_id FROM tenantd.installation
            "#
        )
        .fetch_one(&pool)
        .await?;
        Ok(Self { pool, installation: InstallationId(installation), holder })
    }

    /// Who we are to Qlik.
    #[must_use]
    pub fn installation(&self) -> InstallationId {
        self.installation
    }

    /// Who we are in leases.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// The pool, for read-only questions of other surfaces.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Longest wait for the answer to a statement. Longer than the server itself would
/// take under the daemon's `statement_timeout`, so it ends only what the network lost.
const ANSWER: Duration = Duration::from_secs(45);

/// Waits for a statement, but not for ever: a network that drops packets without a
/// word would hold its caller until the system gives the connection up, if ever.
/// What is cut off counts as an outage.
async fn bounded<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    within(ANSWER, statement).await
}

async fn within<T>(
    limit: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    let answered = tokio::time::timeout(limit, statement).await;
    Ok(answered.unwrap_or(Err(sqlx::Error::PoolTimedOut))?)
}

/// A duration as Postgres takes it; saturates far beyond any setting.
fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}

/// Milliseconds from Postgres; what lies in the past is zero.
fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_statement_that_is_never_answered_is_an_outage() {
        let never = std::future::pending::<Result<(), sqlx::Error>>();

        let error = within(Duration::from_millis(1), never).await.unwrap_err();

        assert!(error.is_outage());
    }

    #[tokio::test]
    async fn an_answer_in_time_is_passed_on_as_it_is() {
        let (done, refused) = (async { Ok(7) }, async { Err::<(), _>(sqlx::Error::RowNotFound) });

        assert_eq!(bounded(done).await.unwrap(), 7);
        assert!(matches!(bounded(refused).await, Err(StoreError::Driver(sqlx::Error::RowNotFound))));
    }
}
