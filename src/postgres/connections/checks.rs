//! What a new connection must show before it is used: that it has our settings, and that it
//! leads to the recognised database.
//!
//! The rule: nothing is said about the schema here; one that is missing is for whoever
//! looks at the schema.

use chrono::{DateTime, Utc};
use sqlx::{Executor, PgExecutor, Row};

use super::link::Link;
use super::session::{Pooler, Purpose, Session};
use crate::domain::place::{Position, Written};
use crate::postgres::error::Meaning;
use crate::postgres::raised::Swallowed;

/// Whether the settings have arrived. Not prepared: a pooler that nobody told us of may
/// be there.
const HAVE_ARRIVED: &str = "SELECT coalesce(current_setting('tenantd.session', true), '') <> ''";
/// A role's or database's default may be to let a crash lose what was committed.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Whether a new connection has the settings that it was opened with.
///
/// # Errors
///
/// The driver's; [`Swallowed`].
pub(super) async fn check_settings(session: Session, link: &mut Link) -> Result<(), sqlx::Error> {
    match session.pooler {
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
pub(super) async fn examine(session: Session, link: &mut Link) -> Result<Option<Written>, sqlx::Error> {
    match (session.pooler, session.purpose) {
        (Pooler::Transaction, _) | (Pooler::None, Purpose::Command | Purpose::Api) => return Ok(None),
        (Pooler::None, Purpose::Work) => {}
    }
    link.say(DURABLE).await?;
    match written(link).await {
        // A schema that is missing is said by whoever looks at the schema.
        Err(error) if Meaning::of(&error) == Meaning::SchemaMissing => Ok(None),
        other => other,
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
          WHERE tenantd.assert_place()",
    )
    .fetch_one(executor)
    .await?;
    let position = written.and_then(|written| u64::try_from(written).ok()).map(Position);
    Ok(position.map(|position| Written { position, rejoined_at }))
}
