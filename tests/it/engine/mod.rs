//! The promises of the engine, on the real store and a simulated Qlik Cloud.
//!
//! Here is what the tests share: rows as they stand, work as a daemon does it,
//! and hands that act in Qlik's console. Time moves only when a test says so.

mod admission;
mod answers;
mod audits;
mod blame;
mod breaker;
mod canaries;
mod claims;
mod clients;
mod commits;
mod counts;
mod duplicates;
mod explain;
mod extensions;
mod extremes;
mod group;
mod history;
mod leases;
mod objective;
mod outage;
mod passes;
mod places;
mod product;
mod proof;
mod rejoins;
mod removals;
mod requests;
mod rights;
mod rollouts;
mod secrets;
mod stop;
mod visits;
mod waiting;
mod wakes;

use std::time::Duration;

use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::domain::machine::{Next, Rest};
use tenantd::engine::work::Work;
use tenantd::ports::Clock;
use tenantd::postgres::work::claim::Claimed;
use tenantd::simulator::{Behaviour, Caller, ClientLedger, FaultPlan, Grant, Ledger, Moment, TokenRequest};
use tenantd::vault::SealedFor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::rig::{LEASE, Replica, Rig, SUFFIX};

/// What a row says of itself.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) tenant_id: Uuid,
    pub(super) phase: String,
    pub(super) client_id: Option<String>,
    pub(super) unanswered: Option<String>,
    pub(super) wait_reason: Option<String>,
    pub(super) parked_reason: Option<String>,
    pub(super) message: Option<String>,
    pub(super) failures: i32,
    pub(super) lease_epoch: i64,
    pub(super) is_held: bool,
    pub(super) is_recheck_planned: bool,
    /// Milliseconds until it is due; negative when it was.
    pub(super) due_in: Option<i64>,
    /// Milliseconds since its last progress, less what is not held against it.
    pub(super) without_progress: i64,
}

impl Row {
    /// How long the row rests, which must be due by itself.
    pub(super) fn rests(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.due_in.expect("the row is due by itself")).unwrap_or(0))
    }
}

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct StoredRow {
    pub(super) standing: String,
    pub(super) hint: Option<String>,
    pub(super) sealed: String,
}

/// A rig without rate limits.
pub(super) async fn rig() -> Rig {
    rig_with(Behaviour::default()).await
}

/// The same, of another behaviour.
pub(super) async fn rig_with(behaviour: Behaviour) -> Rig {
    let rig = Rig::new(Behaviour { rate_limits: None, ..behaviour }, FaultPlan::none()).await;
    // The customer's own administrator, who is nobody of ours.
    drop(rig.world.clone().with_region(SUFFIX, "admin-client", "admin-secret"));
    rig
}

pub(super) fn host_of(name: &str) -> String {
    format!("{name}.{SUFFIX}")
}

pub(super) async fn row(rig: &Rig, name: &str) -> Row {
    sqlx::query_as(
        "SELECT tenant_id, phase, client_id, unanswered, wait_reason, parked_reason, message, failures, lease_epoch,
                lease_holder IS NOT NULL AS is_held, recheck_at IS NOT NULL AS is_recheck_planned,
                (extract(epoch FROM due_at - tenantd.clock()) * 1000)::bigint AS due_in,
                (extract(epoch FROM tenantd.clock() - progress_at) * 1000)::bigint AS without_progress
           FROM tenantd.tenants
          WHERE external_id = $1",
    )
    .bind(name)
    .fetch_one(rig.pool())
    .await
    .unwrap()
}

pub(super) async fn stored(rig: &Rig, name: &str) -> Vec<StoredRow> {
    sqlx::query_as(
        "SELECT standing, hint, sealed
           FROM tenantd.secrets JOIN tenantd.tenants USING (tenant_id)
          WHERE external_id = $1
          ORDER BY secret_id",
    )
    .bind(name)
    .fetch_all(rig.pool())
    .await
    .unwrap()
}

pub(super) fn ledger(rig: &Rig) -> Ledger {
    rig.world.at(rig.clock.now()).ledger()
}

/// Works on a claimed row as a daemon would.
pub(super) async fn work(rig: &Rig, replica: &Replica, claimed: Claimed) {
    let certain_until = rig.clock.elapsed() + LEASE;
    let lease = replica.leases.hold(claimed.tenant_id, claimed.fence, certain_until);
    replica.work_on(claimed, lease, &CancellationToken::new()).await;
}

/// Moves time to the next due row and works on it. False when nothing ever will be due.
pub(super) async fn work_next(rig: &Rig, replica: &Replica) -> bool {
    let Some(claimed) = rig.claim(replica).await else { return false };
    work(rig, replica, claimed).await;
    true
}

/// Works once on every row that is due at this instant; returns how many those were.
pub(super) async fn work_due(rig: &Rig, replica: &Replica) -> usize {
    let claimed = replica.store.claim(&replica.terms.claim_terms(), 1000).await.unwrap().rows;
    let count = claimed.len();
    for row in claimed {
        work(rig, replica, row).await;
    }
    count
}

/// Claims the next row and admits it, as the first half of a worker.
pub(super) async fn begin(rig: &Rig, replica: &Replica) -> Work {
    let claimed = rig.claim(replica).await.expect("a row is due");
    replica.admit(claimed).expect("the row is admitted")
}

/// Takes the next effect and commits what came of it. False when the work rests.
pub(super) async fn step(replica: &Replica, work: &mut Work) -> bool {
    let Next::Do(effect) = work.next() else { return false };
    let acted = replica.act(work, effect).await;
    let judged = replica.judge(work, acted).unwrap();
    replica.commit(work, &judged).await.unwrap();
    judged.decision.rest == Rest::Hold
}

/// Acts in Qlik's console, as the customer's own administrator.
pub(super) fn by_hand<T>(rig: &Rig, host: &str, act: impl FnOnce(&mut Moment<'_>, Caller<'_>) -> T) -> T {
    let mut moment = rig.world.at(rig.clock.now());
    let grant = Grant::ClientCredentials;
    let request = TokenRequest { client_id: "admin-client", secret: "admin-secret", grant, scope: None };
    let granted = moment.grant_token(host, &request).unwrap();
    act(&mut moment, Caller { host, bearer: Some(granted.access_token.reveal()) })
}

/// The tenant is ready, and nothing of ours is anywhere but where it should be:
/// one live, trusted client, which the row knows, with one live secret, which is
/// the current one and opens to what Qlik made.
pub(super) async fn assert_whole(rig: &Rig, replica: &Replica, name: &str) {
    let (row, stored, ledger) = (row(rig, name).await, stored(rig, name).await, ledger(rig));
    let live: Vec<&ClientLedger> = ledger.live_clients_of(&host_of(name)).collect();

    assert_eq!((row.phase.as_str(), &row.parked_reason), ("ready", &None), "{row:?}");
    assert_eq!(live.len(), 1, "{name}: live clients");
    assert_eq!(
        row.client_id.as_deref(),
        Some(live[0].client_id.as_str()),
        "{name}: the row knows its client"
    );
    assert!(live[0].is_trusted, "{name}: consent");
    let secrets: Vec<_> = live[0].live_secrets().collect();
    assert_eq!(secrets.len(), 1, "{name}: live secrets");
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(stored[0].standing, "current", "{name}");
    assert_eq!(stored[0].hint.as_ref(), Some(&secrets[0].hint), "{name}: hint");
    if !replica.vault.is_seal_only() {
        let (host, client) = (Host::parse(&host_of(name)).unwrap(), ClientId::new(live[0].client_id.clone()));
        let sealed_for = SealedFor { tenant_id: TenantId(row.tenant_id), host: &host, client_id: &client };
        let opened = replica.vault.open(&stored[0].sealed, &sealed_for).unwrap();
        assert!(secrets[0].matches(opened.expose_to_reveal()), "{name}: the sealed text is another secret");
    }
}
