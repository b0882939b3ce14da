//! The HTTP API over a real socket, on a real database, with the rights of the daemon's role.

mod described;
mod lists;
mod pages;
mod refusals;
mod verbs;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::SecretString;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use tenantd::api::{self, Api, Given};
use tenantd::domain::host::HostPattern;
use tenantd::domain::ids::{Holder, ProfileName, RegionName};
use tenantd::domain::region::RegionMap;
use tenantd::domain::rollout::Bounds;
use tenantd::http::{self, Door, Pages, Readiness, Report, Token, TokenSource};
use tenantd::page::{self, Page};
use tenantd::postgres::connections::{Pooler, Purpose, Session};
use tenantd::postgres::work::claim::ClaimTerms;
use tenantd::postgres::{Connections, Store};
use tenantd::system::SystemClock;
use tenantd::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::support::postgres::TestDb;
use crate::support::roles::{DAEMON, test_db_with_roles};

pub(crate) const LOOKS: &str = "token-of-who-looks";
pub(crate) const ACTS: &str = "token-of-who-acts";
/// Of the whole process, as its recorder is.
static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics::install().unwrap());
const LIMIT: Duration = Duration::from_secs(30);

/// The port of a daemon, and its database.
pub(crate) struct Served {
    pub(crate) db: TestDb,
    pub(crate) address: SocketAddr,
    /// What the file of the reading token would hold now.
    pub(crate) looks: Arc<Mutex<Result<String, String>>>,
    /// Whose the acting token is now.
    pub(crate) acting: Arc<Mutex<&'static str>>,
    _stop: DropGuard,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What stands behind a header's name, which is written in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.starts_with(&format!("{name}: ")))?;
        line.split_once(": ").map(|(_, value)| value)
    }

    /// A problem of this kind, about this parameter.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, kind: &str, parameter: Option<&str>) {
        let problem = self.json();
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(problem["type"], format!("urn:tenantd:problem:{kind}"), "{self:?}");
        assert_eq!(problem["status"], status, "{self:?}");
        assert_eq!(problem["parameter"].as_str(), parameter, "{self:?}");
        for text in ["title", "detail"] {
            assert!(problem[text].as_str().is_some_and(|text| text.len() > 5), "{text}: {self:?}");
        }
        assert_eq!(problem["expected"].is_string(), parameter.is_some(), "{self:?}");
    }
}

impl Served {
    /// With both tokens set.
    pub(crate) async fn new() -> Self {
        let looks = Arc::new(Mutex::new(Ok(LOOKS.to_owned())));
        let source = {
            let looks = Arc::clone(&looks);
            TokenSource::new(move || looks.lock().unwrap().clone().map(|text| token(&text, None)))
        };
        let acting = Arc::new(Mutex::new("alice"));
        let acts = {
            let acting = Arc::clone(&acting);
            TokenSource::new(move || Ok(token(ACTS, Some(*acting.lock().unwrap()))))
        };
        Self { acting, ..Self::behind(Door { looks: Some(source), acts: Some(acts) }, looks).await }
    }

    /// With no token at all.
    pub(crate) async fn open() -> Self {
        Self::behind(Door::default(), Arc::new(Mutex::new(Ok(String::new())))).await
    }

    async fn behind(door: Door, looks: Arc<Mutex<Result<String, String>>>) -> Self {
        let db = test_db_with_roles().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let api = Api::new(parts(&db, door.clone()));
        let page = page::Parts { api: api.clone(), clock: Box::new(SystemClock::start()) };
        let pages = Pages {
            readiness: Readiness::new(async || Report::ready()),
            metrics: METRICS.clone(),
            door,
            api: api::router(api),
            status: page::router(Page::new(page)),
        };
        tokio::spawn(http::serve(listener, pages, stop.clone()));
        Self { db, address, looks, acting: Arc::new(Mutex::new("")), _stop: stop.drop_guard() }
    }

    pub(crate) async fn given_tenants(&self, keys: impl IntoIterator<Item = &str>) {
        for key in keys {
            let host = format!("{}.us.qlikcloud.com", key.to_lowercase());
            sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, $2)")
                .bind(key)
                .bind(host)
                .execute(&self.db.pool)
                .await
                .unwrap();
        }
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(connections(&self.db.url), Holder(Uuid::from_u128(8))).await.unwrap()
    }

    /// Sends a request with these lines below its first, and reads until the server closes.
    pub(crate) async fn ask(&self, first: &str, lines: &str, body: &str) -> Reply {
        let asking = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!(
                "{first} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{lines}\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(LIMIT, asking).await.expect("there is an answer");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// A page below `/api/v1`, asked for by who looks.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        let token = format!("authorization: Bearer {LOOKS}\r\n");
        self.ask(&format!("GET /api/v1{path}"), &token, "").await
    }
}

fn token(text: &str, name: Option<&str>) -> Token {
    Token::new(&SecretString::from(text), name.map(str::to_owned))
}

fn connections(url: &str) -> Connections {
    let options: PgConnectOptions = url.parse().unwrap();
    let session = Session { purpose: Purpose::Api, pooler: Pooler::None };
    Connections::new(options.options([("role", DAEMON)]), session, 4, Duration::from_secs(8))
}

/// An API as a daemon has it.
fn parts(db: &TestDb, door: Door) -> api::Parts {
    let pattern = (HostPattern::parse("*.us.qlikcloud.com").unwrap(), RegionName::new("us"));
    let terms = ClaimTerms::new(
        &RegionMap::new([pattern]),
        [&ProfileName::new("default")],
        Duration::ZERO,
        Duration::ZERO,
    );
    api::Parts {
        connections: connections(&db.url),
        holder: Holder(Uuid::from_u128(7)),
        door,
        given: Arc::new(ArcSwap::from_pointee(Given {
            terms,
            bounds: Bounds {
                removals_per_hour: Some(3),
                changes_per_hour: 100,
                canary: 5,
                max_failure_ratio: 0.2,
            },
            rotate_every: Some(Duration::from_hours(24 * 30)),
            reload: None,
        })),
        store: OnceCell::new(),
    }
}
