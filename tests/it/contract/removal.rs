//! `desired_state = 'absent'`: readers see nothing of the tenant at once, workers stop
//! at their next step, the removal waits for its budget, and back is back.

use tenantd::domain::machine::Next;
use tenantd::domain::machine::effect::EffectKind;
use tenantd::ports::Clock;
use tenantd::simulator::{Endpoint, Fault};

use crate::support::rig::{LEASE, Replica, Rig, SETTLE};
use crate::support::roles::Refused;

const ABSENT: &str = "UPDATE tenantd.tenants SET desired_state = 'absent'";
const PRESENT: &str = "UPDATE tenantd.tenants SET desired_state = 'present'";
/// What the budget does when it lets a removal through.
const ADMIT: &str =
    "UPDATE tenantd.tenants SET removal_admitted_at = tenantd.clock(), due_at = tenantd.clock()";

async fn count(rig: &Rig, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(rig.pool()).await.unwrap()
}

async fn credentials(rig: &Rig) -> i64 {
    count(rig, "SELECT count(*) FROM tenantd.credentials").await
}

/// Ready, reason, and whether anything is due.
async fn stand(rig: &Rig) -> (bool, Option<String>, bool) {
    sqlx::query_as("SELECT ready, reason, next_attempt_at IS NOT NULL FROM tenantd.status")
        .fetch_one(rig.pool())
        .await
        .unwrap()
}

fn waiting(reason: &str, is_due: bool) -> (bool, Option<String>, bool) {
    (false, Some(reason.to_owned()), is_due)
}

async fn phase(rig: &Rig) -> String {
    sqlx::query_scalar("SELECT phase FROM tenantd.tenants").fetch_one(rig.pool()).await.unwrap()
}

fn requests(rig: &Rig, host: &str) -> u64 {
    rig.world.at(rig.clock.now()).ledger().requests_to(host)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_of_a_tenant_desired_absent_is_hidden_at_once_and_back_when_it_is_back() {
    let rig = Rig::plain().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&rig.replica().await).await;
    assert_eq!((credentials(&rig).await, stand(&rig).await), (1, (true, None, false)));

    rig.write(ABSENT).await;
    assert_eq!((credentials(&rig).await, stand(&rig).await), (0, waiting("AwaitingBudget", false)));
    rig.write(PRESENT).await;
    rig.work_until_quiet(&rig.replica().await).await;

    assert_eq!((credentials(&rig).await, stand(&rig).await), (1, (true, None, false)));
    assert_eq!(rig.world.at(rig.clock.now()).ledger().secrets_made, 1);
}

/// The owner changes its mind while the create is under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_at_the_next_step_and_what_it_made_is_not_forgotten() {
    let rig = Rig::plain().await;
    let host = rig.given_tenant("acme").await;
    let replica = rig.replica().await;
    rig.write(
        "CREATE FUNCTION tenantd_test.change_mind() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW.desired_state := 'absent'; RETURN NEW; END $$;
         CREATE TRIGGER change_mind BEFORE UPDATE ON tenantd.tenants
             FOR EACH ROW WHEN (NEW.phase = 'created' AND OLD.phase = 'creating')
             EXECUTE FUNCTION tenantd_test.change_mind()",
    )
    .await;

    rig.work_once(&replica).await;

    let row: (String, Option<String>, bool) =
        sqlx::query_as("SELECT phase, client_id, lease_holder IS NULL FROM tenantd.tenants")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    let made = rig.world.at(rig.clock.now()).ledger().tenants[&host].clients[0].client_id.clone();
    assert_eq!(row, ("created".into(), Some(made), true));
    assert_eq!(stand(&rig).await, waiting("AwaitingBudget", false));
    rig.write(PRESENT).await;
    rig.work_until_quiet(&replica).await;
    let ledger = rig.world.at(rig.clock.now()).ledger();
    assert_eq!((stand(&rig).await, ledger.live_clients, ledger.secrets_made), ((true, None, false), 1, 1));
}

/// The other way round: absent is committed between an act and its commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_tells_the_worker_what_the_owner_wants_now() {
    let rig = Rig::plain().await;
    rig.given_tenant("acme").await;
    let replica = rig.replica().await;
    let claimed = rig.claim(&replica).await.unwrap();
    let mut work = replica.admit(claimed).unwrap();
    let Next::Do(effect) = work.next() else { panic!("a new tenant is created") };
    assert_eq!(effect.kind(), EffectKind::Create);
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();

    rig.write(ABSENT).await;
    let desired = replica.commit(&mut work, &judged).await.unwrap();

    assert!(!desired.is_current);
    let sealed = count(&rig, "SELECT count(*) FROM tenantd.secrets").await;
    assert_eq!(sealed, 1, "a secret that Qlik returned is kept, whatever is wanted now");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_sent_is_removed_at_once_without_a_word_to_qlik() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    for statement in [
        "INSERT INTO tenantd.tenants (external_id, host, desired_state) VALUES ('a', 'a.us.qlikcloud.com', 'absent')",
        "INSERT INTO tenantd.tenants (external_id, host) VALUES ('a', 'a.us.qlikcloud.com'); \
         UPDATE tenantd.tenants SET desired_state = 'absent'",
        "INSERT INTO tenantd.tenants (external_id, host) VALUES ('a', 'a.elsewhere.example'); \
         UPDATE tenantd.tenants SET parked_reason = 'HostNotAllowed', message = 'm', due_at = NULL; \
         UPDATE tenantd.tenants SET desired_state = 'absent'",
    ] {
        rig.write(statement).await;

        assert_eq!(stand(&rig).await, waiting("Removed", false), "{statement}");
        rig.work_until_quiet(&replica).await;
        assert_eq!(stand(&rig).await, waiting("Removed", false), "{statement}");
        assert_eq!(rig.world.at(rig.clock.now()).ledger().calls.len(), 0, "{statement}");
        rig.write("DELETE FROM tenantd.tenants").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_is_not_claimed_before_its_budget_lets_it_through() {
    let rig = Rig::plain().await;
    let host = ready(&rig).await;
    let replica = rig.replica().await;
    rig.write(ABSENT).await;
    let before = requests(&rig, &host);

    rig.work_once(&replica).await;
    assert_eq!((rig.until_due().await, requests(&rig, &host)), (None, before));
    rig.write(ADMIT).await;
    rig.work_until_quiet(&replica).await;

    assert_eq!((phase(&rig).await, stand(&rig).await), ("removed".into(), waiting("Removed", false)));
    assert!(requests(&rig, &host) > before);
}

async fn ready(rig: &Rig) -> String {
    let host = rig.given_tenant("acme").await;
    rig.work_until_quiet(&rig.replica().await).await;
    host
}

/// A pipeline that writes every row anew every night must not stop what was let through.
#[tokio::test(flavor = "multi_thread")]
async fn an_owners_edit_does_not_stop_a_removal_that_was_let_through() {
    let rig = Rig::plain().await;
    ready(&rig).await;
    rig.write(ABSENT).await;
    rig.write(ADMIT).await;

    rig.write("UPDATE tenantd.tenants SET labels = '{\"left\": true}', priority = 7, client_name = 'x'")
        .await;
    rig.work_until_quiet(&rig.replica().await).await;

    assert_eq!(phase(&rig).await, "removed");
}

/// The budget lets the removal through while a worker finds that the secret is gone.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_commits_does_not_stop_a_removal_that_was_let_through() {
    let rig = Rig::plain().await;
    let host = ready(&rig).await;
    let replica = rig.replica().await;
    let mut moment = rig.world.at(rig.clock.now());
    let client = moment.ledger().live_clients_of(&host).next().unwrap().clone();
    let hint = client.live_secrets().next().unwrap().hint.clone();
    moment.console(&host, "ada").unwrap().delete_secret(&client.client_id, &hint).unwrap();
    drop(moment);
    rig.write("UPDATE tenantd.tenants SET repair_scope = 'all', due_at = tenantd.clock()").await;
    let claimed = rig.claim(&replica).await.unwrap();
    let mut work = replica.admit(claimed).unwrap();
    let Next::Do(effect) = work.next() else { panic!("it is to be audited") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();

    rig.write(ABSENT).await;
    rig.write(ADMIT).await;
    let desired = replica.commit(&mut work, &judged).await.unwrap();

    assert!(!desired.is_current);
    rig.advance(LEASE).await;
    rig.work_until_quiet(&replica).await;
    assert_eq!(phase(&rig).await, "removed");
}

/// Back before the removal began: nothing was lost. After that it ends, and then starts anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_wanted_back_during_its_removal_is_removed_and_starts_anew() {
    let rig = Rig::plain().await;
    let host = ready(&rig).await;
    let replica = rig.replica().await;
    rig.write(ABSENT).await;
    rig.write(ADMIT).await;
    rig.world.script(&host, Endpoint::DeleteUser, [Fault::status(503)]);
    rig.work_once(&replica).await;
    assert_eq!((phase(&rig).await, stand(&rig).await), ("removing".into(), waiting("Retrying", true)));

    rig.write(PRESENT).await;
    assert!(!stand(&rig).await.0, "its client is gone");
    rig.work_until_quiet(&replica).await;

    assert_eq!(stand(&rig).await, (true, None, false));
    let ledger = rig.world.at(rig.clock.now()).ledger();
    assert_eq!((ledger.tenants[&host].clients.len(), ledger.live_clients, ledger.live_secrets), (2, 1, 1));
    assert_eq!(count(&rig, "SELECT current_version::bigint FROM tenantd.tenants").await, 2, "never twice");
}

/// Later than anybody expected one: after the recheck of its row, and after the removal.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_lands_after_the_removal_is_found_by_the_look_behind_it() {
    let rig = Rig::plain().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let lands = rig.clock.elapsed() + SETTLE * 6;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::late(SETTLE * 6)]);
    rig.work_until_quiet(&replica).await;
    rig.advance(lands.saturating_sub(LEASE + rig.clock.elapsed())).await;
    rig.write(ABSENT).await;
    rig.write(ADMIT).await;

    rig.work_once(&replica).await;
    let live = || rig.world.at(rig.clock.now()).ledger().live_clients_of(&host).count();
    assert_eq!((phase(&rig).await.as_str(), live()), ("removed", 0));
    rig.advance(LEASE).await;
    assert_eq!(live(), 1);
    rig.work_until_quiet(&replica).await;

    assert_eq!((phase(&rig).await.as_str(), live()), ("removed", 0));
}

/// What was removed may have come to life again: a new life looks before it creates.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_life_is_pending_and_looks_before_it_creates() {
    let rig = Rig::plain().await;
    let host = ready(&rig).await;
    let replica = rig.replica().await;
    rig.write(ABSENT).await;
    rig.write(ADMIT).await;
    rig.work_until_quiet(&replica).await;

    rig.write(PRESENT).await;
    let row: (String, bool, bool) =
        sqlx::query_as("SELECT phase, must_look, removal_admitted_at IS NULL FROM tenantd.tenants")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert_eq!((row, stand(&rig).await), (("pending".into(), true, true), waiting("Queued", true)));
    let claimed = rig.claim(&replica).await.unwrap();
    let work = replica.admit(claimed).unwrap();

    let Next::Do(effect) = work.next() else { panic!("there is something to do") };
    assert_eq!(effect.kind(), EffectKind::Look);
    rig.advance(SETTLE).await;
    rig.work_until_quiet(&replica).await;
    assert_eq!(stand(&rig).await, (true, None, false));
    assert_eq!(rig.world.at(rig.clock.now()).ledger().live_clients_of(&host).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_deleted_only_when_nothing_of_it_is_left_at_qlik() {
    let rig = Rig::plain().await;
    ready(&rig).await;
    let replica = rig.replica().await;
    let refused = async |rig: &Rig| {
        // Ended by hand: a row that is still locked would be passed by in the next claim.
        let mut transaction = rig.pool().begin().await.unwrap();
        let done = sqlx::query("DELETE FROM tenantd.tenants").execute(&mut *transaction).await;
        let refused = done.err().map(|error| Refused::from(&error).constraint.unwrap());
        transaction.rollback().await.unwrap();
        refused
    };
    let only_removed = Some("only_removed_tenants_are_deleted".to_owned());

    assert_eq!(refused(&rig).await, only_removed);
    rig.write(ABSENT).await;
    assert_eq!(refused(&rig).await, only_removed);
    rig.write(ADMIT).await;
    begin(&rig, &replica).await;
    assert_eq!((phase(&rig).await.as_str(), refused(&rig).await), ("removing", only_removed));
    rig.work_until_quiet(&replica).await;

    assert_eq!(refused(&rig).await, None);
    assert_eq!(count(&rig, "SELECT count(*) FROM tenantd.secrets").await, 0);
}

/// The first step of a removal, whose worker then dies.
async fn begin(rig: &Rig, replica: &Replica) {
    let claimed = rig.claim(replica).await.unwrap();
    let mut work = replica.admit(claimed).unwrap();
    let Next::Do(effect) = work.next() else { panic!("it is to be deleted") };
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();
    replica.commit(&mut work, &judged).await.unwrap();
}
