//! Settings that can run: every range and every rule between keys holds.
//!
//! The rule: these types are filled in by this module alone, after all checks;
//! secrets are wrapped, so `Debug` shows none, and nothing here is `Clone`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::tokens::TokenFile;
use crate::domain::host::HostPattern;
use crate::domain::ids::{ProfileName, RegionName};
use crate::domain::pooler::Pooler;
use crate::domain::profile::Profile;
use crate::domain::proof::Proof;
use crate::domain::rollout::Bounds;
use crate::domain::secret::RegionCredential;
use crate::domain::tenant::RepairScope;
use crate::telemetry::logs::Format;

/// All of it.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after its section")]
pub struct Settings {
    pub database: Database,
    pub worker: Worker,
    pub retry: Retry,
    pub qlik: Qlik,
    /// `[[regions]]`, at least one, names and host patterns unique.
    pub regions: Vec<Region>,
    /// `[profiles.…]`; always has `default`.
    pub profiles: BTreeMap<ProfileName, Profile>,
    pub vault: Vault,
    pub prove: Prove,
    pub rotation: Rotation,
    pub audit: Audit,
    /// `[budget]` and `[canary]`
    pub bounds: Bounds,
    pub history: History,
    pub objective: Objective,
    pub http: Http,
    pub traces: Traces,
    pub log: Log,
}

/// `[database]`: where the tenants are.
#[derive(Debug)]
pub struct Database {
    /// `postgres://` URL; may hold a password.
    pub url: SecretString,
    /// Most connections at a time, 2 to 500, beside one that listens and few that look.
    pub max_connections: u32,
    /// What stands between us and the server.
    pub pooler: Pooler,
    /// Where to listen for new rows, if not at `url`: through a pooler nobody can.
    pub listen_url: Option<SecretString>,
}

impl Database {
    /// The database at this URL, with nothing in between.
    #[must_use]
    pub fn direct(url: SecretString, max_connections: u32) -> Self {
        Self { url, max_connections, pooler: Pooler::None, listen_url: None }
    }
}

/// `[worker]`: how many tenants at a time, and how they are held.
#[derive(Debug)]
pub struct Worker {
    /// Tenants worked on at the same time, 1 to 1024.
    pub concurrency: usize,
    /// How long a claim holds a tenant unless renewed; more than twice the request timeout.
    pub lease: Duration,
    /// How often the database is asked for due tenants when nothing wakes us.
    pub poll: Duration,
}

/// `[retry]`: how failures are waited out.
#[derive(Debug)]
pub struct Retry {
    /// Ceiling of the first wait.
    pub base: Duration,
    /// Ceiling of every wait; at least `base`.
    pub cap: Duration,
    /// Longest time without progress before a tenant is parked.
    pub give_up_after: Duration,
}

/// `[qlik]`: how Qlik Cloud is reached.
#[derive(Debug)]
pub struct Qlik {
    /// Longest time for one request, from its sending to the last byte of the answer.
    pub request_timeout: Duration,
    /// Longest time for TCP and TLS to be set up; shorter than `request_timeout`.
    pub connect_timeout: Duration,
    /// Longest silence within an answer; at most `request_timeout`.
    pub read_timeout: Duration,
    /// How long an unanswered create or mint may still land.
    pub settle: Duration,
    /// PEM file with roots to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// Where to connect to instead of each tenant's own address.
    pub connect_to: Option<SocketAddr>,
    /// URL of a proxy; may hold a password.
    pub proxy: Option<SecretString>,
    /// Whether a removed client's tokens are revoked by the filter form of DELETE,
    /// which Qlik no longer documents, instead of one by one.
    pub revoke_by_filter: bool,
}

/// One of `[[regions]]`: which hosts, and the credential that works on them.
#[derive(Debug)]
pub struct Region {
    /// Unique.
    pub name: RegionName,
    /// At least one; none is in another region too.
    pub hosts: Vec<HostPattern>,
    /// The region's OAuth client.
    pub credential: RegionCredential,
}

/// `[vault]`: what secrets are sealed with.
#[derive(Debug)]
pub struct Vault {
    /// JWK Set file (RFC 7517). The vault reads it.
    pub keyring_file: PathBuf,
}

/// `[prove]`: the last step before `ready`.
#[derive(Debug)]
#[expect(missing_docs, reason = "the keys of the section")]
pub struct Prove {
    pub method: Proof,
    /// How long a refusal may be lag.
    pub patience: Duration,
}

/// `[rotation]`: renewing secrets by age.
#[derive(Debug)]
pub struct Rotation {
    /// Age at which the daemon renews a secret by itself, before jitter; `None` for never.
    pub every: Option<Duration>,
    /// How long the previous secret stays valid unless the new one is acknowledged;
    /// less than nine tenths of `every`.
    pub overlap: Duration,
}

/// `[audit]`: comparing ready tenants with Qlik Cloud.
#[derive(Debug)]
pub struct Audit {
    /// How often each tenant is compared; `None` for never.
    pub every: Option<Duration>,
    /// How far drift is mended by itself, and not only shown.
    pub repair: RepairScope,
}

/// `[history]`: what `tenantd.attempts` remembers.
#[derive(Debug)]
pub struct History {
    /// Age at which attempts are pruned.
    pub keep: Duration,
}

/// `[objective]`: what is counted as in time.
#[derive(Debug)]
pub struct Objective {
    /// How soon a tenant should be ready.
    pub ready_within: Duration,
}

/// `[http]`: health, readiness, metrics and the API.
#[derive(Debug)]
pub struct Http {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The token of those who may read, from `token_file`; `None`: anybody who reaches the port may.
    pub looks: Option<TokenFile>,
    /// The token of those who may act, from `act_token_file`; `None`: nobody may.
    pub acts: Option<TokenFile>,
}

/// `[traces]`: what is sent of each tenant's way.
#[derive(Debug)]
pub struct Traces {
    /// Where to; `None`: nothing is sent.
    pub collector: Option<Collector>,
    /// The share of traces that are kept where their owner does not say, 0 to 1.
    pub ratio: f64,
}

/// A collector of traces.
#[derive(Debug)]
pub struct Collector {
    /// URL of its OTLP over HTTP; holds no secret.
    pub endpoint: String,
    /// What each request bears besides; may hold a token.
    pub headers: Vec<(String, SecretString)>,
}

/// `[log]`: what is logged and how.
#[derive(Debug)]
#[expect(missing_docs, reason = "the keys of the section")]
pub struct Log {
    pub format: Format,
    /// Directives that `tracing_subscriber::EnvFilter` accepts.
    pub level: String,
}
