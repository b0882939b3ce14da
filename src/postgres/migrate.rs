//! Brings the schema up to this version.
//!
//! All pending migrations run in one transaction, under a lock that ends with it: whatever
//! goes wrong half way has changed nothing, and nobody inherits a lock that was forgotten.
//! What is there already is not made again, so that the owner of the schema needs no right
//! on the database.
//!
//! The rule: **everything that could not be mended afterwards is looked at before the
//! first change**: the database's encoding, and whether a pooler stands in between.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::{Connection, Executor, PgConnection};

use super::connections::{Connections, Link, Pooler};
use super::error::Meaning;
use super::schema::{self, Step, migrator};

/// The transaction's lock: any number that is nobody else's.
const LOCK: i64 = 0x7465_6e61_6e74_6400;
/// Pause between attempts to get it.
const AGAIN: Duration = Duration::from_millis(250);
/// A migration takes as long as the tables are large, and is stopped by whoever runs it. It waits
/// for no lock any longer, because everybody else queues behind one that waits.
const UNLIMITED: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '1min'";
/// Longest wait for another's migration.
const PATIENCE: Duration = Duration::from_mins(5);

/// Migrations whose text was changed after they were released, by what it was: the schema
/// they make is the same. (1: no schema is made where it is there. 2: no character beyond ASCII.
/// 3, 4: PostgreSQL's releases of November 2026 alter no table whose row a function with a parsed body
/// takes. 5, 6: the view of both is made by the second alone.)
const RESTATED: [(i64, &str); 6] = [
    (
        20_261_122_100_000,
        "7628b5d216bdecde2a9945857a900fa9de124952a7812770331a9a4bbd552d64af3ec8cc07460e2495dcff7c91a42477",
    ),
    (
        20_261_122_100_100,
        "080a521ac1f6f2a551f1375235f372f8a9aab62b198a1ca0a255d2af5cd69d2a4ba0a6a0aed4efe1c803cb0fe36ece56",
    ),
    (
        20_261_202_120_000,
        "4cd09e33dc807498080c1bb5883bb9e4b35e62127e076cfe3a9119f3e63aa62deb667a5333d04e6c1480a76c0eb9cd4b",
    ),
    (
        20_261_203_300_000,
        "5600db8575d1e7b27e962a10525849d48185f6a11568d9cf6e0db844f960281958ca5ea6526c84a313f8bb6adc68fa03",
    ),
    (
        20_261_204_100_000,
        "93df8fda61b08ff611f322d0c0609971a45a00071a79c249a7cb59e45e73845fc741073d552303cc4083eb9964465cd4",
    ),
    (
        20_261_204_400_000,
        "e3961f793449bb75d828e4757d991983473e2dae2d9d1beb594e2f5f28a0f522ea7eeeb5050cdacd4d1af2a85c978665",
    ),
];

/// Why the schema was not brought up. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotMigrated {
    /// The database holds text in another encoding.
    #[error(
        "the database's encoding is {0}, and tenantd needs UTF8: create another with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and use that"
    )]
    Encoding(String),
    /// A pooler in transaction mode.
    #[error(
        "a connection pooler in transaction mode is between tenantd and the server: run `tenantd migrate` with an address that leads to the server itself"
    )]
    Pooler,
    /// Somebody else migrates.
    #[error(
        "another migration of this database goes on, by {holder}; run this again when it is done, or end that session"
    )]
    Busy {
        /// Who, as the server tells.
        holder: String,
    },
    /// The migrator.
    #[error(transparent)]
    Migrator(#[from] MigrateError),
}

impl From<sqlx::Error> for NotMigrated {
    fn from(error: sqlx::Error) -> Self {
        Self::Migrator(MigrateError::Execute(error))
    }
}

/// Brings the schema up to this version, and returns what was applied by this very call.
/// `told` hears once who is waited for.
///
/// # Errors
///
/// [`NotMigrated`].
pub async fn migrate(connections: &Connections, told: impl FnOnce(&str)) -> Result<Vec<Step>, NotMigrated> {
    let mut link = connections.apart().await.map_err(refused_by_pooler)?;
    if connections.session().pooler == Pooler::Transaction {
        return Err(NotMigrated::Pooler);
    }
    examine(&mut link).await?;
    let steps = in_one_transaction(link.driver(), told).await?;
    link.close().await;
    Ok(steps)
}

/// The driver counts this transaction, so that those of the single migrations are
/// savepoints in it.
async fn in_one_transaction(
    connection: &mut PgConnection,
    told: impl FnOnce(&str),
) -> Result<Vec<Step>, NotMigrated> {
    let mut transaction = connection.begin().await?;
    transaction.execute(UNLIMITED).await?;
    lock(&mut transaction, PATIENCE, told).await?;
    make_schema(&mut transaction).await?;
    let before = before(&mut transaction).await?;
    migrator().run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(before.into_iter().filter(|step| !step.is_applied).collect())
}

async fn examine(connection: &mut Link) -> Result<(), NotMigrated> {
    match schema::other_encoding(connection).await? {
        Some(encoding) => Err(NotMigrated::Encoding(encoding)),
        None => Ok(()),
    }
}

/// A pooler that the settings do not tell of takes no session with settings, or swallows them.
fn refused_by_pooler(error: sqlx::Error) -> NotMigrated {
    if Meaning::of(&error) == Meaning::Pooler { NotMigrated::Pooler } else { error.into() }
}

async fn lock(
    connection: &mut PgConnection,
    patience: Duration,
    told: impl FnOnce(&str),
) -> Result<(), NotMigrated> {
    let mut told = Some(told);
    let mut waited = Duration::ZERO;
    loop {
        let is_ours: bool = sqlx::query_scalar("-- migrations.lock\nSELECT pg_try_advisory_xact_lock($1)")
            .bind(LOCK)
            .fetch_one(&mut *connection)
            .await?;
        if is_ours {
            return Ok(());
        }
        let holder = holder(connection).await?;
        if waited >= patience {
            return Err(NotMigrated::Busy { holder });
        }
        if let Some(told) = told.take() {
            told(&holder);
        }
        tokio::time::sleep(AGAIN).await;
        waited += AGAIN;
    }
}

/// Who holds the lock, as far as our role may see.
async fn holder(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let holder: Option<String> = sqlx::query_scalar(
        "-- migrations.holder
         SELECT format('process %s of the server (user %s, from %s, since %s)', a.pid, a.usename,
                       coalesce(host(a.client_addr), 'its own machine'), to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ'))
           FROM pg_locks AS l
           JOIN pg_stat_activity AS a ON a.pid = l.pid
          WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
            AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
            AND (l.classid::bigint << 32 | l.objid::bigint) = $1
          LIMIT 1",
    )
    .bind(LOCK)
    .fetch_optional(connection)
    .await?;
    Ok(holder.unwrap_or_else(|| "somebody who has just ended".to_owned()))
}

/// Whoever owns the schema need not be allowed to make one.
async fn make_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let is_there: bool =
        sqlx::query_scalar("-- schema.is_there\nSELECT to_regnamespace('tenantd') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
    if !is_there {
        sqlx::query("CREATE SCHEMA tenantd").execute(connection).await?;
    }
    Ok(())
}

/// What was applied before. An error would end the transaction, so the table is looked for first.
async fn before(connection: &mut PgConnection) -> Result<Vec<Step>, sqlx::Error> {
    let is_there: bool = sqlx::query_scalar(
        "-- migrations.are_there\nSELECT to_regclass('tenantd._sqlx_migrations') IS NOT NULL",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !is_there {
        return Ok(schema::of_this_version(&[]));
    }
    restate(connection).await?;
    schema::steps(connection).await
}

/// Takes note that migrations which ran before read otherwise now.
async fn restate(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for (version, before) in RESTATED {
        let migrator = migrator();
        let Some(now) = migrator.iter().find(|migration| migration.version == version) else { continue };
        sqlx::query(
            "-- migrations.restate
             UPDATE tenantd._sqlx_migrations SET checksum = $2 WHERE version = $1 AND checksum = decode($3, 'hex')",
        )
        .bind(version)
        .bind(&*now.checksum)
        .bind(before)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
