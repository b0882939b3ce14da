//! The tour and the simulator, as a person or a pipeline would use them.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tenantd::demo::postgres::PrivatePostgres;
use tenantd::demo::simulate::{self, Simulator};
use tenantd::demo::tour::{self, TourError};
use tenantd::domain::failure::FailureKind;
use tenantd::domain::host::{Host, HostPattern};
use tenantd::domain::ids::RegionName;
use tenantd::domain::region::{AllowedHost, RegionMap};
use tenantd::domain::secret::RegionCredential;
use tenantd::ports::QlikApi;
use tenantd::qlik::{Cloud, CloudOptions};
use tenantd::system::SystemClock;

use crate::support::postgres::test_db;

/// What a tour said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Said {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The private directories it named.
    fn directories(&self) -> Vec<PathBuf> {
        let is_ours = |part: &&str| part.starts_with("tenantd-demo-") || part.starts_with("tenantd-pg-");
        let text = self.text();
        let names = text.split(['/', ' ', ';', ',', '\n']).filter(is_ours);
        names.map(|name| Path::new("/tmp").join(name)).collect()
    }
}

fn given_tour(tenants: usize, database_url: Option<String>) -> tour::Options {
    // In the program this is the first thing `main` does; a second time is refused, and harmless.
    drop(rustls::crypto::ring::default_provider().install_default());
    tour::Options { tenants, exit: true, seed: 7, database_url: database_url.map(Into::into) }
}

async fn has_schema(url: &str) -> bool {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let question = "SELECT to_regnamespace('tenantd') IS NOT NULL";
    sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
}

fn running_with(directory: &Path) -> Vec<String> {
    let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let lines = String::from_utf8_lossy(&processes.stdout).into_owned();
    lines.lines().filter(|line| line.contains(&directory.display().to_string())).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tour_ends_with_every_tenant_ready_every_promise_kept_and_nothing_left_behind() {
    let said = Said::default();

    let summary = tour::run_to(given_tour(8, None), Box::new(said.clone())).await.unwrap();

    let truth = &summary.truth;
    assert_eq!((truth.ready, truth.clients, truth.trusted, truth.unknown_secrets), (8, 8, 8, 0));
    assert!(truth.lost_answers >= 3 && truth.healed >= 1, "the faults must have struck: {truth:?}");
    assert!(!said.text().contains('\x1b'), "{}", said.text());
    let directories = said.directories();
    assert!(!directories.is_empty(), "{}", said.text());
    for directory in directories {
        assert!(!directory.exists(), "{}", directory.display());
        assert_eq!(running_with(&directory), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_named_is_left_as_it_was_found() {
    let server = PrivatePostgres::start().unwrap();
    let url = server.url("postgres");

    let summary = tour::run_to(given_tour(1, Some(url.clone())), Box::new(Said::default())).await.unwrap();

    assert_eq!(summary.truth.ready, 1);
    assert!(!has_schema(&url).await);
}

#[tokio::test]
async fn a_database_that_holds_tenants_already_is_refused_and_not_touched() {
    let database = test_db().await;

    let refused = tour::run_to(given_tour(1, Some(database.url.clone())), Box::new(Said::default())).await;

    assert!(matches!(refused, Err(TourError::Occupied)), "{refused:?}");
    let tenants: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.tenants").fetch_one(&database.pool).await.unwrap();
    assert_eq!(tenants, 0);
}

async fn given_simulator() -> Simulator {
    let options = simulate::Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        suffixes: vec!["us.qlikcloud.com".to_owned()],
        write_ca: None,
        latency: Duration::ZERO,
        faults: false,
        seed: 1,
        region_client_id: "region".to_owned(),
        region_client_secret: "right".into(),
    };
    Simulator::start(options).await.unwrap()
}

/// The daemon's own client, led to the simulator as the printed configuration does.
fn given_client_of(simulator: &Simulator, secret: &str) -> (Cloud, AllowedHost) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let options = CloudOptions {
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(10),
        ca_pem: Some(std::fs::read(simulator.ca_file()).unwrap()),
        connect_to: Some(simulator.addr()),
        proxy: None,
    };
    let region = RegionName::new("us");
    let credential = RegionCredential::new("region".to_owned(), secret.to_owned().into());
    let cloud =
        Cloud::new(&options, HashMap::from([(region.clone(), credential)]), Arc::new(SystemClock::start()));
    let regions = RegionMap::new([(HostPattern::parse("*.us.qlikcloud.com").unwrap(), region)]);
    let host = regions.allow(&Host::parse("acme.us.qlikcloud.com").unwrap()).unwrap();
    (cloud.unwrap(), host)
}

#[tokio::test]
async fn the_simulator_gives_a_token_over_tls_to_whoever_knows_the_regions_secret() {
    let simulator = given_simulator().await;
    let (right, host) = given_client_of(&simulator, "right");
    let (wrong, _) = given_client_of(&simulator, "wrong");

    let (granted, refused) = (right.authenticate(&host).await, wrong.authenticate(&host).await);

    granted.unwrap();
    assert_eq!(refused.unwrap_err().kind, FailureKind::CredentialRefused);
    simulator.stop().await;
}
