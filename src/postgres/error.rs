//! What can go wrong with the store.
//!
//! The rule: an outage of the database is nobody's failure. It is waited out,
//! said once, and counted against no tenant.

use crate::domain::ids::TenantId;

/// A statement that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The driver or the server refused.
    #[error("{}", said(.0))]
    Driver(#[from] sqlx::Error),
    /// Another holder has the row now; nothing was written.
    #[error("the lease on tenant {0} was lost")]
    LeaseLost(TenantId),
    /// A row says something that no version of this program writes.
    #[error(
        "{table} of tenant {tenant} is unreadable: {what}; was it written by hand, or by a newer version?"
    )]
    Inconsistent {
        /// Which table.
        table: &'static str,
        /// Whose row.
        tenant: TenantId,
        /// What is wrong.
        what: String,
    },
}

/// SQLSTATE classes that pass by themselves or by an operator's hand: 08 connection,
/// 40 serialisation, 53 out of disk, memory or connections, 55 not in the right
/// state, 57 shutting down or starting, 58 system error (PostgreSQL documentation,
/// appendix A).
const PASSING: [&str; 6] = ["08", "40", "53", "55", "57", "58"];
/// The database takes no writes, as a standby does.
const READ_ONLY: &str = "25006";

/// SQLSTATE codes of a refused sign-on: class 28, 3D000 no such database.
const REFUSED: [&str; 3] = ["28000", "28P01", "3D000"];

impl StoreError {
    /// Whether the database is away, starting or read-only, so that waiting helps.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Driver(error) => is_outage(error),
            Self::LeaseLost(_) | Self::Inconsistent { .. } => false,
        }
    }

    /// Whether sending the same statement again can never help: the row is in other
    /// hands or unreadable, or the values themselves are refused (SQLSTATE classes 22
    /// and 23). A missing right is not final: somebody may grant it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Driver(error) => error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code)
                .is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
            Self::LeaseLost(_) | Self::Inconsistent { .. } => true,
        }
    }
}

/// See [`StoreError::is_outage`].
#[must_use]
pub fn is_outage(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        Some(database) => {
            let code = database.code().unwrap_or_default();
            code == READ_ONLY || PASSING.iter().any(|class| code.starts_with(class))
        }
        None => matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_)
        ),
    }
}

/// Whether the server refused us: waiting does not help.
#[must_use]
pub fn is_refused(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| REFUSED.contains(&code.as_ref()))
}

/// Whether the schema is not there, or not for us to see.
#[must_use]
pub fn is_schema_missing(error: &sqlx::Error) -> bool {
    const MISSING: [&str; 3] = ["42P01", "3F000", "42883"];
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| MISSING.contains(&code.as_ref()))
}

/// Whether our role lacks a right (`insufficient_privilege`).
#[must_use]
pub fn is_forbidden(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "42501")
}

/// Only the server's own words: never a statement's values.
fn said(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => {
            format!("the database said: {} ({})", database.message(), database.code().unwrap_or_default())
        }
        None => format!("the database did not answer: {error}"),
    }
}
