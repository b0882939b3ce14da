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
pub mod calendar;
pub mod census;
pub mod claim;
pub mod commit;
pub mod connections;
pub mod counts;
pub mod defects;
pub mod doctor;
pub mod error;
pub mod explain;
mod filter;
pub mod fleet;
pub mod forget;
pub mod inspect;
pub mod lately;
pub mod lease;
pub mod listener;
pub mod migrate;
pub mod objective;
pub mod owner;
pub mod parked;
mod passes;
pub mod pauses;
pub mod raised;
mod recognise;
pub mod recreate;
pub mod regions;
pub mod rejoin;
pub mod rights;
pub mod rollback;
pub mod rollouts;
mod rows;
pub mod schedules;
pub mod schema;
pub mod secrets;
pub mod tenants;
pub mod verbs;

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use crate::domain::ids::{Holder, InstallationId};

pub use connections::Connections;
pub use error::StoreError;

/// One process's view of the store.
#[derive(Debug, Clone)]
pub struct Store {
    connections: Connections,
    /// The same, for statements that may take longer.
    patient: Connections,
    installation: InstallationId,
    holder: Holder,
}

impl Store {
    /// Takes connections to a migrated database; `holder` is this process's name in leases.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`], also when the schema is missing.
    pub async fn open(connections: Connections, holder: Holder) -> Result<Self, StoreError> {
        let installation = sqlx::query_scalar!(
            r#"
            -- installation.read
            SELECT installation_id FROM tenantd.installation
            "#
        )
        .fetch_one(&connections)
        .await?;
        let patient = connections.within(connections::PATIENCE);
        Ok(Self { connections, patient, installation: InstallationId(installation), holder })
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

    /// The connections, for read-only questions of other surfaces.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.connections
    }
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
