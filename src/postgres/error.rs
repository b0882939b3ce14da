//! What can go wrong with the store, and what each answer of the database means.
//!
//! The rules: **the meaning is a function of what the database said, in one table**
//! ([`Meaning::of`]), and whoever acts on it matches every meaning; an outage of the
//! database is nobody's failure: it is waited out, said once with the server's own words,
//! and counted against no tenant.

use std::borrow::Cow;

use super::connections::SetBack;
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

/// What an error of the database means to whoever sent the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Others were in the way of this statement; the next attempt may do. Nobody need know.
    Contended,
    /// The server is not to be reached, or is out of something: waiting helps.
    Away,
    /// It takes no writes, as a standby does: waiting helps.
    ReadOnly,
    /// It is not the database that was recognised: nothing on it is believed until it is.
    Elsewhere,
    /// It does not let us in.
    Refused,
    /// Our role lacks a right.
    Forbidden,
    /// The schema is not there, or is not this version's.
    SchemaMissing,
    /// A connection pooler is between us and the server, and we were not told.
    Pooler,
    /// The values themselves: sending them again never helps.
    Values,
    /// Anything else: a defect of ours or of the server's.
    Defect,
}

/// What the function `tenantd.assert_recognised` raises.
const ELSEWHERE: &str = "TD001";

impl Meaning {
    /// By the SQLSTATE (PostgreSQL documentation, appendix A), or by the driver's own words
    /// where no server spoke.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the driver's, and not exhaustive")]
    pub fn of(error: &sqlx::Error) -> Self {
        if let Some(database) = error.as_database_error() {
            return Self::of_code(&database.code().unwrap_or_default(), database.message());
        }
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Away,
            sqlx::Error::AnyDriverError(error) if error.is::<SetBack>() => Self::Elsewhere,
            _ => Self::Defect,
        }
    }

    fn of_code(code: &str, message: &str) -> Self {
        match code {
            ELSEWHERE => Self::Elsewhere,
            "25006" => Self::ReadOnly,
            "42501" => Self::Forbidden,
            // No such database; no password, wrong password, no entry in pg_hba.conf.
            "3D000" => Self::Refused,
            // No such table, schema, function, column or type.
            "42P01" | "3F000" | "42883" | "42703" | "42704" => Self::SchemaMissing,
            // A prepared statement that is there already, or is not there any more.
            "42P05" | "26000" => Self::Pooler,
            // PgBouncer says everything with this code.
            "08P01" if message.contains("startup parameter") => Self::Pooler,
            // A lock that was not to be had in time, and a statement that took too long.
            "55P03" | "57014" => Self::Contended,
            // A transaction that the server ended because it idled or took too long.
            "25P03" | "25P04" => Self::Away,
            // A plan from before a migration; the connection that kept it is given up.
            "0A000" if message.contains("cached plan") => Self::Contended,
            _ => match code.get(..2).unwrap_or_default() {
                "40" => Self::Contended,
                // 08 connection, 53 out of disk, memory or connections, 55 not in the right
                // state, 57 shutting down or starting, 58 and XX the server's own trouble.
                "08" | "53" | "55" | "57" | "58" | "XX" => Self::Away,
                "28" => Self::Refused,
                "22" | "23" => Self::Values,
                _ => Self::Defect,
            },
        }
    }
}

impl StoreError {
    /// What the database meant; `None` where it was not the database that spoke.
    #[must_use]
    pub fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Driver(error) => Some(Meaning::of(error)),
            Self::LeaseLost(_) | Self::Inconsistent { .. } => None,
        }
    }

    /// Whether the database is away, starting, read-only or not the one that was
    /// recognised, so that waiting helps.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        self.meaning().is_some_and(|meaning| match meaning {
            Meaning::Away | Meaning::ReadOnly | Meaning::Elsewhere => true,
            Meaning::Contended
            | Meaning::Refused
            | Meaning::Forbidden
            | Meaning::SchemaMissing
            | Meaning::Pooler
            | Meaning::Values
            | Meaning::Defect => false,
        })
    }

    /// Whether others were only in the way: it is tried again, and nobody need know.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        self.meaning() == Some(Meaning::Contended)
    }

    /// Whether this is not the database that was recognised.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.meaning() == Some(Meaning::Elsewhere)
    }

    /// Whether sending the same statement again can never help: the row is in other
    /// hands or unreadable, or the values themselves are refused. A missing right or a
    /// missing column is not final: somebody may grant or add it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.meaning().is_none_or(|meaning| match meaning {
            Meaning::Values => true,
            Meaning::Contended
            | Meaning::Away
            | Meaning::ReadOnly
            | Meaning::Elsewhere
            | Meaning::Refused
            | Meaning::Forbidden
            | Meaning::SchemaMissing
            | Meaning::Pooler
            | Meaning::Defect => false,
        })
    }
}

/// Whether a connection is as good as before after this error: the server answered, and
/// goes on with the session.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the driver's, and not exhaustive")]
pub(super) fn leaves_the_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        sqlx::Error::Database(_) => match Meaning::of(error) {
            Meaning::Contended => code(error) != "0A000",
            Meaning::Forbidden | Meaning::SchemaMissing | Meaning::Values | Meaning::Defect => true,
            Meaning::Away | Meaning::ReadOnly | Meaning::Elsewhere | Meaning::Refused | Meaning::Pooler => {
                false
            }
        },
        _ => false,
    }
}

fn code(error: &sqlx::Error) -> Cow<'_, str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default()
}

/// Only the server's own words: never a statement's values.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the driver's, and not exhaustive")]
fn said(error: &sqlx::Error) -> String {
    if let Some(database) = error.as_database_error() {
        let code = database.code().unwrap_or_default();
        let remedy = match Meaning::of(error) {
            Meaning::Pooler => {
                "; a connection pooler is between tenantd and the server: set database.pooler = \"transaction\", or connect past it"
            }
            Meaning::Contended
            | Meaning::Away
            | Meaning::ReadOnly
            | Meaning::Elsewhere
            | Meaning::Refused
            | Meaning::Forbidden
            | Meaning::SchemaMissing
            | Meaning::Values
            | Meaning::Defect => "",
        };
        return format!("the database said: {} ({code}){remedy}", database.message());
    }
    match error {
        sqlx::Error::PoolTimedOut => "every connection to the database is busy".to_owned(),
        sqlx::Error::AnyDriverError(error) if error.is::<SetBack>() => error.to_string(),
        sqlx::Error::ColumnDecode { index, .. } => format!("column {index} cannot be read"),
        other => format!("the database did not answer: {other}"),
    }
}
