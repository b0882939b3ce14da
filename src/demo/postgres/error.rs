//! Why a private Postgres did not start.
//!
//! The rule: each message says what to do, for somebody who only typed `make demo`.

use std::path::PathBuf;

/// A private Postgres that did not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are words of the message")]
pub enum StartError {
    /// Postgres is not installed, or not where it was looked for.
    #[error(
        "no PostgreSQL server programs (initdb and postgres) in {searched}. Install them \
         (`apt-get install postgresql`, `dnf install postgresql-server`, `brew install postgresql@17`), \
         or name their directory in PG_BIN_DIR, or use a server that runs already: \
         TENANTD_DATABASE__URL for the demo, TEST_DATABASE_URL for the tests"
    )]
    NoBinaries {
        /// Every place that was looked at, for people.
        searched: String,
    },
    /// `PG_BIN_DIR` leads nowhere.
    #[error("PG_BIN_DIR is {}, but initdb and postgres are not both there; correct or unset it", .0.display())]
    NotInGivenDirectory(PathBuf),
    /// We are root, which Postgres refuses, and there is nobody else to run it.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor `nobody`; \
         add one, or run this as another user"
    )]
    NoOwner,
    /// The operating system refused something.
    #[error("could not {act}")]
    Os {
        /// What was tried, with the path or program.
        act: String,
        #[source]
        source: std::io::Error,
    },
    /// The server's programs ran and gave up.
    #[error("PostgreSQL did not start ({act}). Its last words: {log}")]
    Refused { act: &'static str, log: String },
}

impl StartError {
    /// Says what was tried when the operating system refused.
    pub(super) fn os(act: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let act = act.into();
        move |source| Self::Os { act, source }
    }
}
