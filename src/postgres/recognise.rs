//! Recognising the database: is this the one we ran on?
//!
//! Asked at every start and whenever a connection says otherwise ([`super::connections`]).
//! One that may have forgotten something is rejoined ([`super::operator::rejoin`]).
//!
//! The rule: the verdict and what follows from it are one transaction under the lock on
//! the installation, so that of many replicas one does it, and the others find it done.

use std::time::Duration;

use super::connections::Link;
use super::distrust::distrust;
use super::{Store, StoreError, connections};
use crate::domain::place::{Hold, Place, Position, Recognition, Remembered, Written};

/// Slices that whoever recognises the database wakes; the schedule goes on.
const AT_ONCE: u32 = 20;

impl Store {
    /// Compares where the database runs with where it ran. The first place is remembered;
    /// another one is rejoined: of the same database with deletions held, of another one
    /// with all changes held. `settle` is how long a request may still land that somebody
    /// sent on the word of what the database forgot.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.installation.recognise", skip_all)]
    pub async fn recognise(&self, settle: Duration) -> Result<Recognition, StoreError> {
        let recognised = tokio::time::timeout(connections::PATIENCE, self.recognise_apart()).await;
        let recognition = recognised.unwrap_or_else(|_| Err(took_too_long()))?;
        self.connections.forget_written();
        match &recognition {
            Recognition::First | Recognition::Same => {}
            Recognition::Forgetful(_) | Recognition::Another(_) => self.wake_at_once(settle).await,
        }
        Ok(recognition)
    }

    /// Looks whether this is still the recognised database, and has gone on writing: a
    /// snapshot that was put back under a running process is told by that alone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`], one that is elsewhere where it is not.
    pub async fn look_around(&self) -> Result<(), StoreError> {
        Ok(self.connections.look_around().await?)
    }

    /// A small fleet is woken here, and of a large one some.
    async fn wake_at_once(&self, settle: Duration) {
        if let Err(error) = self.wake_distrusted(settle, AT_ONCE).await {
            tracing::debug!(error = %error, "the rows are woken by the schedule: {error}");
        }
    }

    /// Not on a connection of the pool: those exist only on a recognised database.
    async fn recognise_apart(&self) -> Result<Recognition, StoreError> {
        let mut link = self.connections.apart().await?;
        link.begin().await?;
        let recognition = judge(&mut link, self.connections.written()).await?;
        match &recognition {
            Recognition::Same => {}
            Recognition::First => remember(&mut link).await?,
            Recognition::Forgetful(what) => {
                distrust(&mut link, what, Hold::Deletions).await?;
            }
            Recognition::Another(what) => {
                distrust(&mut link, what, Hold::Changes).await?;
            }
        }
        link.commit().await?;
        link.close().await;
        Ok(recognition)
    }
}

impl Recognition {
    /// Says so, loudly, when the database is not where it was.
    pub fn tell(&self) {
        match self {
            Self::First | Self::Same => {}
            Self::Forgetful(what) => tracing::warn!(
                what,
                "this database may have forgotten something ({what}): every tenant is looked at before anything is \
                 done about it, and nothing is deleted at Qlik Cloud until an operator has read \
                 `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`"
            ),
            Self::Another(what) => tracing::error!(
                what,
                "this is another database than the one tenantd ran on, perhaps a copy of it ({what}): it is looked \
                 at, and nothing is changed at Qlik Cloud; if it is the real one now, say so with \
                 `tenantd rejoin --confirm`"
            ),
        }
    }
}

/// Where we are, held against what is remembered, under the lock that only one has.
pub(super) async fn judge(link: &mut Link, before: Option<Written>) -> Result<Recognition, StoreError> {
    let remembered = remembered(link, before).await?;
    let (here, written) = here(link).await?;
    Ok(remembered.recognise(&here, written))
}

/// It writes one row.
fn took_too_long() -> StoreError {
    let what = format!(
        "recognising it took longer than {} s; somebody may hold a lock on tenantd.installation",
        connections::PATIENCE.as_secs()
    );
    StoreError::Driver(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what)))
}

async fn here(connection: &mut Link) -> Result<(Place, Option<Written>), StoreError> {
    let here = sqlx::query!(
        r#"
        -- installation.here
        SELECT p.system_identifier AS "system!", p.database_id AS "database!", p.timeline,
               (p.written_to - '0/0'::pg_lsn)::bigint AS written_to, i.rejoined_at
          FROM tenantd.place() AS p, tenantd.installation AS i
        "#
    )
    .fetch_one(&mut *connection)
    .await?;
    let Some(timeline) = here.timeline else {
        // Says so in the server's own words.
        sqlx::query_scalar!(
            r#"
            -- installation.assert_place
            SELECT tenantd.assert_place()
            "#
        )
        .fetch_one(connection)
        .await?;
        return Err(StoreError::Driver(sqlx::Error::PoolClosed));
    };
    let position = here.written_to.and_then(|written| u64::try_from(written).ok()).map(Position);
    let written = position.map(|position| Written { position, rejoined_at: here.rejoined_at });
    Ok((Place { system: here.system, database: here.database, timeline }, written))
}

/// Under the lock that only one replica has.
async fn remembered(connection: &mut Link, written: Option<Written>) -> Result<Remembered, StoreError> {
    let row = sqlx::query!(
        r#"
        -- installation.remembered
        SELECT system_identifier, database_id, timeline,
               system_identifier IS NULL
                   AND EXISTS (SELECT FROM tenantd.tenants) AS "is_filled!"
          FROM tenantd.installation
           FOR UPDATE
        "#
    )
    .fetch_one(connection)
    .await?;
    let place = match (row.system_identifier, row.database_id, row.timeline) {
        (Some(system), Some(database), Some(timeline)) => Some(Place { system, database, timeline }),
        (_, _, _) => None,
    };
    Ok(Remembered { place, is_filled: row.is_filled, written })
}

async fn remember(connection: &mut Link) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        -- installation.remember
        UPDATE tenantd.installation AS i
           SET system_identifier = p.system_identifier, database_id = p.database_id, timeline = p.timeline
          FROM tenantd.place() AS p
        "#
    )
    .execute(connection)
    .await?;
    Ok(())
}
