//! What a session is opened with, and what it must show before it is used.
//!
//! Nothing of a role's or database's own defaults may change what our statements mean:
//! they are written for `read committed`, and a commit that was answered must be on disk.
//!
//! The rule: **work is done only on the database that was recognised** (`super::super::rejoin`):
//! asked when a connection is opened, because a server does not move under one, and within
//! every transaction where a pooler may.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Executor, PgExecutor, Row};

use super::super::error::Meaning;
use super::link::Link;
use crate::domain::place::{Position, Written};
pub use crate::domain::pooler::Pooler;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Work on tenants: what is read is acted on at Qlik.
    Work,
    /// A person's command, or the schema's owner.
    Command,
}

/// A pooler was told to ignore what it does not know at the start of a session
/// (`PgBouncer`'s `ignore_startup_parameters`), and so our settings got lost.
#[derive(Debug, thiserror::Error)]
#[error("the settings of a session do not reach the database")]
pub(in super::super) struct Swallowed;

/// How sessions are opened.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// What for.
    pub purpose: Purpose,
    /// Through what.
    pub pooler: Pooler,
}

/// The work's statements are run over and over and their plans do not depend on the
/// values: planning each anew cost a quarter of its time. None takes long, nor waits
/// long for a lock. A client that the network swallowed is noticed, and what it held
/// is let go.
const WORK: [(&str, &str); 11] = [
    (MARK, "work"),
    ("default_transaction_isolation", "read committed"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "4s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20s"),
];
const COMMAND: [(&str, &str); 2] = [(MARK, "command"), ("default_transaction_isolation", "read committed")];
/// Nobody else sets it: where a session does not have it, the others are missing too.
const MARK: &str = "tenantd.session";
/// Whether the settings have arrived. Not prepared: a pooler that nobody told us of may
/// be there.
const HAVE_ARRIVED: &str = "SELECT coalesce(current_setting('tenantd.session', true), '') <> ''";
/// A role's or database's default may be to let a crash lose what was committed.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The same for each transaction through a pooler, which keeps no session of ours.
const POOLED_WORK: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '30s'; SET LOCAL lock_timeout = '4s';
    SET LOCAL idle_in_transaction_session_timeout = '15s'; SET LOCAL jit = off;
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    SELECT tenantd.assert_recognised()";
const POOLED_COMMAND: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

impl Session {
    /// These options, for such sessions.
    pub(super) fn applied_to(self, options: PgConnectOptions) -> PgConnectOptions {
        match (self.pooler, self.purpose) {
            (Pooler::None, Purpose::Work) => options.options(WORK),
            (Pooler::None, Purpose::Command) => options.options(COMMAND),
            // A pooler refuses what it does not know at the start of a session, and keeps
            // no prepared statement.
            (Pooler::Transaction, _) => options.statement_cache_capacity(0).extra_float_digits(None),
        }
    }

    /// How a transaction begins.
    pub(super) const fn begin(self) -> &'static str {
        match (self.pooler, self.purpose) {
            (Pooler::None, _) => "BEGIN",
            (Pooler::Transaction, Purpose::Work) => POOLED_WORK,
            (Pooler::Transaction, Purpose::Command) => POOLED_COMMAND,
        }
    }

    /// Whether a new connection has the settings that it was opened with.
    ///
    /// # Errors
    ///
    /// The driver's; [`Swallowed`].
    pub(super) async fn check_settings(self, link: &mut Link) -> Result<(), sqlx::Error> {
        match self.pooler {
            // It was not opened with any: each transaction makes its own.
            Pooler::Transaction => Ok(()),
            Pooler::None => {
                let have_arrived: bool = link.fetch_one(HAVE_ARRIVED).await?.try_get(0)?;
                if have_arrived { Ok(()) } else { Err(sqlx::Error::AnyDriverError(Box::new(Swallowed))) }
            }
        }
    }

    /// Whether a new connection leads to the recognised database. Returns how far the
    /// server has written, where that was asked and is known.
    ///
    /// # Errors
    ///
    /// The driver's; [`Meaning::Elsewhere`] where it does not.
    pub(super) async fn examine(self, link: &mut Link) -> Result<Option<Written>, sqlx::Error> {
        match (self.pooler, self.purpose) {
            (Pooler::Transaction, _) | (Pooler::None, Purpose::Command) => return Ok(None),
            (Pooler::None, Purpose::Work) => {}
        }
        link.say(DURABLE).await?;
        match written(link).await {
            // A schema that is missing is said by whoever looks at the schema.
            Err(error) if Meaning::of(&error) == Meaning::SchemaMissing => Ok(None),
            other => other,
        }
    }
}

/// How far the recognised server has written.
///
/// # Errors
///
/// The driver's; [`Meaning::Elsewhere`] where it is not the recognised one.
pub(super) async fn written<'c>(executor: impl PgExecutor<'c>) -> Result<Option<Written>, sqlx::Error> {
    let (written, rejoined_at): (Option<i64>, Option<DateTime<Utc>>) = sqlx::query_as(
        "-- installation.written
         SELECT (p.written_to - '0/0'::pg_lsn)::bigint, i.rejoined_at
           FROM tenantd.place() AS p, tenantd.installation AS i
          WHERE tenantd.assert_recognised()",
    )
    .fetch_one(executor)
    .await?;
    let position = written.and_then(|written| u64::try_from(written).ok()).map(Position);
    Ok(position.map(|position| Written { position, rejoined_at }))
}
