//! `desired_state = 'absent'`, as far as this version goes: readers see nothing of
//! the tenant at once, workers stop at their next step, and back is back.

use tenantd::domain::effect::EffectKind;
use tenantd::domain::transition::Next;
use tenantd::ports::Clock;
use tenantd::simulator::{Behaviour, FaultPlan};

use crate::support::rig::Rig;

const ABSENT: &str = "UPDATE tenantd.tenants SET desired_state = 'absent'";
const PRESENT: &str = "UPDATE tenantd.tenants SET desired_state = 'present'";

async fn rig() -> Rig {
    Rig::new(Behaviour::default(), FaultPlan::none()).await
}

async fn write(rig: &Rig, statement: &'static str) {
    sqlx::query(statement).execute(rig.pool()).await.unwrap();
}

async fn credentials(rig: &Rig) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM tenantd.credentials").fetch_one(rig.pool()).await.unwrap()
}

/// Ready, reason, and whether anything is due.
async fn stand(rig: &Rig) -> (bool, Option<String>, bool) {
    sqlx::query_as("SELECT ready, reason, next_attempt_at IS NOT NULL FROM tenantd.status")
        .fetch_one(rig.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_of_a_tenant_desired_absent_is_hidden_at_once_and_back_when_it_is_back() {
    let rig = rig().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&rig.replica().await).await;
    assert_eq!((credentials(&rig).await, stand(&rig).await), (1, (true, None, false)));

    write(&rig, ABSENT).await;
    assert_eq!(
        (credentials(&rig).await, stand(&rig).await),
        (0, (false, Some("NotYetSupported".into()), false))
    );
    write(&rig, PRESENT).await;
    rig.work_until_quiet(&rig.replica().await).await;

    assert_eq!((credentials(&rig).await, stand(&rig).await), (1, (true, None, false)));
    assert_eq!(rig.world.at(rig.clock.now()).ledger().secrets_made, 1);
}

/// The owner changes its mind while the create is under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_at_the_next_step_and_what_it_made_is_not_forgotten() {
    let rig = rig().await;
    let host = rig.given_tenant("acme").await;
    let replica = rig.replica().await;
    sqlx::raw_sql(
        "CREATE FUNCTION tenantd_test.change_mind() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW.desired_state := 'absent'; RETURN NEW; END $$;
         CREATE TRIGGER change_mind BEFORE UPDATE ON tenantd.tenants
             FOR EACH ROW WHEN (NEW.phase = 'created' AND OLD.phase = 'creating')
             EXECUTE FUNCTION tenantd_test.change_mind()",
    )
    .execute(rig.pool())
    .await
    .unwrap();

    rig.work_once(&replica).await;

    let row: (String, Option<String>, bool, bool) =
        sqlx::query_as("SELECT phase, client_id, lease_holder IS NULL, due_at IS NULL FROM tenantd.tenants")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    let made = rig.world.at(rig.clock.now()).ledger().tenants[&host].clients[0].client_id.clone();
    assert_eq!(row, ("created".into(), Some(made), true, true));
    assert_eq!(stand(&rig).await, (false, Some("NotYetSupported".into()), false));
    write(&rig, PRESENT).await;
    rig.work_until_quiet(&replica).await;
    let ledger = rig.world.at(rig.clock.now()).ledger();
    assert_eq!((stand(&rig).await, ledger.live_clients, ledger.secrets_made), ((true, None, false), 1, 1));
}

/// The other way round: absent is committed between an act and its commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_tells_the_worker_what_the_owner_wants_now() {
    let rig = rig().await;
    rig.given_tenant("acme").await;
    let replica = rig.replica().await;
    let claimed = rig.claim(&replica).await.unwrap();
    let mut work = replica.admit(claimed).unwrap();
    let Next::Do(effect) = work.next() else { panic!("a new tenant is created") };
    assert_eq!(effect.kind(), EffectKind::Create);
    let acted = replica.act(&mut work, effect).await;
    let judged = replica.judge(&work, acted).unwrap();

    write(&rig, ABSENT).await;
    let desired = replica.commit(&mut work, &judged).await.unwrap();

    assert!(!desired.is_present);
    let sealed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenantd.secrets").fetch_one(rig.pool()).await.unwrap();
    assert_eq!(sealed, 1, "a secret that Qlik returned is kept, whatever is wanted now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_born_absent_is_left_alone() {
    let rig = rig().await;
    write(
        &rig,
        "INSERT INTO tenantd.tenants (external_id, host, desired_state) VALUES ('a', 'a.us.qlikcloud.com', 'absent')",
    )
    .await;

    rig.work_until_quiet(&rig.replica().await).await;

    assert_eq!(stand(&rig).await, (false, Some("NotYetSupported".into()), false));
    assert_eq!(rig.world.at(rig.clock.now()).ledger().calls.len(), 0);
}
