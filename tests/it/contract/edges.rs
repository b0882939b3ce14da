//! Where owner, operator and daemon meet at the worst moment.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantd::domain::machine::Next;
use tenantd::domain::rollout::Kind;
use tenantd::domain::tenant::RepairScope;
use tenantd::engine::Terms;
use tenantd::ports::Clock;
use tenantd::postgres::fleet::rollouts::{Limits, Rollout};
use tenantd::postgres::operator::rollback::Twice;
use tenantd::simulator::{Behaviour, FaultPlan};

use crate::support::rig::{LEASE, OVERLAP, Replica, Rig, SETTLE, terms};

const HOUR: Duration = Duration::from_hours(1);

async fn write(rig: &Rig, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(rig.pool()).await.unwrap();
}

async fn text(rig: &Rig, query: &str) -> Option<String> {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT ({query})::text"))).fetch_one(rig.pool()).await.unwrap()
}

async fn of_row(rig: &Rig, column: &str) -> Option<String> {
    text(rig, &format!("SELECT {column} FROM tenantd.tenants")).await
}

async fn ready() -> (Rig, Replica, String) {
    let rig = Rig::new(Behaviour::default(), FaultPlan::none()).await;
    let host = rig.given_tenant("acme").await;
    let replica = rig.replica().await;
    rig.work_until_quiet(&replica).await;
    (rig, replica, host)
}

const ABSENT: &str = "UPDATE tenantd.tenants SET desired_state = 'absent'";
const HOLD: &str = "UPDATE tenantd.installation SET deletions_held_at = tenantd.clock(), held_reason = 'x'";
const ROTATE: &str = "UPDATE tenantd.tenants SET desired_version = desired_version + 1";

fn limits() -> Limits {
    Limits { changes_per_hour: 100, canary: 5, max_failure_ratio: 0.2, give_up_after: HOUR }
}

/// Works on what is due at this instant, at most so often.
async fn work_due(rig: &Rig, replica: &Replica, most: usize) {
    for _ in 0..most {
        if rig.until_due().await.is_none_or(|wait| !wait.is_zero()) {
            return;
        }
        rig.work_once(replica).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_admitted_under_an_audit_begins() {
    let (rig, replica, _) = ready().await;
    write(&rig, "UPDATE tenantd.tenants SET audit_at = tenantd.clock(), due_at = tenantd.clock()").await;
    let claimed = rig.claim(&replica).await.unwrap();
    let mut work = replica.admit(claimed).unwrap();
    let Next::Do(effect) = work.next() else { panic!("it is to be audited") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();
    write(&rig, ABSENT).await;
    assert_eq!(replica.store.admit_removals(None).await.unwrap(), 1);
    replica.commit(&mut work, &judged).await.unwrap();
    assert!(of_row(&rig, "due_at").await.is_some(), "absent, admitted, and never due");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_deletions_are_held_a_retired_secret_does_not_spin() {
    let (rig, replica, _) = ready().await;
    write(&rig, ROTATE).await;
    rig.work_once(&replica).await;
    write(&rig, HOLD).await;
    rig.advance(OVERLAP + HOUR).await;
    work_due(&rig, &replica, 2).await;
    assert!(rig.until_due().await.is_none_or(|wait| !wait.is_zero()), "due again at once, for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejoin_does_not_pass_the_removal_budget() {
    let (rig, replica, _) = ready().await;
    write(&rig, ABSENT).await;
    replica.store.rejoin("by hand", SETTLE).await.unwrap();
    if rig.until_due().await.is_some() {
        rig.claim(&replica).await;
    }
    assert_eq!(of_row(&rig, "phase").await.as_deref(), Some("ready"));
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_audits_does_not_pass_the_removal_budget() {
    let (rig, replica, _) = ready().await;
    write(&rig, ABSENT).await;
    replica.store.plan_audits(Some(HOUR)).await.unwrap();
    if rig.until_due().await.is_some() {
        rig.work_once(&replica).await;
    }
    assert_eq!(of_row(&rig, "phase").await.as_deref(), Some("ready"));
}

#[tokio::test(flavor = "multi_thread")]
async fn agreeing_to_deletions_does_not_pass_the_removal_budget() {
    let (rig, replica, _) = ready().await;
    write(&rig, HOLD).await;
    write(&rig, "UPDATE tenantd.tenants SET is_adopted = true").await;
    write(&rig, ABSENT).await;
    replica.store.agree_to_deletions().await.unwrap();
    if rig.until_due().await.is_some() {
        rig.work_once(&replica).await;
    }
    assert_eq!(of_row(&rig, "phase").await.as_deref(), Some("ready"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_after_a_rotation_by_age_stays() {
    let (rig, replica, _) = ready().await;
    let every = Duration::from_hours(24 * 90);
    rig.advance(every).await;
    let rollout = Rollout::Rotation { every };
    assert_eq!(replica.store.turn_rollout(rollout, &limits()).await.unwrap().admitted, 1);
    rig.work_once(&replica).await;
    replica.store.turn_rollout(rollout, &limits()).await.unwrap();
    replica.store.roll_back("acme", OVERLAP, "ada", Twice::Allowed).await.unwrap();
    rig.advance(Duration::from_secs(10)).await;
    let turned = replica.store.turn_rollout(rollout, &limits()).await.unwrap();
    assert_eq!(turned.admitted, 0, "the rollback is undone by the next turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_let_through_under_an_audit_is_not_swallowed() {
    let (rig, replica, host) = ready().await;
    let mut moment = rig.world.at(rig.clock.now());
    let client = moment.ledger().live_clients_of(&host).next().unwrap().client_id.clone();
    moment.console(&host, "ada").unwrap().set_trusted(&client, false).unwrap();
    drop(moment);
    let rollout = Rollout::Repair { scope: RepairScope::Consent };
    for _ in 0..2 {
        // The first audit finds it, the second is under way when the repair is let through.
        write(&rig, "UPDATE tenantd.tenants SET audit_at = tenantd.clock(), due_at = tenantd.clock()").await;
        let claimed = rig.claim(&replica).await.unwrap();
        let mut work = replica.admit(claimed).unwrap();
        let Next::Do(effect) = work.next() else { panic!("it is to be audited") };
        let acted = replica.act(&mut work, effect).await;
        let judged = replica.judge(&work, acted).unwrap();
        replica.store.turn_rollout(rollout, &limits()).await.unwrap();
        replica.commit(&mut work, &judged).await.unwrap();
    }
    replica.store.turn_rollout(rollout, &limits()).await.unwrap();
    let outcome = text(&rig, "SELECT outcome FROM tenantd.changes ORDER BY change_id LIMIT 1").await;
    let drift = of_row(&rig, "drift").await;
    assert!(
        outcome.as_deref() != Some("done") || drift.as_deref() == Some("{}"),
        "{outcome:?} but {drift:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_to_a_profile_nobody_knows_is_not_forgotten() {
    let (rig, replica, _) = ready().await;
    write(&rig, "UPDATE tenantd.tenants SET profile = 'later'").await;
    rig.work_once(&replica).await;
    let told =
        of_row(&rig, "coalesce(edited_at::text, parked_reason, wait_reason, nullif(drift, '{}')::text)")
            .await;
    assert!(told.is_some(), "the edit is gone without a word");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_previous_secret_deleted_by_hand_does_not_spin() {
    let (rig, replica, host) = ready().await;
    let moment = rig.world.at(rig.clock.now());
    let client = moment.ledger().live_clients_of(&host).next().unwrap().clone();
    let hint = client.live_secrets().next().unwrap().hint.clone();
    drop(moment);
    write(&rig, ROTATE).await;
    rig.work_once(&replica).await;
    let mut moment = rig.world.at(rig.clock.now());
    moment.console(&host, "ada").unwrap().delete_secret(&client.client_id, &hint).unwrap();
    drop(moment);
    write(&rig, "UPDATE tenantd.tenants SET repair_scope = 'all', due_at = tenantd.clock()").await;
    rig.work_once(&replica).await;
    assert_eq!(text(&rig, "SELECT count(*) FROM tenantd.secrets").await.as_deref(), Some("1"));
    rig.work_until_quiet(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_duplicates_do_not_eat_the_change_budget() {
    let (rig, replica, _) = ready().await;
    write(&rig, HOLD).await;
    write(&rig, "UPDATE tenantd.tenants SET drift = '{duplicate}', drifted_at = tenantd.clock()").await;
    let rollout = Rollout::Repair { scope: RepairScope::Consent };
    replica.store.turn_rollout(rollout, &limits()).await.unwrap();
    let changes = text(&rig, "SELECT count(*) FROM tenantd.changes").await;
    assert_eq!((Kind::Repair.as_str(), changes.as_deref()), ("repair", Some("0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_seen_before_a_restore_serves_no_other_secret() {
    let (rig, replica, _) = ready().await;
    // The backup holds version 1; consumers have seen version 2 since.
    replica.store.rejoin("by hand", SETTLE).await.unwrap();
    rig.work_once(&replica).await;
    write(&rig, ROTATE).await;
    rig.work_once(&replica).await;
    assert_ne!(of_row(&rig, "current_version").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_of_a_removed_tenant_is_looked_at_before_it_is_forgotten() {
    let (rig, replica, host) = ready().await;
    write(&rig, ABSENT).await;
    replica.store.admit_removals(None).await.unwrap();
    rig.work_once(&replica).await;
    assert_eq!(of_row(&rig, "phase").await.as_deref(), Some("removed"));
    assert!(of_row(&rig, "recheck_at").await.is_some());
    let moved =
        sqlx::query("UPDATE tenantd.tenants SET host = 'other.us.qlikcloud.com'").execute(rig.pool()).await;
    assert!(moved.is_err(), "the recheck of {host} will ask another host");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_admitted_under_a_worker_is_not_parked() {
    let rig = Rig::new(Behaviour::default(), FaultPlan::none()).await;
    rig.given_tenant("acme").await;
    let replica = rig.replica().await;
    let claimed = rig.claim(&replica).await.unwrap();
    let work = replica.admit(claimed).unwrap();
    write(&rig, ABSENT).await;
    assert_eq!(replica.store.admit_removals(None).await.unwrap(), 1);
    let rest = tenantd::domain::machine::Rest::Park {
        reason: tenantd::domain::reason::ParkReason::Rejected,
        message: "x".to_owned(),
    };
    replica.send(&work.held, &work.resting(rest)).await.unwrap();
    assert!(of_row(&rig, "due_at").await.is_some(), "parked: {:?}", of_row(&rig, "parked_reason").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_was_let_through_is_never_stranded() {
    let (rig, _, _) = ready().await;
    let stranded =
        "UPDATE tenantd.tenants SET desired_state = 'absent', removal_admitted_at = tenantd.clock()";
    write(&rig, stranded).await;
    let refused =
        sqlx::query("UPDATE tenantd.tenants SET due_at = NULL").execute(rig.pool()).await.unwrap_err();
    let constraint = refused.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
    assert_eq!(constraint.as_deref(), Some("nothing_waits_for_ever_in_silence"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removal_budget_is_not_saved_up_during_a_pause() {
    let rig = Rig::new(Behaviour::default(), FaultPlan::none()).await;
    for number in 0..4 {
        rig.given_tenant(&format!("acme{number}")).await;
    }
    let replica = rig.replica().await;
    rig.work_until_quiet(&replica).await;
    write(&rig, "INSERT INTO tenantd.pauses (region, reason) VALUES ('*', 'a bad UPDATE')").await;
    write(&rig, ABSENT).await;
    for _ in 0..4 {
        replica.store.admit_removals(Some(1)).await.unwrap();
        rig.advance(HOUR + LEASE).await;
    }
    write(&rig, "DELETE FROM tenantd.pauses").await;
    let claimed = replica.store.claim(&replica.terms.claim_terms(), 100).await.unwrap().rows;
    let at_once = claimed.iter().filter(|row| !row.tenant.is_resting).count();
    assert!(at_once <= 1, "{at_once} removals begin at once, one an hour is the limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_leaves_room_for_the_rows_that_are_to_be_looked_at() {
    let rig = Rig::new(Behaviour::default(), FaultPlan::none()).await;
    rig.given_tenant("old").await;
    let replica = rig.replica().await;
    rig.work_until_quiet(&replica).await;
    write(&rig, ROTATE).await;
    rig.work_once(&replica).await;
    rig.given_tenant("young").await;
    rig.work_once(&replica).await;
    rig.advance(OVERLAP + HOUR).await;
    replica.store.rejoin("a restore", SETTLE).await.unwrap();
    work_due(&rig, &replica, 20).await;
    let left =
        text(&rig, "SELECT string_agg(external_id || ' ' || must_look, ', ') FROM tenantd.tenants").await;
    let left = left.unwrap();
    assert!(!left.contains("true"), "20 claims of one row each, and still to be looked at: {left}");
    // A new customer comes.
    rig.given_tenant("new").await;
    rig.advance(SETTLE).await;
    work_due(&rig, &replica, 20).await;
    let phase = text(&rig, "SELECT phase FROM tenantd.tenants WHERE external_id = 'new'").await;
    assert_eq!(phase.as_deref(), Some("ready"), "starved by a row that is due for ever");
}

/// A recheck whose host left the configuration parks a removed row.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_may_still_write_to_a_removed_row_whose_recheck_was_parked() {
    let (rig, replica, _) = ready().await;
    write(&rig, ABSENT).await;
    replica.store.admit_removals(None).await.unwrap();
    rig.work_once(&replica).await;
    let none = Terms { regions: tenantd::domain::region::RegionMap::new([]), ..terms() };
    let other = rig.replica_with(none, tenantd::vault::KeyKind::Symmetric).await;
    let wait = rig.until_due().await.unwrap();
    rig.advance(wait).await;
    // The row is still sorted to "us": the adoption of regions brings it to nobody's region.
    write(&rig, "UPDATE tenantd.tenants SET region = ''").await;
    rig.work_once(&other).await;
    assert_eq!(of_row(&rig, "parked_reason").await.as_deref(), Some("HostNotAllowed"));
    write(&rig, "UPDATE tenantd.tenants SET labels = '{\"left\": true}'").await;
}

/// The list leaves out `clientSecrets`, or lags, once.
#[test]
fn r19_one_list_that_shows_no_secrets_takes_no_working_credential() {
    use tenantd::domain::drift::Drift;
    use tenantd::domain::hints::{Standing, StoredSecret};
    use tenantd::domain::ids::{ClientId, Hint, InstallationId, TenantId};
    use tenantd::domain::machine::effect::{Done, Effect};
    use tenantd::domain::machine::{SecretChange, after};
    use tenantd::domain::mark::Mark;
    use tenantd::domain::place::Hold;
    use tenantd::domain::tenant::{Due, Duty, State, Tenant};
    let (client, hint) = (ClientId::new("c"), Hint::new("h"));
    let tenant = Tenant {
        is_resting: false,
        state: State::Ready { client: client.clone(), duty: Duty::Audit },
        mark: Mark {
            installation: InstallationId(uuid::Uuid::from_u128(1)),
            tenant: TenantId(uuid::Uuid::from_u128(2)),
        },
        stored: vec![StoredSecret::new(Some(hint.clone()), Standing::Current)],
        snapshot: None,
        is_adopted: false,
        is_afresh: false,
        must_look: true,
        due: Due::default(),
        drift: vec![],
        gone: vec![],
        left: vec![],
        hold: Some(Hold::Deletions),
        rights: tenantd::domain::rights::MissingRights::default(),
        last_failure: None,
        failures: 0,
        without_progress: Duration::ZERO,
        refused_for: None,
        missing_for: None,
    };
    let drifts = vec![Drift::SecretMissing { hint, standing: Standing::Current }];
    let decision = after(tenant, &Effect::Audit(client), Done::Audited(drifts), &terms().policy).unwrap();
    assert!(
        !matches!(decision.secret, SecretChange::Lose { .. }),
        "the sealed text of the current secret is deleted at once, before another is proven: {:?}",
        decision.secret
    );
}
