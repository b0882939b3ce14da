//! Why a tour ended before its end.
//!
//! The rule: each message says what to do, for somebody who only typed `make demo`.

use std::io;

use crate::postgres::migrate::NotMigrated;

use crate::app::RunError;
use crate::demo::postgres;
use crate::postgres::StoreError;
use crate::settings::InvalidSettings;
use crate::simulator::tls;
use crate::vault::UnusableRandomness;
use crate::{app, engine};

/// A tour that did not reach its end.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are words of the message")]
pub enum TourError {
    /// The private Postgres did not start.
    #[error(transparent)]
    Postgres(#[from] postgres::StartError),
    /// The given database is used by a real installation, or by an earlier tour that was killed.
    #[error(
        "the database has a schema `tenantd` already, and the demo would work on its tenants; \
         name an empty database (`createdb tenantd_demo`), or none for a private PostgreSQL"
    )]
    Occupied,
    /// The schema could not be made.
    #[error(
        "the schema could not be made; the demo's user needs the right to create schemas in its database"
    )]
    Migrate(#[from] NotMigrated),
    /// The simulated Qlik Cloud did not start.
    #[error(transparent)]
    Simulator(#[from] tls::StartError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] UnusableRandomness),
    /// The configuration that the demo wrote is refused: a defect of ours.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The daemon did not start.
    #[error(transparent)]
    Start(#[from] app::StartError),
    /// The database stopped answering.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon ended by itself.
    #[error("the daemon ended by itself: {0}")]
    DaemonEnded(String),
    /// Patience ran out, or those left wait for a human.
    #[error("{ready} of {tenants} tenants are ready after {seconds} s; {left}")]
    NotReady {
        ready: usize,
        tenants: usize,
        /// Since the rows were inserted.
        seconds: u64,
        /// Some of the others, with their reasons.
        left: String,
    },
    /// Tenants are ready, but what Qlik counts is something else: a defect of ours.
    #[error("a promise was broken, which is a defect of tenantd, please report it: {0}")]
    PromiseBroken(String),
    /// Ctrl-C or SIGTERM.
    #[error("stopped before all tenants were ready; nothing is left behind")]
    Interrupted,
    /// The operating system refused something.
    #[error("could not {act}")]
    Os {
        act: String,
        #[source]
        source: io::Error,
    },
}

impl TourError {
    /// Says what was tried when the operating system refused.
    pub(super) fn os(act: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let act = act.into();
        move |source| Self::Os { act, source }
    }

    /// A task that panicked.
    pub(super) fn panicked(what: &str, error: tokio::task::JoinError) -> Self {
        Self::Os { act: what.to_owned(), source: io::Error::other(error) }
    }
}

impl From<sqlx::Error> for TourError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What an early end of the daemon means.
pub(super) fn daemon_ended(
    ended: Result<Result<engine::dispatch::Left, RunError>, tokio::task::JoinError>,
) -> TourError {
    TourError::DaemonEnded(match ended {
        Ok(Ok(left)) => format!("it stopped, with {} leases not given back", left.leases),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    })
}
