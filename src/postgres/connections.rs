//! Connections to the database: few, and none waited for longer than it may take.
//!
//! A network can swallow packets without a word, and a statement that is never answered
//! must not keep its place in the pool for ever. So every statement has a limit. One that
//! reaches it gives its connection up at once, without a word to the server, and with it
//! every connection that is as old: what the network lost for one it lost for all.
//!
//! The rule: **a connection goes back into the pool only after its statement was
//! answered**; whatever ends otherwise is dropped, and the server rolls back.

mod checks;
mod link;
mod opener;
mod session;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::error::leaves_the_connection;
use crate::domain::place::Written;
use deadpool::managed::{Object, Pool, PoolError, QueueMode, TimeoutType, Timeouts};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
pub use link::{ACQUIRE, Link};
use opener::Opener;
pub use session::{Pooler, Purpose, Session};
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, Postgres, SqlStr};

/// Longest wait for the answer to a statement of the daemon's work.
pub const ANSWER: Duration = Duration::from_secs(8);
/// The same for what is done for the whole fleet from time to time, and may take longer.
pub const PATIENCE: Duration = Duration::from_secs(45);
/// The same for a command: a person waits, and may have asked for much.
pub const COMMAND: Duration = Duration::from_mins(10);

/// A bounded number of connections. Clones share them.
#[derive(Clone)]
pub struct Connections {
    pool: Pool<Opener>,
    answer: Duration,
    /// Where notifications are heard; `None` where they cannot be.
    listening: Option<PgConnectOptions>,
}

impl Connections {
    /// Opens none yet; `answer` is how long a statement may take. Notifications are heard at
    /// the same address, unless a pooler is there.
    #[must_use]
    pub fn new(options: PgConnectOptions, session: Session, most: usize, answer: Duration) -> Self {
        let wait = Timeouts { wait: Some(ACQUIRE), create: Some(ACQUIRE), recycle: None };
        let pool = Pool::builder(Opener::new(options, session))
            .max_size(most)
            .timeouts(wait)
            .queue_mode(QueueMode::Lifo)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            // It fails only where time limits are given without a runtime.
            .unwrap_or_else(|error| unreachable!("{error}"));
        let listening = match session.pooler {
            Pooler::None => Some(pool.manager().options().clone()),
            Pooler::Transaction => None,
        };
        Self { pool, answer, listening }
    }

    /// The same connections with another limit for each statement.
    #[must_use]
    pub fn within(&self, answer: Duration) -> Self {
        Self { answer, ..self.clone() }
    }

    /// Serves no statement any more, and closes what is idle.
    pub fn close(&self) {
        self.pool.close();
    }

    /// A connection beside the pool, which was not asked where it leads.
    ///
    /// # Errors
    ///
    /// The driver's.
    pub async fn apart(&self) -> Result<Link, sqlx::Error> {
        let connected = tokio::time::timeout(ACQUIRE, self.pool.manager().open()).await;
        connected.unwrap_or_else(|_| Err(unanswered("connection", ACQUIRE)))
    }

    /// The same, with notifications heard there.
    #[must_use]
    pub fn listening_at(self, options: PgConnectOptions) -> Self {
        Self { listening: Some(options), ..self }
    }

    /// Where notifications are heard; `None` where they cannot be.
    #[must_use]
    pub fn listening(&self) -> Option<&PgConnectOptions> {
        self.listening.as_ref()
    }

    /// Looks whether this is still the recognised database, and has gone on writing.
    ///
    /// # Errors
    ///
    /// The driver's; one that means [`super::error::Meaning::Elsewhere`] where it is not.
    pub async fn look_around(&self) -> Result<(), sqlx::Error> {
        let before = self.written();
        let written = checks::written(self).await?;
        self.pool.manager().note(before, written)
    }

    /// How far the server had written when it was last asked.
    #[must_use]
    pub fn written(&self) -> Option<Written> {
        self.pool.manager().written()
    }

    /// Whatever the server says next about how far it has written is believed.
    pub fn forget_written(&self) {
        self.pool.manager().forget_written();
    }

    /// What sessions are opened with.
    #[must_use]
    pub fn session(&self) -> Session {
        self.pool.manager().session()
    }

    /// Begins a transaction. It ends with [`Transaction::commit`]; dropped before, it takes
    /// its connection with it.
    ///
    /// # Errors
    ///
    /// The driver's.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        let mut visit = self.visit().await?;
        visit.say(self.session().begin()).await?;
        Ok(Transaction(visit))
    }

    /// A connection for one statement.
    async fn single(&self) -> Result<Visit, sqlx::Error> {
        match self.session().pooler {
            Pooler::None => self.visit().await,
            Pooler::Transaction => self.begin().await.map(|transaction| transaction.0),
        }
    }

    async fn visit(&self) -> Result<Visit, sqlx::Error> {
        // Boxed, or every statement's future would hold all that opening a connection takes.
        let opened = Box::pin(self.pool.get()).await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(TimeoutType::Wait) => sqlx::Error::PoolTimedOut,
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
                unanswered("connection", ACQUIRE)
            }
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                sqlx::Error::PoolClosed
            }
        })?;
        let limit = Limit { pool: self.pool.clone(), answer: self.answer };
        Ok(Visit { opened: Some(opened), limit, is_whole: false })
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("answer", &self.answer).finish_non_exhaustive()
    }
}

/// How long each statement of a visit may take.
struct Limit {
    pool: Pool<Opener>,
    answer: Duration,
}

impl Limit {
    async fn of<T>(&self, act: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        let ended = tokio::time::timeout(self.answer, act).await;
        ended.unwrap_or_else(|_| {
            self.pool.manager().suspect_all();
            Err(unanswered("answer", self.answer))
        })
    }
}

/// A connection that somebody uses.
struct Visit {
    /// There until it is dropped.
    opened: Option<Object<Opener>>,
    limit: Limit,
    /// Everything that was asked was answered.
    is_whole: bool,
}

impl Visit {
    /// Sends words without values.
    async fn say(&mut self, words: &'static str) -> Result<(), sqlx::Error> {
        let (link, limit) = self.parts();
        limit.of(link.say(words)).await
    }

    fn parts(&mut self) -> (&mut Link, &Limit) {
        // Only `drop` takes it.
        let opened = self.opened.as_mut().unwrap_or_else(|| unreachable!("taken before its end"));
        (&mut opened.link, &self.limit)
    }

    /// Ends a visit of one statement, which ended so.
    async fn end<T>(mut self, done: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        match (self.limit.pool.manager().session().pooler, &done) {
            (Pooler::Transaction, Ok(_)) => self.say("COMMIT").await?,
            (Pooler::Transaction, Err(_)) => return done,
            (Pooler::None, _) => {}
        }
        self.is_whole = done.as_ref().err().is_none_or(leaves_the_connection);
        done
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take().filter(|_| !self.is_whole) {
            // Closes the socket; the server rolls back what is open on it.
            drop(Object::take(opened));
        }
    }
}

/// A transaction; see [`Connections::begin`].
pub struct Transaction(Visit);

impl Transaction {
    /// Commits, and gives the connection back.
    ///
    /// # Errors
    ///
    /// The driver's; whether it was committed is then unknown.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.0.say("COMMIT").await?;
        self.0.is_whole = true;
        Ok(())
    }

    /// Takes everything back, and gives the connection back.
    ///
    /// # Errors
    ///
    /// The driver's; nothing was committed all the same.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.0.say("ROLLBACK").await?;
        self.0.is_whole = true;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0.opened.as_ref().unwrap_or_else(|| unreachable!("taken before its end")).link
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Link {
        self.0.parts().0
    }
}

impl<'c> Executor<'c> for &'c Connections {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let all = async move {
            let mut visit = self.single().await?;
            let (link, limit) = visit.parts();
            let all = limit.of(link.fetch_many(query).try_collect::<Vec<_>>()).await;
            visit.end(all).await
        };
        all.map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move {
            let mut visit = self.single().await?;
            let (link, limit) = visit.parts();
            let done = limit.of(link.fetch_optional(query)).await;
            visit.end(done).await
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        async move {
            let mut visit = self.single().await?;
            let (link, limit) = visit.parts();
            let done = limit.of(link.prepare_with(sql, parameters)).await;
            visit.end(done).await
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        async move {
            let mut visit = self.single().await?;
            let (link, limit) = visit.parts();
            let done = limit.of(link.describe(sql)).await;
            visit.end(done).await
        }
        .boxed()
    }
}

fn unanswered(what: &str, within: Duration) -> sqlx::Error {
    let text = format!("no {what} within {}", humantime::format_duration(within));
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}
