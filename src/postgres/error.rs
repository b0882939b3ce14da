//! What can go wrong with the store, and what each answer of the database means.
//!
//! The rules: **the meaning is a function of what the database said, in one table**
//! ([`Meaning::of`]), and whoever acts on it matches every meaning; an outage of the
//! database is nobody's failure: it is waited out, said once with the server's own words,
//! and counted against no tenant.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::postgres::PgDatabaseError;

use super::raised::{SetBack, Swallowed};
use crate::domain::ids::TenantId;
use crate::domain::message::Message;

/// A statement that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The driver or the server refused.
    #[error("{}", said(.0))]
    Driver(#[from] sqlx::Error),
    /// Another holder has the row now; nothing was written.
    #[error("the lease on tenant {0} was lost")]
    LeaseLost(TenantId),
    /// What was to be done was decided on less than is known by now; nothing was written.
    #[error("what was decided for tenant {0} is out of date")]
    Superseded(TenantId),
    /// The same error of a statement that wrote for others, too.
    #[error("{0}")]
    Shared(Arc<StoreError>),
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

/// What the function `tenantd.assert_place` raises.
const ELSEWHERE: &str = "TD001";

/// How `PgBouncer` words it that it does not let somebody in.
const REFUSED: [&str; 3] = ["authentication failed", "no such user", "no such database"];

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
            sqlx::Error::AnyDriverError(error) if error.is::<Swallowed>() => Self::Pooler,
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
            "08P01" if REFUSED.iter().any(|words| message.contains(words)) => Self::Refused,
            // A lock that was not to be had in time, and a statement that took too long.
            "55P03" | "57014" => Self::Contended,
            // A transaction that the server ended because it idled or took too long.
            "25P03" | "25P04" => Self::Away,
            // A page or an index that cannot be read: of some rows, not of the server.
            "XX001" | "XX002" => Self::Defect,
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
    /// What went wrong, and what to do where the error alone tells it.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Driver(error) => said(error),
            Self::Shared(error) => error.message(),
            Self::LeaseLost(_) | Self::Superseded(_) | Self::Inconsistent { .. } => {
                Message::bare(self.to_string())
            }
        }
    }

    /// What the database meant; `None` where it was not the database that spoke.
    #[must_use]
    pub fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Driver(error) => Some(Meaning::of(error)),
            Self::Shared(error) => error.meaning(),
            Self::LeaseLost(_) | Self::Superseded(_) | Self::Inconsistent { .. } => None,
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

    /// What the schema says to a row that it refuses, with what to do, where it says more
    /// than the name of a constraint.
    #[must_use]
    pub fn refusal(&self) -> Option<(&str, &str)> {
        let Self::Driver(sqlx::Error::Database(error)) = self else { return None };
        let error = error.try_downcast_ref::<PgDatabaseError>()?;
        Some((error.message(), error.hint()?))
    }

    /// Whether this is not the database that was recognised.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.meaning() == Some(Meaning::Elsewhere)
    }

    /// Whether a single row may be to blame, so that the statement serves others without it:
    /// its values, a trigger that somebody added, a page that cannot be read.
    #[must_use]
    pub fn may_be_one_rows(&self) -> bool {
        self.meaning().is_some_and(|meaning| match meaning {
            Meaning::Values | Meaning::Defect => true,
            Meaning::Contended
            | Meaning::Away
            | Meaning::ReadOnly
            | Meaning::Elsewhere
            | Meaning::Refused
            | Meaning::Forbidden
            | Meaning::SchemaMissing
            | Meaning::Pooler => false,
        })
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

const POOLER: &str = "a connection pooler is between tenantd and the server: set database.pooler = \"transaction\", or connect past it";

/// Only the server's own words: never a statement's values.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the driver's, and not exhaustive")]
fn said(error: &sqlx::Error) -> Message {
    if let Some(database) = error.as_database_error() {
        let code = database.code().unwrap_or_default();
        let said = format!("the database said: {} ({code})", database.message());
        return match Meaning::of(error) {
            Meaning::Pooler => Message::new(said, POOLER),
            Meaning::Contended
            | Meaning::Away
            | Meaning::ReadOnly
            | Meaning::Elsewhere
            | Meaning::Refused
            | Meaning::Forbidden
            | Meaning::SchemaMissing
            | Meaning::Values
            | Meaning::Defect => Message::bare(said),
        };
    }
    match error {
        sqlx::Error::PoolTimedOut => Message::bare("every connection to the database is busy"),
        sqlx::Error::AnyDriverError(error) if error.is::<SetBack>() => Message::bare(error.to_string()),
        sqlx::Error::AnyDriverError(error) if error.is::<Swallowed>() => {
            Message::new(error.to_string(), POOLER)
        }
        sqlx::Error::ColumnDecode { index, .. } => Message::bare(format!("column {index} cannot be read")),
        other => Message::bare(format!("the database did not answer: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with the words of a server or of `PgBouncer` that brought it here.
    const SAID: [(&str, &str, Meaning); 36] = [
        ("40001", "could not serialize access due to concurrent update", Meaning::Contended),
        ("40P01", "deadlock detected", Meaning::Contended),
        ("55P03", "canceling statement due to lock timeout", Meaning::Contended),
        ("57014", "canceling statement due to statement timeout", Meaning::Contended),
        ("0A000", "cached plan must not change result type", Meaning::Contended),
        ("08006", "connection failure", Meaning::Away),
        ("08P01", "no more connections allowed (max_client_conn)", Meaning::Away),
        ("08P01", "query_wait_timeout", Meaning::Away),
        ("25P03", "terminating connection due to idle-in-transaction timeout", Meaning::Away),
        ("53300", "too many connections for role \"qlikd\"", Meaning::Away),
        ("53100", "could not extend file: No space left on device", Meaning::Away),
        ("55000", "database \"app\" is not currently accepting connections", Meaning::Away),
        ("57P01", "terminating connection due to administrator command", Meaning::Away),
        ("57P03", "the database system is starting up", Meaning::Away),
        ("58030", "could not read block 1", Meaning::Away),
        ("XX000", "cache lookup failed for type 1", Meaning::Away),
        ("25006", "cannot execute UPDATE in a read-only transaction", Meaning::ReadOnly),
        ("TD001", "this database is not in the place where it was last recognised", Meaning::Elsewhere),
        ("28P01", "password authentication failed for user \"qlikd\"", Meaning::Refused),
        ("28000", "no pg_hba.conf entry for host", Meaning::Refused),
        ("3D000", "database \"app\" does not exist", Meaning::Refused),
        ("42501", "permission denied for table tenants", Meaning::Forbidden),
        ("42P01", "relation \"tenantd.tenants\" does not exist", Meaning::SchemaMissing),
        ("42883", "function tenantd.place() does not exist", Meaning::SchemaMissing),
        ("42P05", "prepared statement \"sqlx_s_1\" already exists", Meaning::Pooler),
        ("26000", "prepared statement \"sqlx_s_1\" does not exist", Meaning::Pooler),
        ("08P01", "unsupported startup parameter: options", Meaning::Pooler),
        ("08P01", "SASL authentication failed", Meaning::Refused),
        ("08P01", "no such database: tenants", Meaning::Refused),
        ("22003", "integer out of range", Meaning::Values),
        ("22021", "invalid byte sequence for encoding \"UTF8\": 0xff", Meaning::Values),
        ("23514", "new row for relation \"tenants\" violates check constraint", Meaning::Values),
        ("XX001", "invalid page in block 7 of relation base/5/16402", Meaning::Defect),
        ("P0001", "a trigger that somebody added says no", Meaning::Defect),
        ("54000", "index row size 2712 exceeds maximum", Meaning::Defect),
        ("42601", "syntax error at or near \"SELEC\"", Meaning::Defect),
    ];

    #[test]
    fn each_word_of_the_database_has_one_meaning() {
        for (code, message, meaning) in SAID {
            assert_eq!(Meaning::of_code(code, message), meaning, "{code} {message}");
        }
    }

    #[test]
    fn where_nobody_answered_the_database_is_away() {
        let silent = sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());

        assert_eq!(Meaning::of(&silent), Meaning::Away);
        assert_eq!(Meaning::of(&sqlx::Error::PoolTimedOut), Meaning::Away);
        assert_eq!(Meaning::of(&sqlx::Error::RowNotFound), Meaning::Defect);
    }
}
