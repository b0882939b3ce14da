//! A private Postgres and a simulator, and runs of floor and daemon against them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tenantd::app;
use tenantd::demo::postgres::{Plan, PrivatePostgres};
use tenantd::postgres::migrate::migrate;
use tenantd::settings::Database;
use tenantd::system::OsEntropy;
use tenantd::vault::{KeyKind, generate_key_set};

use crate::cpu;
use crate::simulator::{CLIENT_ID, SECRET, SUFFIX};

/// What one run took.
pub(crate) struct Run {
    pub(crate) client: Duration,
    pub(crate) postgres: Duration,
    pub(crate) wall: Duration,
}

impl Run {
    pub(crate) fn cpu(&self) -> Duration {
        self.client + self.postgres
    }
}

pub(crate) struct Stage {
    postgres: PrivatePostgres,
    simulator: Child,
    pub(crate) address: String,
    directory: PathBuf,
    runtime: tokio::runtime::Runtime,
    /// Tenants at a time, in daemon and floor alike.
    concurrency: u32,
    /// What else the daemon is configured with, as TOML.
    pub(crate) settings: String,
    /// Which build of the daemon.
    pub(crate) program: PathBuf,
}

/// A daemon that runs until it is dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn cpu(&self) -> Duration {
        cpu::of_process(self.0.id())
    }

    /// MB now, and at the most.
    pub(crate) fn memory(&self) -> (f64, f64) {
        cpu::memory_of_process(self.0.id())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Stage {
    /// Calls take this long; the server has these settings besides.
    pub(crate) fn new(latency: Duration, concurrency: u32, settings: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!(
            "tenantd-bench-{}-{}",
            std::process::id(),
            latency.as_millis()
        ));
        std::fs::create_dir_all(&directory).expect("a directory");
        let this = std::env::current_exe().expect("this program");
        let mut simulator = Command::new(this)
            .arg("simulator")
            .arg(directory.join("ca.pem"))
            .arg(latency.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let mut address = String::new();
        let output = simulator.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut address).expect("its address");
        let key_set = generate_key_set(KeyKind::Symmetric, &OsEntropy).expect("random numbers");
        private(&directory.join("keyring.json"), key_set.expose_to_keys_generate());
        let plan = Plan { settings: settings.iter().map(|it| (*it).to_owned()).collect(), ..Plan::default() };
        Self {
            postgres: PrivatePostgres::start_as(plan).unwrap_or_else(|error| panic!("{error}")),
            simulator,
            address: address.trim().to_owned(),
            directory,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            concurrency,
            settings: String::new(),
            program: env!("CARGO_BIN_EXE_tenantd").into(),
        }
    }

    pub(crate) fn floor(&self, tenants: u32) -> Run {
        let database = self.fresh_database(tenants);
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command.arg("floor").arg(&database).arg(&self.address).arg(self.ca_file());
        self.time(command.arg(tenants.to_string()).arg(self.concurrency.to_string()))
    }

    /// A fresh database with so many rows, worked off.
    pub(crate) fn daemon(&self, tenants: u32) -> Run {
        let database = self.fresh_database(tenants);
        let run = self.work_off(&database);
        let ready: i64 = self.one(&database, "SELECT count(*) FROM tenantd.status WHERE ready");
        assert_eq!(ready, i64::from(tenants), "all are ready");
        run
    }

    /// Does what is due.
    pub(crate) fn work_off(&self, database: &str) -> Run {
        self.time(self.command(database).args(["run", "--once"]))
    }

    /// A daemon that goes on.
    pub(crate) fn spawn(&self, database: &str) -> Daemon {
        let mut command = self.command(database);
        Daemon(command.arg("run").stdout(Stdio::null()).spawn().expect("the daemon starts"))
    }

    /// A command, and how long it took.
    pub(crate) fn tell(&self, database: &str, arguments: &[&str]) -> Duration {
        self.time(self.command(database).args(arguments).stdout(Stdio::null()).stderr(Stdio::null())).wall
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    fn command(&self, database: &str) -> Command {
        let config = self.directory.join("tenantd.toml");
        private(&config, &self.config(database));
        let mut command = Command::new(&self.program);
        command.env("TENANTD_CONFIG", config);
        command
    }

    fn config(&self, database: &str) -> String {
        let (directory, address) = (self.directory.display(), &self.address);
        let (concurrency, settings) = (self.concurrency, &self.settings);
        format!(
            r#"
            database.url = "{database}"
            worker.concurrency = {concurrency}
            qlik.connect_to = "{address}"
            qlik.ca_file = "{directory}/ca.pem"
            vault.keyring_file = "{directory}/keyring.json"
            http.listen = "127.0.0.1:0"
            log.level = "warn"
            {settings}
            [[regions]]
            name = "us"
            hosts = ["*.{SUFFIX}"]
            client_id = "{CLIENT_ID}"
            client_secret = "{SECRET}"
            "#
        )
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark measures by the machine's clock")]
    fn time(&self, command: &mut Command) -> Run {
        let (client, postgres) = (cpu::of_ended_children(), self.postgres_cpu());
        let started = Instant::now();
        let status = command.status().expect("the program starts");
        let wall = started.elapsed();
        assert!(status.success(), "{command:?}: {status}");
        Run {
            client: cpu::of_ended_children().saturating_sub(client),
            postgres: self.postgres_cpu().saturating_sub(postgres),
            wall,
        }
    }

    pub(crate) fn postgres_cpu(&self) -> Duration {
        cpu::of_postgres(&self.postgres.directory().display().to_string())
    }

    /// A migrated database with so many rows, and a plain table with the same.
    pub(crate) fn fresh_database(&self, tenants: u32) -> String {
        let server = self.postgres.url("postgres");
        self.write(&server, "DROP DATABASE IF EXISTS bench WITH (FORCE)");
        self.write(&server, "CREATE DATABASE bench");
        let url = self.postgres.url("bench");
        self.runtime.block_on(async {
            let database = Database::direct(url.clone().into(), 2);
            let connections = app::connections(&database).expect("an address");
            migrate(&connections, |_| {}).await.expect("the schema");
        });
        self.insert(&url, 1, tenants);
        self.write(
            &url,
            "CREATE TABLE floor (external_id text PRIMARY KEY, host text NOT NULL, secret text);
             INSERT INTO floor SELECT external_id, host FROM tenantd.tenants; ANALYZE",
        );
        url
    }

    /// Rows as a pipeline inserts them, from this number to that.
    pub(crate) fn insert(&self, database: &str, first: u32, last: u32) {
        let rows = format!(
            "INSERT INTO tenantd.tenants (external_id, host)
             SELECT 'customer-' || n, 't' || n || '.{SUFFIX}' FROM generate_series({first}, {last}) AS n"
        );
        self.write(database, &rows);
    }

    /// So many ready tenants with a secret and an attempt each, past everything; nothing of
    /// them is due within the hour.
    pub(crate) fn fill(&self, database: &str, tenants: u32) {
        self.write(database, &FILL.replace(":n", &tenants.to_string()).replace(":suffix", SUFFIX));
        self.write(database, "VACUUM (ANALYZE)");
    }

    /// Statements of the superuser, in one go; several are one transaction.
    pub(crate) fn write(&self, database: &str, statements: &str) {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(database).await.expect("the database");
            let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await;
            done.unwrap_or_else(|error| panic!("{statements}: {error}"));
            connection.close().await.expect("the connection ends");
        });
    }

    /// How long a statement takes.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures by the machine's clock")]
    pub(crate) fn time_write(&self, database: &str, statements: &str) -> Duration {
        let started = Instant::now();
        self.write(database, statements);
        started.elapsed()
    }

    /// Everything that a query finds.
    pub(crate) fn rows<T>(&self, database: &str, query: &str) -> Vec<T>
    where
        T: Send + Unpin + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(database).await.expect("the database");
            let rows = sqlx::query_as(AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await;
            rows.unwrap_or_else(|error| panic!("{query}: {error}"))
        })
    }

    /// The one value that a query finds.
    pub(crate) fn one<T>(&self, database: &str, query: &str) -> T
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        self.rows::<(T,)>(database, query).pop().expect("a row").0
    }

    /// Waits until a query says true.
    pub(crate) fn wait_until(&self, database: &str, question: &str) {
        while !self.one::<bool>(database, question) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until so many tenants are ready, without counting them.
    pub(crate) fn wait_until_ready(&self, database: &str, tenants: u32) {
        self.wait_until(database, &format!("SELECT ready >= {tenants} FROM tenantd.totals"));
    }

    /// Runs what is asynchronous.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

const FILL: &str = "
    SET session_replication_role = replica;
    INSERT INTO tenantd.regions (region) VALUES ('us') ON CONFLICT DO NOTHING;
    INSERT INTO tenantd.tenants (external_id, host, phase, client_id, current_version, region, ready_at,
                                 due_at, audit_at, audited_at, reason_since, progress_at, created_at, updated_at)
    SELECT 'filler-' || n, 'f' || n || '.:suffix', 'ready', md5(n::text), 1, 'us', now() - interval '3 days',
           a.at, a.at, a.at - interval '1 day', now() - interval '3 days', now() - interval '3 days',
           now() - interval '3 days', now() - interval '3 days'
      FROM generate_series(1, :n) AS n
     CROSS JOIN LATERAL (SELECT now() + interval '1 hour' + interval '22 hours' * random() AS at WHERE n > 0) AS a;
    INSERT INTO tenantd.secrets (tenant_id, client_id, hint, standing, version, sealed, key_id, created_at, proven_at)
    SELECT tenant_id, client_id, 'hint', 'current', 1,
           repeat('A', 64) || '.' || repeat('B', 54) || '.' || repeat('C', 16) || '.' || repeat('D', 200) || '.' || repeat('E', 22),
           'key', ready_at, now() - interval '80 days' * random()
      FROM tenantd.tenants WHERE phase = 'ready';
    INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, http_status, started_at, duration_ms, holder)
    SELECT tenant_id, 'ready', 'prove', 'done', 200, ready_at, 30, tenant_id FROM tenantd.tenants WHERE phase = 'ready';
    RESET session_replication_role;
    SELECT tenantd.recount();";

impl Drop for Stage {
    fn drop(&mut self) {
        // Its end of input is its signal to stop.
        drop(self.simulator.stdin.take());
        self.simulator.wait().ok();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

/// Writes a file that only its owner may read.
fn private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("the file can be written");
}
