//! A migrated database for every test.
//!
//! One server for the whole test process, private unless `TEST_DATABASE_URL`
//! names another; on it one migrated template; of that one copy per test, which
//! takes a few hundredths of a second. A copy is dropped when its test ends,
//! passed or failed. The template is named after its migrations, so on a server
//! that outlives us it is reused and not piled up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tenantd::demo::postgres::PrivatePostgres;
use tenantd::postgres::Connections;
use tenantd::postgres::connections::{Pooler, Purpose, Session};
use tenantd::postgres::migrate::migrate;
use tokio::sync::OnceCell;

/// Any number that is not a lock of the daemon's own.
const TEMPLATE_LOCK: i64 = 0x7465_6d70_6c61_7465;

static SERVER: OnceCell<Server> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database of one test's own, with the schema of the newest migration.
#[derive(Debug)]
pub(crate) struct TestDb {
    /// A few connections to it, as its owner.
    pub(crate) pool: PgPool,
    /// Its address.
    pub(crate) url: String,
    /// Of the database to be dropped with it.
    name: Option<String>,
}

impl TestDb {
    /// The database at this address, which is there and stays.
    pub(crate) async fn at(url: &str) -> Self {
        Self { pool: connect(url).await, url: url.to_owned(), name: None }
    }

    /// Writes as the owner of the schema does: one statement, or several.
    pub(crate) async fn write(&self, statements: impl Into<String>) {
        sqlx::raw_sql(AssertSqlSafe(statements.into())).execute(&self.pool).await.unwrap();
    }
}

/// Makes a fresh database. Dropping it removes it again.
pub(crate) async fn test_db() -> TestDb {
    let server = SERVER.get_or_init(Server::start).await;
    let db = server.database(&server.template).await;
    // As if it had been migrated and not copied.
    let place = "UPDATE tenantd.installation AS i
                    SET system_identifier = p.system_identifier, database_id = p.database_id, timeline = p.timeline
                   FROM tenantd.place() AS p";
    sqlx::query(place).execute(&db.pool).await.unwrap();
    db
}

/// The same without a schema.
pub(crate) async fn empty_db() -> TestDb {
    SERVER.get_or_init(Server::start).await.database("template0").await
}

/// Connections as a store has them, with the rights of `role` where one is given.
pub(crate) fn connections(url: &str, role: Option<&str>) -> Connections {
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.options(role.map(|role| ("role", role)));
    let session = Session { purpose: Purpose::Command, pooler: Pooler::None };
    Connections::new(options, session, 8, Duration::from_mins(1))
}

async fn connect(url: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(Duration::from_mins(1))
        .connect(url)
        .await
        .unwrap()
}

/// Where the databases are made.
struct Server {
    /// With the name of any database in it.
    url: String,
    template: String,
    /// Held only to keep it running; its life line ends it with this process.
    _private: Option<PrivatePostgres>,
}

impl Server {
    async fn start() -> Self {
        let template = format!("tenantd_template_{}", digest_of_migrations());
        let server = if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
            Self { url, template, _private: None }
        } else {
            let private = tokio::task::spawn_blocking(PrivatePostgres::start).await.unwrap();
            let private = private.unwrap_or_else(|error| panic!("{error}"));
            Self { url: private.url("postgres"), template, _private: Some(private) }
        };
        server.make_template().await;
        server
    }

    fn url(&self, database: &str) -> String {
        with_database(&self.url, database)
    }

    /// A copy of a database, for one test.
    async fn database(&self, of: &str) -> TestDb {
        let name = format!("tenantd_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.run(format!("CREATE DATABASE {name} TEMPLATE {of} STRATEGY file_copy")).await;
        let url = self.url(&name);
        TestDb { pool: connect(&url).await, url, name: Some(name) }
    }

    /// Waits until the server has noticed that nobody is connected to a database any more.
    async fn alone_in(&self, database: &str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
        while sqlx::query_scalar::<_, i64>(others).bind(database).fetch_one(&mut connection).await.unwrap()
            > 0
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn run(&self, statement: String) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Makes the template under another name and renames it when it is whole, so
    /// that a process killed half way leaves no half template behind.
    async fn make_template(&self) {
        let mut lock = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut lock).await.unwrap();
        let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&self.template)
            .fetch_one(&mut lock)
            .await
            .unwrap();
        if !there {
            let unfinished = format!("{}_unfinished", self.template);
            self.run(format!("DROP DATABASE IF EXISTS {unfinished}")).await;
            self.run(format!("CREATE DATABASE {unfinished}")).await;
            // Nobody may be connected to a database that is copied or renamed: these end here.
            migrate(&connections(&self.url(&unfinished), None), |_| {}).await.unwrap();
            self.alone_in(&unfinished).await;
            self.run(format!("ALTER DATABASE {unfinished} RENAME TO {}", self.template)).await;
        }
        lock.close().await.unwrap();
    }
}

impl Drop for TestDb {
    /// Runs on a thread with a runtime of its own: the test's may be ending.
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { SERVER.get().unwrap().run(statement).await });
        })
        .join();
        // Two panics at once would abort the process and hide the first.
        assert!(dropped.is_ok() || std::thread::panicking(), "could not drop {name}");
    }
}

fn digest_of_migrations() -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(std::fs::read(file).unwrap());
    }
    let start = digest.finalize().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{start:016x}")
}

/// `url` with another database's name in it.
fn with_database(url: &str, database: &str) -> String {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let query = url.find('?').unwrap_or(url.len());
    let path = url[authority..query].find('/').map_or(query, |at| authority + at);
    format!("{}/{database}{}", &url[..path], &url[query..])
}

#[tokio::test]
async fn every_test_gets_a_migrated_database_of_its_own_that_goes_with_it() {
    let (one, two) = (test_db().await, test_db().await);
    sqlx::query("CREATE TABLE tenantd.only_here ()").execute(&one.pool).await.unwrap();
    let name = one.name.clone().unwrap();
    let tables = "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = 'tenantd'";

    let mut connection = PgConnection::connect(&two.url).await.unwrap();
    let other: Vec<String> = sqlx::query_scalar(tables).fetch_one(&mut connection).await.unwrap();
    drop(one);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_one(&two.pool)
        .await
        .unwrap();

    assert!(other.contains(&"tenants".to_owned()) && !other.contains(&"only_here".to_owned()), "{other:?}");
    assert_eq!(left, 0);
}

#[test]
fn a_database_is_replaced_in_an_address_and_nothing_else_is() {
    for (url, expected) in [
        ("postgres://u:p@h:5432/a?sslmode=require", "postgres://u:p@h:5432/b?sslmode=require"),
        ("postgres://u@localhost:5432/a?host=/tmp/x", "postgres://u@localhost:5432/b?host=/tmp/x"),
        ("postgres://h", "postgres://h/b"),
        ("postgres:///a?host=/tmp/x", "postgres:///b?host=/tmp/x"),
    ] {
        assert_eq!(with_database(url, "b"), expected);
    }
}
