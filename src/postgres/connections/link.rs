//! A connection, and how statements are sent on it.
//!
//! Every statement is answered within a limit, also those of a transaction: this is the one
//! place that sends any.
//!
//! The rule: **through a pooler nothing is left on the server's side of it**: a statement
//! that is prepared under a name outlives its transaction there, and would meet the next
//! client's. So it is sent without a name, each time anew.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr};

use super::session::{Pooler, Purpose, Session};

/// Longest wait for a free place in the pool, for a new connection, and for its good-bye.
pub const ACQUIRE: Duration = Duration::from_secs(5);

/// See the file's head.
#[derive(Debug)]
pub struct Link {
    connection: PgConnection,
    pooler: Pooler,
    /// How long each statement may take.
    answer: Duration,
    /// One took longer: nothing is known of this connection any more.
    is_silent: bool,
}

impl Link {
    pub(super) fn new(connection: PgConnection, pooler: Pooler) -> Self {
        Self { connection, pooler, answer: ACQUIRE, is_silent: false }
    }

    /// From now on each statement may take so long.
    pub(super) fn allow(&mut self, answer: Duration) {
        self.answer = answer;
    }

    /// Whether a statement was not answered in time.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Begins a transaction in which nothing is asked of where the database is.
    ///
    /// # Errors
    ///
    /// The driver's.
    pub async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.say(Session { purpose: Purpose::Command, pooler: self.pooler }.begin()).await
    }

    /// Commits it. A link that is dropped before takes it with it.
    ///
    /// # Errors
    ///
    /// The driver's; whether it was committed is then unknown.
    pub async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.say("COMMIT").await
    }

    /// Sends words without values.
    pub(in crate::postgres) async fn say(&mut self, words: &'static str) -> Result<(), sqlx::Error> {
        let (connection, limit) = self.parts();
        limit.of(connection.execute(sqlx::raw_sql(words))).await.map(drop)
    }

    /// Sends a `COPY … FROM STDIN` with all its lines.
    pub(in crate::postgres) async fn copy_in(
        &mut self,
        statement: &'static str,
        lines: Vec<u8>,
    ) -> Result<(), sqlx::Error> {
        let (connection, limit) = self.parts();
        let copied = async move {
            let mut copy = connection.copy_in_raw(statement).await?;
            copy.send(lines).await?;
            copy.finish().await
        };
        limit.of(copied).await.map(drop)
    }

    /// The driver's own, for the migrator, which takes nothing else: nothing is limited there.
    pub(in crate::postgres) fn driver(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Says good-bye, if it is heard: what was asked was answered.
    pub async fn close(self) {
        tokio::time::timeout(ACQUIRE, self.connection.close()).await.ok();
    }

    fn parts(&mut self) -> (&mut PgConnection, Limit<'_>) {
        (&mut self.connection, Limit { answer: self.answer, is_silent: &mut self.is_silent })
    }

    fn named<E>(&self, query: E) -> Named<E> {
        match self.pooler {
            Pooler::None => Named { query, may_be: true },
            Pooler::Transaction => Named { query, may_be: false },
        }
    }
}

/// How long one statement may take.
struct Limit<'l> {
    answer: Duration,
    is_silent: &'l mut bool,
}

impl Limit<'_> {
    async fn of<T>(self, act: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        let ended = tokio::time::timeout(self.answer, act).await;
        ended.unwrap_or_else(|_| {
            *self.is_silent = true;
            Err(unanswered("answer", self.answer))
        })
    }
}

/// Nobody said anything.
pub(super) fn unanswered(what: &str, within: Duration) -> sqlx::Error {
    let text = format!("no {what} within {}", humantime::format_duration(within));
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

/// A statement, and whether it may be prepared under a name.
struct Named<E> {
    query: E,
    may_be: bool,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Named<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.may_be && self.query.persistent()
    }
}

impl<'c> Executor<'c> for &'c mut Link {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = self.named(query);
        let (connection, limit) = self.parts();
        let all = async move { limit.of(connection.fetch_many(query).try_collect::<Vec<_>>()).await };
        all.map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = self.named(query);
        let (connection, limit) = self.parts();
        limit.of(connection.fetch_optional(query)).boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        let (connection, limit) = self.parts();
        limit.of(connection.prepare_with(sql, parameters)).boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        let (connection, limit) = self.parts();
        limit.of(connection.describe(sql)).boxed()
    }
}
