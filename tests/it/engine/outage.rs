//! The database goes away while Qlik answers.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantd::simulator::Endpoint;
use tokio::task::JoinSet;
use tracing_subscriber::fmt::MakeWriter;

use super::{assert_whole, host_of, ledger, rig, row, work};
use crate::support::postgres::TestDb;

/// What was logged, as text.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn count(&self, words: &str) -> usize {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).matches(words).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A hand on the server itself: a fail-over to a standby that only reads, and back.
struct Server(PgConnection);

impl Server {
    async fn of(db: &TestDb) -> Self {
        let mut connection = PgConnection::connect(&db.url).await.unwrap();
        sqlx::query("SET default_transaction_read_only = off").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    async fn goes_away(&mut self) {
        self.set("SET default_transaction_read_only = on").await;
    }

    async fn comes_back(&mut self) {
        self.set("RESET default_transaction_read_only").await;
    }

    async fn set(&mut self, what: &str) {
        let name: String =
            sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut self.0).await.unwrap();
        for statement in [
            format!("ALTER DATABASE {name} {what}"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND pid <> pg_backend_pid()"
                .to_owned(),
        ] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut self.0).await.unwrap();
        }
    }
}

async fn until(condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), poll).await.expect("it happens within a minute");
}

#[tokio::test]
async fn a_secret_in_hand_outlives_an_outage_of_the_database_and_the_log_says_so_once() {
    let rig = Arc::new(rig().await);
    let replica = rig.replica().await;
    let names = ["one", "two", "three", "four", "five"];
    for name in names {
        rig.given_tenant(name).await;
    }
    let claimed = replica.store.claim(&replica.terms.claim_terms(), 10).await.unwrap().rows;
    assert_eq!(claimed.len(), names.len());
    let log = Log::default();
    // See the trace test of the Qlik adapter for why there are two subscribers.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let logging = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let _log = tracing::subscriber::set_default(logging);
    let mut server = Server::of(&rig.db).await;

    server.goes_away().await;
    let mut workers = JoinSet::new();
    for claimed in claimed {
        let (rig, replica) = (Arc::clone(&rig), Arc::clone(&replica));
        workers.spawn(async move { work(&rig, &replica, claimed).await });
    }
    let created = || ledger(&rig).calls_of(Endpoint::CreateClient, Some(201)) == 5;
    until(|| created() && log.count("the database is away") > 0).await;
    for name in names {
        assert_eq!(row(&rig, name).await.phase, "creating", "nothing could be committed yet");
    }
    server.comes_back().await;
    workers.join_all().await;

    for name in names {
        assert_whole(&rig, &replica, name).await;
        assert_eq!(ledger(&rig).tenants[&host_of(name)].clients.len(), 1);
        assert_eq!(row(&rig, name).await.failures, 0, "an outage is nobody's failure");
    }
    assert_eq!(log.count("the database is away"), 1);
    assert_eq!(log.count("the database is back"), 1);
}
