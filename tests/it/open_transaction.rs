//! A pipeline's transaction over 10,000 rows that stays open: the daemon serves everybody else
//! meanwhile, and the locked rows as soon as it ends.
//!
//! The transaction stays open until all others are served *and* for longer than a lease, so that
//! claims, commits and renewals all meet rows that are locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Postgres, Transaction};
use tenantd::simulator::{Behaviour, Endpoint, FaultPlan, World};

use crate::support::fleet::Fleet;
use crate::support::process::{Home, eventually, status};
use crate::support::roles::{self, PIPELINE};
use crate::support::waiting::until_rows;

/// Short, but in the proportions of production. Replicas have the daemon's rights alone.
const BRISK: &str = r#"
    worker.concurrency = 16
    worker.lease = "5s"
    worker.poll = "100ms"
    qlik.request_timeout = "2s"
    qlik.connect_timeout = "1s"
    qlik.read_timeout = "2s"
    qlik.settle = "2s"
    retry.base = "100ms"
    retry.cap = "1s"
"#;
const LIMIT: Duration = Duration::from_mins(1);

/// Of the rows in the transaction so many are wanted; the pipeline takes the others back in it.
const WANTED: u32 = 120;
/// How many rows the transaction has locked.
const LOCKED: u32 = 10_000;
/// Rows of somebody else's that come meanwhile.
const OTHERS: u32 = 120;
const ALL: usize = (WANTED + OTHERS) as usize;

/// The rows of the transaction that are wanted.
const IN_IT: &str = "substr(external_id, 10)::integer <= 120 AND external_id LIKE 'customer-%'";
/// Those that came meanwhile.
const MEANWHILE: &str = "substr(external_id, 10)::integer > 120 AND external_id LIKE 'customer-%'";

struct Setting {
    fleet: Arc<Fleet>,
    home: Home,
}

impl Setting {
    /// A fleet with the pipeline's rows; whoever is taken back later has no tenant at all.
    async fn new(name: &str, latency: Duration) -> Self {
        let faults = FaultPlan::none().with_latency(latency);
        let behaviour = Behaviour { rate_limits: None, ..Behaviour::default() };
        let fleet = Fleet::new(World::new(behaviour, faults, 31)).await;
        roles::grant(fleet.pool()).await;
        fleet.given_tenants(WANTED).await;
        fleet
            .db
            .write(format!(
                "INSERT INTO tenantd.tenants (external_id, host)
                 SELECT 'mistake-' || n, 'mistake' || n || '.us.qlikcloud.com'
                   FROM generate_series(1, {LOCKED} - {WANTED}) AS n"
            ))
            .await;
        let home = Home::for_fleet(&fleet, name, BRISK);
        home.become_role(&fleet, roles::DAEMON);
        Self { fleet: Arc::new(fleet), home }
    }

    /// The pipeline's transaction, open, in which it takes back what was a mistake.
    async fn open(&self) -> Transaction<'static, Postgres> {
        let mut open = self.fleet.pool().begin().await.unwrap();
        update(&mut open, &format!("SET LOCAL ROLE {PIPELINE}")).await;
        let mistakes =
            "UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id LIKE 'mistake-%'";
        assert_eq!(update(&mut open, mistakes).await, u64::from(LOCKED - WANTED));
        open
    }

    async fn count(&self, condition: &str) -> i64 {
        let statement = format!("SELECT count(*) FROM tenantd.tenants WHERE {condition}");
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(self.fleet.pool()).await.unwrap()
    }

    /// Waits until all others are served, and the transaction is older than two leases.
    async fn hold(&self, open: &mut Transaction<'static, Postgres>) {
        self.fleet.given_more_tenants(WANTED + 1, WANTED + OTHERS).await;
        let ready = format!("{MEANWHILE} AND phase = 'ready'");
        until_rows(self.fleet.pool(), i64::from(OTHERS), &ready).await;
        let until =
            "SELECT pg_sleep(greatest(0, extract(epoch FROM now() + interval '10 s' - clock_timestamp())))";
        sqlx::query(until).execute(&mut **open).await.unwrap();
    }

    /// Waits until every row rests where its owner wants it.
    async fn served(&self) {
        let rests =
            "phase = 'removed' AND desired_state = 'absent' OR phase = 'ready' AND desired_state = 'present'
                     AND lease_holder IS NULL AND due_at >= audit_at";
        until_rows(self.fleet.pool(), i64::from(LOCKED + OTHERS), rests).await;
    }

    /// One client and one secret were made for each wanted tenant, and nothing was asked of
    /// the others.
    async fn assert_nothing_was_sent_twice(&self) {
        let ledger = self.fleet.ledger();
        assert_eq!(ledger.calls_of(Endpoint::CreateClient, Some(201)), ALL as u64, "creates");
        let asked = ledger.tenants.keys().filter(|host| host.starts_with("mistake")).count();
        assert_eq!(asked, 0, "hosts of rows that were taken back");
        self.fleet.assert_true_to_the_ledger(ALL).await;
    }
}

async fn update(open: &mut Transaction<'static, Postgres>, statement: &str) -> u64 {
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut **open).await.unwrap().rows_affected()
}

/// Has the transaction lock the wanted rows, too.
async fn lock(open: &mut Transaction<'static, Postgres>) {
    let labels = format!("UPDATE tenantd.tenants SET labels = '{{\"batch\": 7}}' WHERE {IN_IT}");
    assert_eq!(update(open, &labels).await, u64::from(WANTED));
}

/// Asks a daemon again and again whether it is ready.
struct Watch {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<u16>>,
}

impl Watch {
    /// From its first yes on.
    async fn over(address: String) -> Self {
        eventually("it is ready", LIMIT, || async { status(&address, "/readyz").await == 200 }).await;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut others = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let answer = status(&address, "/readyz").await;
                count.fetch_add(1, Ordering::Relaxed);
                others.extend(Some(answer).filter(|answer| *answer != 200));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            others
        });
        Self { stop, asked, task }
    }

    async fn assert_always_ready(self) {
        self.stop.store(true, Ordering::Relaxed);
        let others = self.task.await.unwrap();
        let asked = self.asked.load(Ordering::Relaxed);
        assert!(others.is_empty(), "{others:?} among {asked} answers");
        assert!(asked > 20, "it was asked {asked} times only");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_locked_before_their_claim_keep_nobody_waiting_and_are_served_at_the_end() {
    let setting = Setting::new("open-before", Duration::from_millis(20)).await;
    let mut open = setting.open().await;
    lock(&mut open).await;
    let daemon = setting.home.daemon("a.log");
    let watch = Watch::over(setting.home.address("a.log").await).await;

    setting.hold(&mut open).await;
    assert_eq!(setting.count(&format!("{IN_IT} AND lease_epoch > 0")).await, 0, "none was claimed");
    open.commit().await.unwrap();

    setting.served().await;
    watch.assert_always_ready().await;
    assert!(daemon.terminate().await.success());
    setting.assert_nothing_was_sent_twice().await;
    assert_eq!(setting.fleet.ledger().secrets_made, ALL);
}

/// Both replicas have created clients whose secrets they cannot store until the end.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_locked_in_the_middle_of_the_work_lose_nothing_however_long_that_lasts() {
    let setting = Setting::new("open-amidst", Duration::from_millis(200)).await;
    let mut open = setting.open().await;
    let daemons = [setting.home.daemon("a.log"), setting.home.daemon("b.log")];
    let watches = [
        Watch::over(setting.home.address("a.log").await).await,
        Watch::over(setting.home.address("b.log").await).await,
    ];
    lock_amidst(&setting, &mut open).await;

    setting.hold(&mut open).await;
    assert_secrets_wait_in_memory(&setting).await;
    open.commit().await.unwrap();

    setting.served().await;
    for watch in watches {
        watch.assert_always_ready().await;
    }
    for daemon in daemons {
        assert!(daemon.terminate().await.success());
    }
    setting.assert_nothing_was_sent_twice().await;
    assert_eq!(setting.fleet.ledger().secrets_made, ALL, "no secret was lost and made anew");
}

/// What a dead replica had in memory is lost; what it left at Qlik is found by its mark.
#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_holder_dies_while_they_are_locked_are_taken_over_at_the_end() {
    let setting = Setting::new("open-killed", Duration::from_millis(200)).await;
    let mut open = setting.open().await;
    let mut dying = setting.home.daemon("a.log");
    lock_amidst(&setting, &mut open).await;
    let other = setting.home.daemon("b.log");
    let watch = Watch::over(setting.home.address("b.log").await).await;
    eventually("its creates were answered", LIMIT, || async {
        setting.fleet.ledger().live_clients > 0 && !has_secrets(&setting).await
    })
    .await;
    dying.kill();

    setting.hold(&mut open).await;
    assert_secrets_wait_in_memory(&setting).await;
    open.commit().await.unwrap();

    setting.served().await;
    watch.assert_always_ready().await;
    assert!(other.terminate().await.success());
    setting.assert_nothing_was_sent_twice().await;
    assert!(setting.fleet.ledger().secrets_made > ALL, "secrets were lost with the replica");
}

/// Locks the rows while creates are under way.
async fn lock_amidst(setting: &Setting, open: &mut Transaction<'static, Postgres>) {
    let under_way = format!("{IN_IT} AND phase = 'creating' AND lease_holder IS NOT NULL");
    eventually("creates are under way", LIMIT, || async { setting.count(&under_way).await >= 8 }).await;
    lock(open).await;
}

/// Whether a secret is stored of a row that is in hand.
async fn has_secrets(setting: &Setting) -> bool {
    let stored = "phase = 'creating' AND EXISTS (SELECT FROM tenantd.secrets AS s WHERE s.tenant_id = tenants.tenant_id)";
    setting.count(stored).await > 0
}

/// Qlik has made clients for locked rows whose leases in the row are over, and the database knows
/// none of their secrets.
async fn assert_secrets_wait_in_memory(setting: &Setting) {
    let overdue = "phase = 'creating' AND lease_expires_at < tenantd.clock()";
    let waiting = setting.count(&format!("{IN_IT} AND {overdue}")).await;
    assert!(waiting >= 4, "only {waiting} rows wait beyond their lease: no test of anything");
    assert!(!has_secrets(setting).await);
    let hosts: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT host FROM tenantd.tenants WHERE {IN_IT} AND {overdue}"
    )))
    .fetch_all(setting.fleet.pool())
    .await
    .unwrap();
    let ledger = setting.fleet.ledger();
    let made = hosts.iter().filter(|host| ledger.live_clients_of(host).count() == 1).count();
    assert!(made >= 4, "only {made} of {waiting} clients were made: no test of anything");
}
