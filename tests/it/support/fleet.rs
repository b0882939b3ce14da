//! A fleet under the real daemon's loops, over real TLS, in real time: for what
//! only happens between processes and sockets.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tenantd::app;
use tenantd::domain::ids::{Holder, RegionName};
use tenantd::domain::secret::RegionCredential;
use tenantd::engine::dispatch::Mode;
use tenantd::engine::shutdown::Stop;
use tenantd::engine::{Engine, Terms};
use tenantd::ports::{Clock, Entropy};
use tenantd::postgres::Store;
use tenantd::qlik::{Cloud, CloudOptions};
use tenantd::simulator::tls::{Options, Server};
use tenantd::simulator::{Ledger, World};
use tenantd::system::{OsEntropy, SystemClock};
use tenantd::vault::{KeyKind, Vault};
use uuid::Uuid;

use super::postgres::{TestDb, connections, test_db};
use super::rig::{SUFFIX, shared_keyring, terms};

pub(crate) struct Fleet {
    pub(crate) db: TestDb,
    pub(crate) world: World,
    pub(crate) server: Server,
}

impl Fleet {
    /// A world with one region behind a TLS port, and an empty database.
    pub(crate) async fn new(world: World) -> Self {
        Self::on(test_db().await, world).await
    }

    /// The same on this database.
    pub(crate) async fn on(db: TestDb, world: World) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let world = world.with_region(SUFFIX, "region-client", "region-secret");
        let options = Options { suffixes: vec![SUFFIX.into()], ..Options::default() };
        let server = Server::start(world.clone(), Arc::new(SystemClock::start()), options).await.unwrap();
        Self { db, world, server }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.db.pool
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.world.at(SystemClock::start().now()).ledger()
    }

    /// So many tenants, in the world and as rows.
    pub(crate) async fn given_tenants(&self, count: u32) {
        self.given_more_tenants(1, count).await;
    }

    /// The tenants numbered `first` to `last`, in the world and as rows of one statement.
    pub(crate) async fn given_more_tenants(&self, first: u32, last: u32) {
        {
            let mut world = self.world.at(SystemClock::start().now());
            for number in first..=last {
                world.add_tenant(&format!("t{number}.{SUFFIX}"));
            }
        }
        sqlx::query(
            "INSERT INTO tenantd.tenants (external_id, host)
             SELECT 'customer-' || n, 't' || n || '.' || $3 FROM generate_series($1, $2) AS n",
        )
        .bind(i32::try_from(first).unwrap())
        .bind(i32::try_from(last).unwrap())
        .bind(SUFFIX)
        .execute(self.pool())
        .await
        .unwrap();
    }

    /// How many rows somebody holds, or held when it died.
    pub(crate) async fn held_leases(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM tenantd.tenants WHERE lease_holder IS NOT NULL")
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    /// An engine of this fleet, under these terms.
    pub(crate) async fn engine(&self, terms: Terms, connect_to: SocketAddr) -> Arc<Engine<Cloud>> {
        let options = CloudOptions {
            request_timeout: terms.request_timeout,
            connect_timeout: terms.request_timeout,
            read_timeout: terms.request_timeout,
            ca_pem: Some(self.server.ca_pem().as_bytes().to_vec()),
            connect_to: Some(connect_to),
            proxy: None,
        };
        let credential = RegionCredential::new("region-client".into(), "region-secret".to_owned().into());
        let credentials = HashMap::from([(RegionName::new("us"), credential)]);
        let cloud = Cloud::new(&options, credentials, Arc::new(SystemClock::start())).unwrap();
        let holder = Holder(Uuid::from_u128(OsEntropy.bits()));
        let store = Store::open(connections(&self.db.url, None), holder).await.unwrap();
        store.recognise(terms.policy.settle).await.unwrap();
        let vault = Vault::new(shared_keyring(KeyKind::Symmetric));
        Arc::new(Engine::new(cloud, store, vault, Box::new(SystemClock::start()), Box::new(OsEntropy), terms))
    }

    /// Runs a daemon on this fleet until `done` holds, looked at ten times a second.
    pub(crate) async fn run_until<F>(&self, terms: Terms, limit: Duration, done: impl Fn() -> F)
    where
        F: Future<Output = bool>,
    {
        self.run_against(self.server.addr(), terms, limit, done).await;
    }

    /// The same, with every host sent to this address.
    pub(crate) async fn run_against<F>(
        &self,
        address: SocketAddr,
        terms: Terms,
        limit: Duration,
        done: impl Fn() -> F,
    ) where
        F: Future<Output = bool>,
    {
        let stop = Stop::new();
        let engine = self.engine(terms, address).await;
        let daemon = tokio::spawn(app::run(engine, stop.clone(), Mode::Daemon));
        let is_done = tokio::time::timeout(limit, async {
            while !done().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        stop.request();
        daemon.await.unwrap().unwrap();
        assert!(is_done.is_ok(), "not within {limit:?}: {:?}", self.counts().await);
    }

    /// Whether every tenant is ready and nothing but its next audit is due, planned or
    /// held any more.
    pub(crate) async fn is_quiet(&self) -> bool {
        sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT FROM tenantd.tenants
                                 WHERE phase <> 'ready' OR due_at < coalesce(audit_at, 'infinity')
                                    OR lease_holder IS NOT NULL)",
        )
        .fetch_one(self.pool())
        .await
        .unwrap()
    }

    pub(crate) async fn counts(&self) -> BTreeMap<String, i64> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT concat_ws(' ', phase, reason, message), count(*) FROM tenantd.status GROUP BY 1",
        )
        .fetch_all(self.pool())
        .await
        .unwrap();
        rows.into_iter().collect()
    }

    /// What must hold in the end: for every tenant exactly one live client, trusted,
    /// the one its row knows; and no live secret that the store does not know.
    pub(crate) async fn assert_true_to_the_ledger(&self, tenants: usize) {
        let ledger = self.ledger();
        assert_eq!(ledger.live_clients, tenants, "live clients");
        assert_eq!(ledger.trusted_clients, tenants, "trusted clients");
        let rows: Vec<(String, String, Vec<String>)> = sqlx::query_as(
            "SELECT t.host, t.client_id, array_agg(s.hint)
               FROM tenantd.tenants AS t JOIN tenantd.secrets AS s USING (tenant_id)
              WHERE s.standing = 'current' GROUP BY t.host, t.client_id",
        )
        .fetch_all(self.pool())
        .await
        .unwrap();
        assert_eq!(rows.len(), tenants, "current credentials");
        for (host, client_id, hints) in rows {
            let live: Vec<_> = ledger.live_clients_of(&host).collect();
            assert_eq!(live.len(), 1, "{host}: live clients");
            assert_eq!(live[0].client_id, client_id, "{host}: the committed client");
            let secrets: Vec<_> = live[0].live_secrets().map(|secret| secret.hint.clone()).collect();
            assert_eq!(secrets, hints, "{host}: secrets");
        }
    }
}

/// Terms for runs in real time: short, but in the proportions of production.
pub(crate) fn brisk() -> Terms {
    let mut terms = terms();
    terms.concurrency = 32;
    terms.lease = Duration::from_secs(6);
    terms.poll = Duration::from_millis(100);
    terms.request_timeout = Duration::from_millis(2500);
    terms.policy.base = Duration::from_millis(100);
    terms.policy.cap = Duration::from_secs(2);
    terms.policy.settle = Duration::from_secs(2);
    terms
}
