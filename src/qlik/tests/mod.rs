//! The adapter against a TLS server that answers byte for byte as a test says.
//!
//! The rule: every test goes through `Cloud`, as the engine does, and looks at
//! what was on the wire.

mod answers;
mod bots;
mod connection;
mod issued;
mod lists;
mod requests;
mod server;
mod telemetry;
mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Cloud, CloudOptions};
use crate::domain::host::{Host, HostPattern};
use crate::domain::ids::{ClientId, RegionName};
use crate::domain::profile::WantedClient;
use crate::domain::region::{AllowedHost, RegionMap};
use crate::domain::secret::RegionCredential;
use crate::ports::Clock;
use server::{Server, install_provider};

/// A clock that moves when told to.
#[derive(Default)]
struct ManualClock(Mutex<Duration>);

impl ManualClock {
    fn advance(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + *self.0.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

fn options(server: &Server) -> CloudOptions {
    CloudOptions {
        request_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(20),
        ca_pem: Some(server.ca_pem.clone().into_bytes()),
        connect_to: Some(server.address),
        proxy: None,
    }
}

fn cloud_with(options: &CloudOptions, clock: Arc<ManualClock>) -> Cloud {
    install_provider();
    let credential = || RegionCredential::new("region-id".into(), "region-secret".to_owned().into());
    let credentials = HashMap::from([(region("us"), credential()), (region("eu"), credential())]);
    Cloud::new(options, credentials, clock).unwrap()
}

fn cloud(server: &Server) -> Cloud {
    cloud_with(&options(server), Arc::default())
}

fn region(name: &str) -> RegionName {
    RegionName::new(name)
}

fn tenant(name: &str) -> AllowedHost {
    let pattern = |text| HostPattern::parse(text).unwrap();
    let map = RegionMap::new([
        (pattern("*.us.qlikcloud.com"), region("us")),
        (pattern("*.eu.qlikcloud.com"), region("eu")),
    ]);
    map.allow(&Host::parse(&format!("{name}.qlikcloud.com")).unwrap()).unwrap()
}

fn acme() -> AllowedHost {
    tenant("acme.us")
}

fn client() -> ClientId {
    ClientId::new("c1")
}

fn wanted() -> WantedClient {
    WantedClient {
        name: "portal".into(),
        description: "[tenantd:1:…]".into(),
        redirect_uris: vec!["https://app.example/cb".into()],
        allowed_origins: vec![],
        scopes: vec!["user_default".into()],
    }
}
