//! Replicas of the real engine on a real Postgres and a simulated Qlik Cloud,
//! under a clock that only moves when told to.
//!
//! `tenantd.clock()` is replaced by a settable one, so that leases, due times and
//! the world's own delays all follow the same hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;
use tenantd::domain::host::HostPattern;
use tenantd::domain::ids::{Holder, ProfileName, RegionName};
use tenantd::domain::profile::Profile;
use tenantd::domain::region::RegionMap;
use tenantd::domain::retry::Policy;
use tenantd::domain::secret::RegionCredential;
use tenantd::domain::tenant::RepairScope;
use tenantd::engine::{Bounds, Engine, Proof, Terms};
use tenantd::ports::{Clock, Entropy};
use tenantd::postgres::work::claim::Claimed;
use tenantd::postgres::{Connections, Store};
use tenantd::simulator::memory::Door;
use tenantd::simulator::{Behaviour, FaultPlan, World};
use tenantd::system::OsEntropy;
use tenantd::vault::{KeyKind, Keyring, Vault, generate_key_set};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::postgres::{TestDb, connections, test_db};
use super::roles;

pub(crate) const SUFFIX: &str = "us.qlikcloud.com";
/// The subject of the user that replicas act as.
pub(crate) const BOT: &str = "qlikbot\\region-client";
pub(crate) const LEASE: Duration = Duration::from_mins(1);
pub(crate) const SETTLE: Duration = Duration::from_mins(2);
pub(crate) const OVERLAP: Duration = Duration::from_hours(24);

/// A clock for process and world; the database's is moved along by [`Rig::advance`].
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<Mutex<Duration>>);

impl TestClock {
    pub(crate) fn epoch() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        Self::epoch() + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

pub(crate) type Replica = Arc<Engine<Door>>;

pub(crate) struct Rig {
    pub(crate) db: TestDb,
    pub(crate) clock: TestClock,
    pub(crate) world: World,
    /// What replicas connect with; the rig itself is the owner.
    replicas: Connections,
}

impl Rig {
    pub(crate) async fn new(behaviour: Behaviour, faults: FaultPlan) -> Self {
        Self::on(test_db().await, behaviour, faults).await
    }

    /// A Qlik Cloud that is as its documentation says, where nothing goes wrong.
    pub(crate) async fn plain() -> Self {
        Self::new(Behaviour::default(), FaultPlan::none()).await
    }

    /// The same, and nobody counts the calls.
    pub(crate) async fn unpaced() -> Self {
        Self::new(Behaviour { rate_limits: None, ..Behaviour::default() }, FaultPlan::none()).await
    }

    /// The same on this database.
    pub(crate) async fn on(db: TestDb, behaviour: Behaviour, faults: FaultPlan) -> Self {
        let world = World::new(behaviour, faults, 7).with_region(SUFFIX, "region-client", "region-secret");
        Self::in_world(db, world).await
    }

    /// The same in a world that has a past.
    pub(crate) async fn in_world(db: TestDb, world: World) -> Self {
        let clock = TestClock(Arc::new(Mutex::new(Duration::from_secs(1))));
        for statement in [
            "CREATE SCHEMA tenantd_test",
            "CREATE TABLE tenantd_test.clock (at timestamptz NOT NULL)",
            "CREATE OR REPLACE FUNCTION tenantd.clock() RETURNS timestamptz
                 LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT at FROM tenantd_test.clock $$",
        ] {
            sqlx::query(statement).execute(&db.pool).await.unwrap();
        }
        let start = clock.now();
        sqlx::query("INSERT INTO tenantd_test.clock VALUES ($1)")
            .bind(start)
            .execute(&db.pool)
            .await
            .unwrap();
        let replicas = connections(&db.url, None);
        let rig = Self { db, clock, world, replicas };
        let replica = rig.replica().await;
        replica.store.recognise(SETTLE).await.unwrap();
        replica.store.adopt_regions(&replica.terms.claim_terms()).await.unwrap();
        rig
    }

    /// From here on replicas have the rights of `tenantd_daemon` and no more.
    pub(crate) async fn with_replicas_as_daemon(self) -> Self {
        roles::grant(self.pool()).await;
        sqlx::raw_sql(
            "GRANT USAGE ON SCHEMA tenantd_test TO tenantd_daemon; GRANT SELECT ON tenantd_test.clock TO tenantd_daemon",
        )
        .execute(self.pool())
        .await
        .unwrap();
        let replicas = connections(&self.db.url, Some(roles::DAEMON));
        Self { replicas, ..self }
    }

    /// Another replica: its own holder, tokens and leases; the same database and world.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_with(terms(), KeyKind::Symmetric).await
    }

    pub(crate) async fn replica_with(&self, terms: Terms, kind: KeyKind) -> Replica {
        let store =
            Store::open(self.replicas.clone(), Holder(Uuid::from_u128(OsEntropy.bits()))).await.unwrap();
        let credential = RegionCredential::new("region-client".into(), "region-secret".to_owned().into());
        let door = Door::new(
            self.world.clone(),
            Arc::new(self.clock.clone()),
            [(RegionName::new("us"), credential)],
        );
        let vault = Vault::new(shared_keyring(kind));
        Arc::new(Engine::new(door, store, vault, Box::new(self.clock.clone()), Box::new(OsEntropy), terms))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.db.pool
    }

    /// Writes as the owner of the schema does: one statement, or several.
    pub(crate) async fn write(&self, statements: impl Into<String>) {
        self.db.write(statements).await;
    }

    /// Moves every clock.
    pub(crate) async fn advance(&self, by: Duration) {
        *self.clock.0.lock().unwrap() += by;
        let microseconds = i64::try_from(by.as_micros()).unwrap();
        sqlx::query("UPDATE tenantd_test.clock SET at = at + $1")
            .bind(PgInterval { months: 0, days: 0, microseconds })
            .execute(self.pool())
            .await
            .unwrap();
    }

    /// A tenant in the world and its row.
    pub(crate) async fn given_tenant(&self, name: &str) -> String {
        let host = format!("{name}.{SUFFIX}");
        self.world.at(self.clock.now()).add_tenant(&host);
        sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, $2)")
            .bind(name)
            .bind(&host)
            .execute(self.pool())
            .await
            .unwrap();
        host
    }

    /// Time until the next row is due and not held, `None` when nothing ever will be.
    pub(crate) async fn until_due(&self) -> Option<Duration> {
        let milliseconds: Option<i64> = sqlx::query_scalar(
            "SELECT ceil(extract(epoch FROM min(greatest(due_at, lease_expires_at)) - tenantd.clock()) * 1000)::bigint
               FROM tenantd.tenants WHERE due_at IS NOT NULL",
        )
        .fetch_one(self.pool())
        .await
        .unwrap();
        milliseconds.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    /// Claims one row, moving time to when one is due. `None` when nothing is left to do.
    pub(crate) async fn claim(&self, replica: &Replica) -> Option<Claimed> {
        let wait = self.until_due().await?;
        self.advance(wait).await;
        let claimed = replica.store.claim(&replica.terms.claim_terms(), 1).await.unwrap().rows;
        Some(claimed.into_iter().next().expect("a due row is claimed"))
    }

    /// Lets a replica claim the next row and work on it once; returns its `external_id`.
    pub(crate) async fn work_once(&self, replica: &Replica) -> String {
        let claimed = self.claim(replica).await.expect("a row is due");
        let external_id = claimed.external_id.to_string();
        self.work_on(replica, claimed).await;
        external_id
    }

    /// Lets a replica work on what it claimed.
    pub(crate) async fn work_on(&self, replica: &Replica, claimed: Claimed) {
        let certain_until = self.clock.elapsed() + LEASE;
        let lease = replica.leases.hold(claimed.tenant_id, claimed.fence, certain_until);
        replica.work_on(claimed, lease, &CancellationToken::new()).await;
    }

    /// Lets a replica work as its daemon would until nothing is ever due again.
    pub(crate) async fn work_until_quiet(&self, replica: &Replica) {
        for _ in 0..200 {
            let Some(claimed) = self.claim(replica).await else { return };
            self.work_on(replica, claimed).await;
        }
        panic!("200 claims and no end");
    }
}

pub(crate) fn terms() -> Terms {
    let us = (HostPattern::parse(&format!("*.{SUFFIX}")).unwrap(), RegionName::new("us"));
    let profile = Profile {
        client_name: "portal".into(),
        description: "Made by tenantd.".into(),
        redirect_uris: vec!["https://portal.example.com/callback".into()],
        allowed_origins: vec![],
        scopes: vec!["user_default".into()],
    };
    Terms {
        regions: RegionMap::new([us]),
        profiles: BTreeMap::from([(ProfileName::new("default"), profile)]),
        policy: Policy {
            base: Duration::from_secs(1),
            cap: Duration::from_mins(1),
            give_up_after: Duration::from_hours(24),
            settle: SETTLE,
            prove_patience: Duration::from_mins(10),
            overlap: OVERLAP,
            audit_every: None,
        },
        proof: Proof::Token,
        revoke_by_filter: false,
        bounds: Bounds { removals_per_hour: None, changes_per_hour: 100, canary: 0, max_failure_ratio: 0.1 },
        rotate_every: None,
        repair: RepairScope::Consent,
        concurrency: 8,
        lease: LEASE,
        poll: Duration::from_secs(1),
        request_timeout: Duration::from_secs(20),
        keep_history: Duration::from_hours(24),
        ready_within: Duration::from_mins(15),
    }
}

/// One keyring of each kind for all replicas.
pub(crate) fn shared_keyring(kind: KeyKind) -> Keyring {
    static SYMMETRIC: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    static PAIR: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let generate = || generate_key_set(kind, &OsEntropy).unwrap().expose_to_keys_generate().to_owned();
    let json = match kind {
        KeyKind::Symmetric => SYMMETRIC.get_or_init(generate).clone(),
        KeyKind::P256 => {
            let pair = Keyring::parse(PAIR.get_or_init(generate).as_bytes()).unwrap();
            pair.public_key_set().unwrap()
        }
    };
    Keyring::parse(json.as_bytes()).unwrap()
}
