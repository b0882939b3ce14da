//! What bounds changes to a fleet: canaries, halts, budgets.

use std::collections::BTreeSet;
use std::time::Duration;

use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::engine::Terms;
use tenantd::ports::Clock;
use tenantd::postgres::fleet::schedules::Job;
use tenantd::simulator::{Endpoint, Fault, FaultPlan};
use tenantd::vault::{KeyKind, SealedFor};
use uuid::Uuid;

use super::{rig, work_due};
use crate::support::rig::{Replica, Rig, terms};

pub(super) const DAY: Duration = Duration::from_hours(24);
const MINUTE: Duration = Duration::from_mins(1);

pub(super) fn rotating() -> Terms {
    let mut terms = terms();
    terms.rotate_every = Some(30 * DAY);
    terms.policy.overlap = 7 * DAY;
    terms.bounds.canary = 5;
    terms.bounds.max_failure_ratio = 0.2;
    terms
}

pub(super) async fn fleet(rig: &Rig, replica: &Replica, tenants: u32) {
    for number in 0..tenants {
        rig.given_tenant(&format!("t{number}")).await;
    }
    work_due(rig, replica).await;
}

/// Turns the rollouts and works, minute by minute.
pub(super) async fn run(rig: &Rig, replica: &Replica, minutes: u32) {
    for _ in 0..minutes {
        replica.roll_out().await.unwrap();
        work_due(rig, replica).await;
        rig.advance(MINUTE).await;
    }
}

pub(super) async fn one<T>(rig: &Rig, statement: &'static str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::query_scalar(statement).fetch_one(rig.pool()).await.unwrap()
}

pub(super) const ROTATED: &str = "SELECT count(*) FROM tenantd.tenants WHERE current_version = 2";
pub(super) const STAGE: &str = "SELECT stage FROM tenantd.rollouts WHERE kind = 'rotation'";

/// How many tenants have a current credential that gets a token.
async fn working(rig: &Rig, replica: &Replica) -> usize {
    let rows: Vec<(Uuid, String, String, String)> = sqlx::query_as(
        "SELECT tenant_id, host, client_id, sealed FROM tenantd.credentials WHERE stage = 'current'",
    )
    .fetch_all(rig.pool())
    .await
    .unwrap();
    let works = |(tenant, host, client, sealed): &(Uuid, String, String, String)| {
        let (parsed, client_id) = (Host::parse(host).unwrap(), ClientId::new(client.as_str()));
        let row = SealedFor { tenant_id: TenantId(*tenant), host: &parsed, client_id: &client_id };
        let secret = replica.vault.open(sealed, &row).unwrap();
        rig.world.at(rig.clock.now()).accepts(host, client, secret.expose_to_token_endpoint())
    };
    rows.iter().filter(|row| works(row)).count()
}

#[tokio::test]
async fn a_rotation_whose_proof_is_broken_halts_after_the_canary_and_harms_no_consumer() {
    let rig = rig().await;
    let replica = rig.replica_with(rotating(), KeyKind::Symmetric).await;
    fleet(&rig, &replica, 30).await;
    rig.advance(31 * DAY).await;
    // As a profile would that takes a grant or a scope away which the proof needs.
    rig.world.plan_faults(|plan| {
        *plan = FaultPlan::none().with_share(Endpoint::ClientToken, 1.0, Fault::status(401));
    });

    run(&rig, &replica, 120).await;

    assert_eq!(one::<String>(&rig, STAGE).await, "halted");
    let touched: Vec<Uuid> =
        sqlx::query_scalar("SELECT tenant_id FROM tenantd.changes").fetch_all(rig.pool()).await.unwrap();
    let touched: BTreeSet<_> = touched.into_iter().collect();
    assert_eq!(touched.len(), 5, "the canary and nobody else");
    assert_eq!(one::<i64>(&rig, "SELECT count(*) FROM tenantd.tenants WHERE phase <> 'ready'").await, 5);
    assert_eq!(one::<i64>(&rig, "SELECT count(*) FROM tenantd.status WHERE ready").await, 30);
    assert_eq!(working(&rig, &replica).await, 30, "consumers are unharmed");
    let message: String = one(&rig, "SELECT message FROM tenantd.rollouts WHERE kind = 'rotation'").await;
    assert!(message.contains("tenantd fleet resume --rollout rotation"), "{message}");
    println!("halted after {} of 30 tenants; 30 consumers unharmed", touched.len());
}

#[tokio::test]
async fn a_rotation_by_age_goes_from_the_canary_to_all_and_ends() {
    let rig = rig().await;
    let replica = rig.replica_with(rotating(), KeyKind::Symmetric).await;
    fleet(&rig, &replica, 30).await;
    run(&rig, &replica, 3).await;
    assert_eq!(one::<i64>(&rig, ROTATED).await, 0, "nothing is due yet");
    rig.advance(31 * DAY).await;

    replica.roll_out().await.unwrap();
    work_due(&rig, &replica).await;
    assert_eq!(one::<i64>(&rig, ROTATED).await, 5, "the canary goes first");
    assert_eq!(one::<String>(&rig, STAGE).await, "canary");
    run(&rig, &replica, 3).await;

    assert_eq!(one::<i64>(&rig, ROTATED).await, 30);
    assert_eq!(one::<String>(&rig, STAGE).await, "idle");
    assert_eq!(working(&rig, &replica).await, 30);
    // Each at a moment of its own, up to a tenth earlier.
    rig.advance(28 * DAY + DAY / 2).await;
    replica.roll_out().await.unwrap();
    let due: i64 = one(
        &rig,
        "SELECT count(*) FROM tenantd.secrets JOIN tenantd.tenants USING (tenant_id)
          WHERE standing = 'current' AND proven_at <= tenantd.clock() - tenantd.spread('30 days', tenant_id)",
    )
    .await;
    assert!((1..30).contains(&due), "{due} of 30 are due after 28.5 days");
}

#[tokio::test]
async fn no_more_is_changed_in_an_hour_than_the_budget_allows() {
    let rig = rig().await;
    let mut terms = rotating();
    terms.bounds.changes_per_hour = 12;
    let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
    fleet(&rig, &replica, 30).await;
    rig.advance(31 * DAY).await;

    for (minutes, rotated) in [(55, 12), (60, 24), (60, 30)] {
        run(&rig, &replica, minutes).await;
        assert_eq!(one::<i64>(&rig, ROTATED).await, rotated);
    }
}

const REMOVED: &str = "SELECT count(*) FROM tenantd.tenants WHERE phase = 'removed'";
const WAITING: &str = "SELECT count(*) FROM tenantd.status WHERE reason = 'AwaitingBudget'";

/// Lets removals through and works, minute by minute.
async fn remove(rig: &Rig, replica: &Replica, minutes: u32) {
    for _ in 0..minutes {
        replica.admit_removals().await.unwrap();
        work_due(rig, replica).await;
        rig.advance(MINUTE).await;
    }
}

#[tokio::test]
async fn one_bad_update_removes_five_of_forty_tenants_in_an_hour_and_not_the_fleet() {
    let rig = rig().await;
    let replica = rig.replica().await;
    fleet(&rig, &replica, 40).await;
    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;

    remove(&rig, &replica, 59).await;
    assert_eq!((one::<i64>(&rig, REMOVED).await, one::<i64>(&rig, WAITING).await), (5, 35));
    let messages: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT message FROM tenantd.status WHERE reason = 'AwaitingBudget'")
            .fetch_all(rig.pool())
            .await
            .unwrap();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(
        messages[0].contains("removals_per_hour: 5 let through in the last hour, 35 waiting"),
        "{messages:?}"
    );
    // Back in time: what was not removed yet goes on as if nothing had been.
    rig.write(
        "UPDATE tenantd.tenants SET desired_state = 'present' WHERE phase = 'ready' AND external_id < 't3'",
    )
    .await;
    let (kept, left): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE ready), count(*) FILTER (WHERE reason = 'AwaitingBudget') FROM tenantd.status",
    )
    .fetch_one(rig.pool())
    .await
    .unwrap();
    assert!(kept > 0 && left > 5 && kept + left == 35, "{kept} kept, {left} left");
    remove(&rig, &replica, 60).await;
    assert_eq!((one::<i64>(&rig, REMOVED).await, one::<i64>(&rig, WAITING).await), (10, left - 5));
    remove(&rig, &replica, 60 * 9).await;
    assert_eq!(one::<i64>(&rig, WAITING).await, 0);
    assert_eq!(working(&rig, &replica).await, usize::try_from(kept).unwrap());
}

/// Whatever becomes of what was removed: a limit that followed it would be another each time.
#[tokio::test]
async fn the_fleet_that_a_budget_is_a_tenth_of_stays_the_same_in_its_hour() {
    for (tenants, limit) in [(0, 5), (1, 5), (5, 5), (50, 5), (60, 6), (61, 7)] {
        let rig = rig().await;
        let replica = rig.replica().await;
        fleet(&rig, &replica, tenants).await;
        let stays = async |when: &str| {
            let measured = replica.store.removals().await.unwrap();
            assert_eq!(
                (measured.default_limit, measured.spent.min(1)),
                (limit, i64::from(tenants.min(1))),
                "{when}"
            );
            assert_eq!(replica.store.admit_removals(None).await.unwrap(), 0, "{tenants} {when}");
            assert_eq!(one::<i64>(&rig, WAITING).await, i64::from(tenants) - limit.min(tenants.into()));
        };
        rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
        remove(&rig, &replica, 2).await;
        stays("once they are removed").await;
        rig.write("UPDATE tenantd.tenants SET desired_state = 'present' WHERE phase = 'removed'").await;
        stays("when they begin another life").await;
        rig.write("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE phase = 'pending'").await;
        rig.advance(MINUTE * 10).await;
        work_due(&rig, &replica).await;
        rig.write("DELETE FROM tenantd.tenants WHERE phase = 'removed'").await;
        stays("when their rows are gone").await;
    }
}

#[tokio::test]
async fn a_budget_that_somebody_set_holds_in_every_fleet() {
    let rig = rig().await;
    let mut terms = terms();
    terms.bounds.removals_per_hour = Some(8);
    let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
    fleet(&rig, &replica, 10).await;
    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;

    remove(&rig, &replica, 50).await;

    assert_eq!((one::<i64>(&rig, REMOVED).await, one::<i64>(&rig, WAITING).await), (8, 2));
}

#[tokio::test]
async fn a_slot_is_taken_by_one_replica_and_a_missed_one_is_done_once() {
    let rig = rig().await;
    let (one, two) = (rig.replica().await, rig.replica().await);
    let take = async || {
        let mut takers = tokio::task::JoinSet::new();
        for number in 0..16 {
            let replica = if number % 2 == 0 { one.clone() } else { two.clone() };
            takers.spawn(async move { replica.store.take_slots().await.unwrap() });
        }
        let mut taken: Vec<_> = takers.join_all().await.into_iter().flatten().map(Job::as_str).collect();
        taken.sort_unstable();
        taken
    };

    assert_eq!(
        take().await,
        ["distrust", "fold_counts", "judge_objective", "plan_audits", "prune", "roll_out"]
    );
    assert_eq!(take().await, Vec::<&str>::new());
    rig.advance(Duration::from_secs(10)).await;
    assert_eq!(take().await, ["distrust", "fold_counts", "judge_objective", "roll_out"]);
    rig.advance(10 * DAY).await;
    let all = ["distrust", "fold_counts", "judge_objective", "plan_audits", "prune", "roll_out"];
    assert_eq!(take().await, all, "however many were missed");
}
