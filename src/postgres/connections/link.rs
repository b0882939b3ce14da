//! A connection, and how statements are sent on it.
//!
//! The rule: **through a pooler nothing is left on the server's side of it**: a statement
//! that is prepared under a name outlives its transaction there, and would meet the next
//! client's. So it is sent without a name, each time anew.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
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
}

impl Link {
    pub(super) fn new(connection: PgConnection, pooler: Pooler) -> Self {
        Self { connection, pooler }
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
    pub(super) async fn say(&mut self, words: &'static str) -> Result<(), sqlx::Error> {
        self.connection.execute(sqlx::raw_sql(words)).await.map(drop)
    }

    /// The driver's own, for what takes nothing else.
    pub fn driver(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Says good-bye, if it is heard: what was asked was answered.
    pub async fn close(self) {
        tokio::time::timeout(ACQUIRE, self.connection.close()).await.ok();
    }

    fn named<E>(&self, query: E) -> Named<E> {
        match self.pooler {
            Pooler::None => Named { query, may_be: true },
            Pooler::Transaction => Named { query, may_be: false },
        }
    }
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
        self.connection.fetch_many(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = self.named(query);
        self.connection.fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.connection.describe(sql)
    }
}
