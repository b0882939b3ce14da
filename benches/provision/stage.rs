//! A private Postgres and a simulator, and runs of floor and daemon against them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantd::app;
use tenantd::demo::postgres::PrivatePostgres;
use tenantd::postgres::migrate::migrate;
use tenantd::settings::Database;
use tenantd::system::OsEntropy;
use tenantd::vault::{KeyKind, generate_key_set};

use crate::CONCURRENCY;
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
    address: String,
    directory: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    pub(crate) fn new(latency: Duration) -> Self {
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
        Self {
            postgres: PrivatePostgres::start().unwrap_or_else(|error| panic!("{error}")),
            simulator,
            address: address.trim().to_owned(),
            directory,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        }
    }

    pub(crate) fn floor(&self, tenants: u32) -> Run {
        let database = self.fresh_database(tenants);
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command.arg("floor").arg(&database).arg(&self.address).arg(self.directory.join("ca.pem"));
        self.time(command.arg(tenants.to_string()).arg(CONCURRENCY.to_string()))
    }

    pub(crate) fn daemon(&self, tenants: u32) -> Run {
        let database = self.fresh_database(tenants);
        let config = self.directory.join("tenantd.toml");
        private(&config, &self.config(&database));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantd"));
        let run = self.time(command.args(["run", "--once", "--config"]).arg(&config));
        assert_eq!(self.ready(&database), i64::from(tenants), "all are ready");
        run
    }

    fn config(&self, database: &str) -> String {
        let (directory, address) = (self.directory.display(), &self.address);
        format!(
            r#"
            database.url = "{database}"
            worker.concurrency = {CONCURRENCY}
            qlik.connect_to = "{address}"
            qlik.ca_file = "{directory}/ca.pem"
            vault.keyring_file = "{directory}/keyring.json"
            http.listen = "127.0.0.1:0"
            log.level = "warn"
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

    fn postgres_cpu(&self) -> Duration {
        let url = self.postgres.url("postgres");
        let directory =
            url.split_once("host=").map_or("", |(_, rest)| rest.split('&').next().unwrap_or(rest));
        cpu::of_postgres(directory)
    }

    /// A migrated database with so many rows.
    fn fresh_database(&self, tenants: u32) -> String {
        self.runtime.block_on(async {
            let mut server = PgConnection::connect(&self.postgres.url("postgres")).await.expect("the server");
            for statement in ["DROP DATABASE IF EXISTS bench WITH (FORCE)", "CREATE DATABASE bench"] {
                sqlx::query(statement).execute(&mut server).await.expect("a database");
            }
            let url = self.postgres.url("bench");
            let database = Database::direct(url.clone().into(), 2);
            let connections = app::connections(&database).expect("an address");
            migrate(&connections, |_| {}).await.expect("the schema");
            let insert = format!(
                "INSERT INTO tenantd.tenants (external_id, host)
                 SELECT 'customer-' || n, 't' || n || '.{SUFFIX}' FROM generate_series(1, {tenants}) AS n"
            );
            sqlx::query(AssertSqlSafe(insert)).execute(&connections).await.expect("the rows");
            let plain = "CREATE TABLE floor (external_id text PRIMARY KEY, host text NOT NULL, secret text);
                         INSERT INTO floor SELECT external_id, host FROM tenantd.tenants";
            sqlx::raw_sql(plain).execute(&connections).await.expect("the floor's table");
            sqlx::query("ANALYZE").execute(&connections).await.expect("statistics");
            url
        })
    }

    fn ready(&self, database: &str) -> i64 {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(database).await.expect("the database");
            let ready = sqlx::query_scalar("SELECT count(*) FROM tenantd.status WHERE ready");
            ready.fetch_one(&mut connection).await.expect("a count")
        })
    }
}

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
