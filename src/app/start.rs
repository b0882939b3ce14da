//! From an address in the configuration to a store that can be worked on, or to a
//! sentence that says why not.
//!
//! The rule: the daemon waits for what passes by itself, and says so once. Anything else
//! ends the start, with its remedy.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use uuid::{Builder, Uuid};

use super::dial;
use crate::domain::ids::Holder;
use crate::domain::message::Message;
use crate::ports::Entropy;
use crate::postgres::connections::{self, Connections, Purpose, Session};
use crate::postgres::error::Meaning;
use crate::postgres::{Store, StoreError, schema};
use crate::qlik::InvalidOptions;
use crate::settings::{Database, DatabaseUrl};
use crate::system::OsEntropy;
use crate::telemetry::traces::InvalidCollector;
use crate::vault::KeyringError;

/// Connections of a command, and of whoever only looks.
const FEW: usize = 4;
/// Pause between looks at a database that is away.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are words of the message")]
pub enum StartError {
    /// `database.url` is no address.
    BadUrl,
    /// The database refused us.
    Refused(String),
    /// The schema is not there, or not up to this version.
    SchemaMissing {
        /// How many migrations are missing.
        pending: usize,
    },
    /// The daemon's role may not do what it must.
    Forbidden(String),
    /// The database holds text in another encoding than ours.
    Encoding { encoding: String },
    /// It is not the database that was recognised.
    Elsewhere(String),
    /// A connection pooler is there that the settings do not tell of.
    Pooler(Message),
    /// Others were in the way of a statement.
    Contended(String),
    /// The database refused a statement, for a reason that no setting mends.
    Failed(Message),
    /// The database is away.
    Unreachable(String),
    /// The keyring cannot be used.
    Keyring(#[from] KeyringError),
    /// `qlik.ca_file` cannot be read.
    CaFile { path: String, error: std::io::Error },
    /// The HTTPS client cannot be built.
    Qlik(#[from] InvalidOptions),
    /// The collector of traces cannot be spoken to.
    Traces(#[from] InvalidCollector),
}

impl StartError {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::BadUrl => Message::new(
                "database.url cannot be read",
                "write it as postgres://user:password@host:5432/database",
            ),
            Self::Refused(said) => {
                Message::new(said, "correct user, password and database name in database.url")
            }
            Self::SchemaMissing { pending } => Message::new(
                format!("the schema lacks {pending} of this version's migrations"),
                "run `tenantd migrate` as the schema's owner",
            ),
            Self::Forbidden(said) => Message::new(
                format!("{said}; the login lacks the right"),
                "use a login that has tenantd_daemon (for list, show, history, wait, explain and fleet status tenantd_operator suffices), or run deploy/postgres/roles.sql again",
            ),
            Self::Encoding { encoding } => Message::new(
                format!("the database's encoding is {encoding}, and tenantd needs UTF8"),
                "create another with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and use that",
            ),
            Self::Elsewhere(said) => Message::new(said, "see `tenantd rejoin --status`"),
            Self::Contended(said) => Message::new(
                format!("{said}; others are in the way"),
                "try again; if it stays so, somebody left a transaction open: `SELECT pid, usename, state, xact_start FROM pg_stat_activity ORDER BY xact_start` names who",
            ),
            Self::Pooler(message) | Self::Failed(message) => message.clone(),
            Self::Unreachable(said) => Message::new(said, "check database.url and that the server is up"),
            Self::Keyring(error) => error.message(),
            Self::CaFile { path, error } => Message::new(
                format!("qlik.ca_file {path} cannot be read: {error}"),
                "correct the path or the file's mode",
            ),
            Self::Qlik(error) => error.message(),
            Self::Traces(error) => {
                Message::new(error.to_string(), "correct [traces], or remove traces.endpoint to send none")
            }
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

/// Connections to the configured database, for a command or for whoever only looks. Opens
/// none yet.
pub fn connections(database: &Database) -> Result<Connections, StartError> {
    connections_for(database, Purpose::Command, FEW, connections::COMMAND)
}

/// The same for work on tenants. These are opened on a recognised database only, and no
/// statement on them can hang for ever.
pub fn work_connections(database: &Database) -> Result<Connections, StartError> {
    let most = usize::try_from(database.max_connections).unwrap_or(usize::MAX);
    connections_for(database, Purpose::Work, most, connections::ANSWER)
}

/// The same for those who ask over HTTP: few, and none waits long.
pub fn api_connections(database: &Database) -> Result<Connections, StartError> {
    connections_for(database, Purpose::Api, FEW, connections::ANSWER)
}

fn connections_for(
    database: &Database,
    purpose: Purpose,
    most: usize,
    answer: Duration,
) -> Result<Connections, StartError> {
    let options = |url: &SecretString| {
        DatabaseUrl::parse(url.expose_secret()).map(|url| dial::options(&url)).ok_or(StartError::BadUrl)
    };
    let session = Session { purpose, pooler: database.pooler };
    let connections = Connections::new(options(&database.url)?, session, most, answer);
    Ok(match &database.listen_url {
        Some(url) => connections.listening_at(options(url)?),
        None => connections,
    })
}

/// A name for this process in leases.
#[must_use]
pub fn holder(entropy: &dyn Entropy) -> Holder {
    let uuid: Uuid = Builder::from_random_bytes(entropy.bits().to_le_bytes()).into_uuid();
    Holder(uuid)
}

/// Connects once, to see whether it can be done.
pub async fn reach(connections: &Connections) -> Result<(), StartError> {
    let answered = sqlx::query("-- database.reach\nSELECT").execute(connections).await;
    answered.map(drop).map_err(|error| started(&error.into()))
}

/// Opens the store once, for a command.
pub async fn open_store(connections: &Connections) -> Result<Store, StartError> {
    check(connections).await?;
    Store::open(connections.clone(), holder(&OsEntropy)).await.map_err(|error| started(&error))
}

/// Opens the store once, for work: on a database that takes writes, and that was
/// recognised.
pub async fn open_for_work(database: &Database, settle: Duration) -> Result<Store, StartError> {
    let looking = connections(database)?;
    check(&looking).await?;
    match is_read_only(&looking).await {
        Ok(false) => {}
        Ok(true) => {
            return Err(StartError::Unreachable(
                "the database is read-only, as a standby is; the daemon needs the primary".to_owned(),
            ));
        }
        Err(error) => return Err(started(&error.into())),
    }
    let store = open_store(&looking).await?;
    store.recognise(settle).await.map_err(|error| started(&error))?.tell();
    Store::open(work_connections(database)?, holder(&OsEntropy)).await.map_err(|error| started(&error))
}

/// Opens the store for the daemon: waits, and says so once, while the database is
/// unreachable, starting or read-only.
///
/// # Errors
///
/// [`StartError`], except for what passes by itself: [`StartError::Unreachable`],
/// [`StartError::Contended`] and [`StartError::Elsewhere`].
pub async fn wait_for_store(database: &Database, settle: Duration) -> Result<Store, StartError> {
    let mut said = String::new();
    loop {
        match open_for_work(database, settle).await {
            // Between recognising it and opening it, it may be failed over once more.
            Err(
                StartError::Unreachable(error) | StartError::Contended(error) | StartError::Elsewhere(error),
            ) => {
                if said != error {
                    tracing::warn!(error, "waiting for the database: {error}");
                }
                said = error;
            }
            other => return other,
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether the database takes no writes.
pub async fn is_read_only(connections: &Connections) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar::<_, bool>(
        "-- database.is_read_only\nSELECT current_setting('transaction_read_only')::bool",
    )
    .fetch_one(connections)
    .await
}

async fn check(connections: &Connections) -> Result<(), StartError> {
    let encoding = schema::other_encoding(connections).await.map_err(|error| started(&error.into()))?;
    if let Some(encoding) = encoding {
        return Err(StartError::Encoding { encoding });
    }
    let steps = schema::steps(connections).await.map_err(|error| started(&error.into()))?;
    match steps.iter().filter(|step| !step.is_applied).count() {
        0 => Ok(()),
        pending => Err(StartError::SchemaMissing { pending }),
    }
}

/// What an error of the store means for a start.
#[must_use]
pub fn started(error: &StoreError) -> StartError {
    let message = error.message();
    let Some(meaning) = error.meaning() else { return StartError::Failed(message) };
    match meaning {
        Meaning::Refused => StartError::Refused(message.problem),
        Meaning::SchemaMissing => StartError::SchemaMissing { pending: 1 },
        Meaning::Forbidden => StartError::Forbidden(message.problem),
        Meaning::Away | Meaning::ReadOnly => StartError::Unreachable(message.problem),
        Meaning::Elsewhere => StartError::Elsewhere(message.problem),
        Meaning::Pooler => StartError::Pooler(message),
        Meaning::Contended => StartError::Contended(message.problem),
        Meaning::Values | Meaning::Defect => StartError::Failed(message),
    }
}
