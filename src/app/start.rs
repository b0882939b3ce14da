//! From an address in the configuration to a store that can be worked on, or to a
//! sentence that says why not.
//!
//! The rule: what waiting mends is waited for by the daemon, and said once; what it
//! does not mend ends the start, with its remedy.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::{Builder, Uuid};

use super::dial;
use crate::domain::ids::Holder;
use crate::ports::Entropy;
use crate::postgres::rejoin::Recognised;
use crate::postgres::{self, Store, StoreError, schema};
use crate::qlik::InvalidOptions;
use crate::settings::{Database, DatabaseUrl};
use crate::system::OsEntropy;
use crate::vault::KeyringError;

/// Longest wait for a connection of the pool.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Longest time the server works on one statement of the daemon's, and waits for
/// one lock in it: what takes longer is cancelled and counts as an outage.
const LIMITS: [(&str, &str); 2] = [("statement_timeout", "30s"), ("lock_timeout", "10s")];
/// The daemon's few statements are run over and over, and their plans do not depend
/// on the values: planning each anew cost a quarter of its time.
const PLANS: [(&str, &str); 1] = [("plan_cache_mode", "force_generic_plan")];
/// Pause between looks at a database that is away.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `database.url` is no address.
    #[error("database.url cannot be read; write it as postgres://user:password@host:5432/database")]
    BadUrl,
    /// The database refused us.
    #[error("{0}; correct user, password and database name in database.url")]
    Refused(String),
    /// The schema is not there, or not up to this version.
    #[error(
        "the schema lacks {pending} of this version's migrations; run `tenantd migrate` as the schema's owner"
    )]
    SchemaMissing {
        /// How many are missing.
        pending: usize,
    },
    /// The daemon's role may not do what it must.
    #[error(
        "{0}; the login lacks the right: use a login that has tenantd_daemon (for list, show, history, wait, explain and fleet status tenantd_operator suffices), or run deploy/postgres/roles.sql again"
    )]
    Forbidden(String),
    /// The database is away.
    #[error("{0}; check database.url and that the server is up")]
    Unreachable(String),
    /// The keyring cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// `qlik.ca_file` cannot be read.
    #[error("qlik.ca_file {path} cannot be read: {error}; correct the path or the file's mode")]
    CaFile {
        /// As configured.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The HTTPS client cannot be built.
    #[error(transparent)]
    Qlik(#[from] InvalidOptions),
}

/// A pool on the configured database. Opens no connection yet.
///
/// # Errors
///
/// [`StartError::BadUrl`].
pub fn pool(database: &Database) -> Result<PgPool, StartError> {
    Ok(pool_of(database).connect_lazy_with(options(database)?))
}

/// The same for the daemon: no statement on it can hang for ever.
///
/// # Errors
///
/// [`StartError::BadUrl`].
pub fn daemon_pool(database: &Database) -> Result<PgPool, StartError> {
    let options = options(database)?.options(LIMITS).options(PLANS);
    // No ping before each statement: one that meets a dead connection is an outage,
    // which every caller waits out, and the ping would cost as much as the statement.
    Ok(pool_of(database).test_before_acquire(false).connect_lazy_with(options))
}

fn options(database: &Database) -> Result<PgConnectOptions, StartError> {
    let url = DatabaseUrl::parse(database.url.expose_secret()).ok_or(StartError::BadUrl)?;
    Ok(dial::options(&url))
}

fn pool_of(database: &Database) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(database.max_connections).acquire_timeout(ACQUIRE)
}

/// A name for this process in leases.
#[must_use]
pub fn holder(entropy: &dyn Entropy) -> Holder {
    let uuid: Uuid = Builder::from_random_bytes(entropy.bits().to_le_bytes()).into_uuid();
    Holder(uuid)
}

/// Connects once, beside the pool: a pool tries again until its time is up, and
/// then no longer knows why.
///
/// # Errors
///
/// [`StartError::Unreachable`], [`StartError::Refused`].
pub async fn reach(pool: &PgPool) -> Result<(), StartError> {
    let options = pool.connect_options();
    let connected = tokio::time::timeout(ACQUIRE, PgConnection::connect_with(&options)).await;
    let connection = connected.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let connection = connection.map_err(|error| started(&error.into()))?;
    // It said hello; whether it also says good-bye does not matter.
    connection.close().await.ok();
    Ok(())
}

/// Opens the store once, for a command.
///
/// # Errors
///
/// [`StartError`], one that names the remedy.
pub async fn open_store(pool: &PgPool) -> Result<Store, StartError> {
    reach(pool).await?;
    check_schema(pool).await?;
    Store::open(pool.clone(), holder(&OsEntropy)).await.map_err(|error| started(&error))
}

/// Opens the store for the daemon: waits, and says so once, while the database is
/// unreachable, starting or read-only.
///
/// # Errors
///
/// [`StartError`], except [`StartError::Unreachable`].
pub async fn wait_for_store(pool: &PgPool) -> Result<Store, StartError> {
    let mut is_said = false;
    loop {
        match open_writable(pool).await {
            Err(StartError::Unreachable(error)) => {
                if !is_said {
                    tracing::warn!(error, "waiting for the database: {error}");
                }
                is_said = true;
            }
            other => return other,
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Opens the store once, for work: a database that only reads is refused.
///
/// # Errors
///
/// [`StartError`], one that names the remedy.
pub async fn open_writable(pool: &PgPool) -> Result<Store, StartError> {
    let store = open_store(pool).await?;
    match is_read_only(pool).await {
        Ok(false) => Ok(store),
        Ok(true) => Err(StartError::Unreachable(
            "the database is read-only, as a standby is; the daemon needs the primary".to_owned(),
        )),
        Err(error) => Err(started(&error.into())),
    }
}

/// Says so, loudly, when the database seems to have come out of a backup; it was then rejoined.
///
/// # Errors
///
/// [`StartError`].
pub async fn recognise(store: &Store) -> Result<(), StartError> {
    match store.recognise().await.map_err(|error| started(&error))? {
        Recognised::Same => {}
        Recognised::Moved { what } => tracing::warn!(
            what,
            "this database was last seen elsewhere, it may have come out of a backup ({what}): every tenant is looked at \
             before anything is done about it, and nothing is deleted at Qlik Cloud until an operator has read \
             `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`"
        ),
    }
    Ok(())
}

/// Whether the database takes no writes.
///
/// # Errors
///
/// The driver's.
pub async fn is_read_only(pool: &PgPool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar::<_, bool>(
        "-- database.is_read_only\nSELECT current_setting('transaction_read_only')::bool",
    )
    .fetch_one(pool)
    .await
}

async fn check_schema(pool: &PgPool) -> Result<(), StartError> {
    let steps = schema::steps(pool).await.map_err(|error| started(&error.into()))?;
    match steps.iter().filter(|step| !step.is_applied).count() {
        0 => Ok(()),
        pending => Err(StartError::SchemaMissing { pending }),
    }
}

/// What an error of the store means for a start.
#[must_use]
pub fn started(error: &StoreError) -> StartError {
    match error {
        StoreError::Driver(driver) if postgres::error::is_refused(driver) => {
            StartError::Refused(error.to_string())
        }
        StoreError::Driver(driver) if postgres::error::is_schema_missing(driver) => {
            StartError::SchemaMissing { pending: 1 }
        }
        StoreError::Driver(driver) if driver.as_database_error().is_none() || error.is_outage() => {
            StartError::Unreachable(error.to_string())
        }
        StoreError::Driver(_) | StoreError::LeaseLost(_) | StoreError::Inconsistent { .. } => {
            StartError::Forbidden(error.to_string())
        }
    }
}
