//! Versions: what is desired is its owner's alone, and no number is ever given twice.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantd::postgres::fleet::rollouts::{Limits, Rollout};
use tenantd::postgres::operator::rollback::{Rollback, Twice};

use super::given_ready;
use crate::support::postgres::test_db;
use crate::support::rig::{OVERLAP, Replica, Rig, SETTLE};

const ROTATE: &str =
    "UPDATE tenantd.tenants SET desired_version = desired_version + 1 RETURNING desired_version";
const EVERY: Duration = Duration::from_hours(24 * 90);

async fn ready() -> (Rig, Replica) {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    (rig, replica)
}

/// Lets the renewal for its age through; returns how many that were.
async fn age(rig: &Rig, replica: &Replica) -> u64 {
    rig.advance(EVERY).await;
    turn(replica).await
}

async fn turn(replica: &Replica) -> u64 {
    let limits = Limits {
        changes_per_hour: 100,
        canary: 5,
        max_failure_ratio: 0.2,
        give_up_after: Duration::from_hours(1),
    };
    replica.store.turn_rollout(Rollout::Rotation { every: EVERY }, &limits).await.unwrap().admitted
}

async fn renewed(rig: &Rig, replica: &Replica) {
    assert_eq!(age(rig, replica).await, 1);
    rig.work_until_quiet(replica).await;
}

async fn number(rig: &Rig, query: &str) -> Option<i32> {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(rig.pool()).await.unwrap()
}

/// The current version, and the desired one.
async fn versions(rig: &Rig) -> (Option<i32>, i32) {
    sqlx::query_as("SELECT current_version, desired_version FROM tenantd.tenants")
        .fetch_one(rig.pool())
        .await
        .unwrap()
}

/// Every change of `desired_version` is refused from now on.
async fn with_wants_guarded(rig: &Rig) {
    rig.write(
        "CREATE FUNCTION tenantd_test.refuse_want() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'a want was written'; END $$;
         CREATE TRIGGER zz_refuse_want BEFORE UPDATE ON tenantd.tenants
             FOR EACH ROW WHEN (NEW.desired_version IS DISTINCT FROM OLD.desired_version)
             EXECUTE FUNCTION tenantd_test.refuse_want()",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_daemon_nor_operator_writes_which_version_is_desired() {
    let (rig, replica) = ready().await;
    with_wants_guarded(&rig).await;

    renewed(&rig, &replica).await;
    assert_eq!(versions(&rig).await, (Some(2), 1));
    assert_eq!(age(&rig, &replica).await, 1);
    rig.work_once(&replica).await;
    assert_eq!(versions(&rig).await, (Some(3), 1));
    replica.store.roll_back("acme", OVERLAP, "ada", Twice::Allowed).await.unwrap();
    assert_eq!(versions(&rig).await, (Some(4), 1));
    rig.work_until_quiet(&replica).await;
    rig.write("UPDATE tenantd.tenants SET parked_reason = 'ClientMissing', message = 'm', due_at = NULL")
        .await;
    assert!(replica.store.recreate("acme", "ada").await.unwrap());
    rig.work_until_quiet(&replica).await;
    assert_eq!(versions(&rig).await, (Some(5), 1));
    replica.store.forget("acme", "gone", "ada").await.unwrap().unwrap();
    rig.write("UPDATE tenantd.tenants SET desired_state = 'present'").await;
    rig.work_until_quiet(&replica).await;

    assert_eq!(versions(&rig).await, (Some(6), 1), "a new life goes on behind all numbers");
    assert_eq!(number(&rig, "SELECT max(version) FROM tenantd.credentials").await, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_by_one_rotates_once_after_renewals_too_and_tells_the_number_that_comes() {
    let (rig, replica) = ready().await;
    renewed(&rig, &replica).await;
    renewed(&rig, &replica).await;
    assert_eq!(versions(&rig).await, (Some(3), 1));

    assert_eq!(number(&rig, ROTATE).await, Some(4));
    rig.work_until_quiet(&replica).await;
    assert_eq!(versions(&rig).await, (Some(4), 4));

    renewed(&rig, &replica).await;
    renewed(&rig, &replica).await;
    let lower = "UPDATE tenantd.tenants SET desired_version = 5 RETURNING desired_version";
    assert_eq!(number(&rig, lower).await, Some(7), "6 serves");
    assert_eq!(number(&rig, lower).await, Some(7), "a pipeline that says it again asks for nothing");
    rig.work_until_quiet(&replica).await;
    assert_eq!(versions(&rig).await, (Some(7), 7));
    assert_eq!(replica.store.rotate("acme").await.unwrap(), Some(8));
}

/// The renewal is proven when the owner asks: its secret may be what the owner wants to be rid of.
#[tokio::test(flavor = "multi_thread")]
async fn a_raise_that_a_renewal_has_not_heard_of_rotates_once_more() {
    let (rig, replica) = ready().await;
    assert_eq!(age(&rig, &replica).await, 1);
    let claimed = rig.claim(&replica).await.unwrap();
    let mut work = replica.admit(claimed).unwrap();
    loop {
        let tenantd::domain::machine::Next::Do(effect) = work.next() else { panic!("it is renewed") };
        let acted = replica.act(&mut work, effect).await;
        let judged = replica.judge(&work, acted).unwrap();
        if judged.record.version != Some(2) {
            replica.commit(&mut work, &judged).await.unwrap();
            continue;
        }
        assert_eq!(number(&rig, ROTATE).await, Some(2));
        replica.commit(&mut work, &judged).await.unwrap();
        break;
    }
    assert_eq!(versions(&rig).await, (Some(2), 2));
    rig.advance(crate::support::rig::LEASE).await;

    rig.work_until_quiet(&replica).await;

    assert_eq!(versions(&rig).await, (Some(3), 2));
}

/// A daemon of the version before claims what was let through, sees nothing to do, and has it rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_was_laid_aside_by_who_does_not_know_of_it_is_woken() {
    let (rig, replica) = ready().await;
    assert_eq!(age(&rig, &replica).await, 1);
    assert!(rig.until_due().await.unwrap().is_zero());
    rig.write("UPDATE tenantd.tenants SET due_at = NULL").await;

    assert_eq!(turn(&replica).await, 0, "it was let through already");

    assert!(rig.until_due().await.unwrap().is_zero());
    rig.work_until_quiet(&replica).await;
    assert_eq!(versions(&rig).await, (Some(2), 1));
    rig.write("UPDATE tenantd.tenants SET due_at = NULL").await;
    turn(&replica).await;
    assert_eq!(rig.until_due().await, None, "it is renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_let_through_is_let_through_once() {
    let (rig, replica) = ready().await;
    assert_eq!((age(&rig, &replica).await, turn(&replica).await), (1, 0));
    let turned = replica.store.roll_back("acme", OVERLAP, "ada", Twice::Allowed).await.unwrap();
    assert!(matches!(turned, Rollback::NoPrevious), "a first secret has none to go back to: {turned:?}");
    rig.work_until_quiet(&replica).await;
    assert_eq!(versions(&rig).await, (Some(2), 1));

    assert_eq!(turn(&replica).await, 0, "it is renewed");
    rig.work_until_quiet(&replica).await;

    assert_eq!(versions(&rig).await, (Some(2), 1));
    let taken = "SELECT count(*)::integer FROM tenantd.changes WHERE kind = 'rotation'";
    assert_eq!(number(&rig, taken).await, Some(1), "one place of the budget");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_row_is_gone_goes_on_behind_numbers_that_nobody_asked_for() {
    let (rig, replica) = ready().await;
    renewed(&rig, &replica).await;
    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    replica.store.admit_removals(None).await.unwrap();
    rig.work_once(&replica).await;
    rig.advance(SETTLE * 3).await;
    rig.work_until_quiet(&replica).await;
    assert_eq!(versions(&rig).await, (None, 1));

    rig.write("DELETE FROM tenantd.tenants").await;

    let known = "SELECT next_version FROM tenantd.former_tenants";
    assert_eq!(number(&rig, known).await, Some(3));
}

/// What the version before writes: it knows neither of the last number nor of the served one.
#[tokio::test]
async fn the_numbers_of_the_version_before_are_noted_for_it() {
    let db = test_db().await;
    given_ready(&db.pool, "acme").await;
    let promote = "UPDATE tenantd.tenants SET phase = 'ready', client_id = 'c', ready_at = tenantd.clock(),
                          current_version = greatest(desired_version, tenantd.version_after(current_version))";
    let shred = "UPDATE tenantd.tenants SET phase = 'removed', client_id = NULL, current_version = NULL, ready_at = NULL";
    let noted = async |statement: &str| -> (Option<i32>, Option<i32>, Option<i32>, i32) {
        db.write(statement.to_owned()).await;
        sqlx::query_as(
            "SELECT current_version, last_version, served_version, desired_version FROM tenantd.tenants",
        )
        .fetch_one(&db.pool)
        .await
        .unwrap()
    };

    assert_eq!(noted(promote).await, (Some(2), Some(2), Some(1), 1), "a secret was renewed");
    assert_eq!(noted("UPDATE tenantd.tenants SET desired_version = 2").await.3, 3);
    assert_eq!(noted(promote).await, (Some(3), Some(3), Some(3), 3), "its owner asked for it");
    assert_eq!(noted(promote).await, (Some(4), Some(4), Some(3), 3));
    assert_eq!(noted(shred).await, (None, Some(4), Some(3), 3));
    assert_eq!(noted(promote).await, (Some(5), Some(5), Some(3), 3), "3 was given before");

    // It had decided on 6 when its owner asked for 9: that is not served yet.
    db.write("UPDATE tenantd.tenants SET desired_version = 9").await;
    let earlier = "UPDATE tenantd.tenants SET current_version = 6";
    assert_eq!(noted(earlier).await, (Some(6), Some(6), Some(6), 9));

    // As a row of before this schema ends.
    db.write("UPDATE tenantd.tenants SET last_version = NULL, served_version = NULL").await;
    assert_eq!(noted(shred).await, (None, Some(6), None, 9));
}
