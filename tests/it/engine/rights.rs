//! The region's OAuth client gets its token, and may not do what has to be done.

use std::time::Duration;

use tenantd::engine::breaker::PROBE_EVERY;
use tenantd::simulator::{Endpoint, Fault, FaultPlan};
use tenantd::vault::KeyKind;

use super::{assert_whole, host_of, ledger, rig, row, work_due, work_next};
use crate::support::rig::{Replica, Rig, SUFFIX, terms};

const DAY: Duration = Duration::from_hours(24);

/// What the database knows of missing rights, by effect.
async fn missing(replica: &Replica) -> Vec<(String, i64)> {
    let rights = replica.store.missing_rights().await.unwrap();
    rights.into_iter().map(|right| (right.effect, right.waiting)).collect()
}

/// A replica that gives up after a quarter of an hour.
async fn impatient(rig: &Rig) -> Replica {
    let mut terms = terms();
    terms.policy.give_up_after = Duration::from_mins(15);
    rig.replica_with(terms, KeyKind::Symmetric).await
}

/// Lets time pass as a daemon does: asks for rights, and works on what is due.
async fn pass(rig: &Rig, replica: &Replica, rounds: u32, step: Duration) {
    for _ in 0..rounds {
        replica.ask_for_rights().await.unwrap();
        while work_due(rig, replica).await > 0 {}
        rig.advance(step).await;
    }
}

/// The same until nothing is due within the next step.
async fn settle(rig: &Rig, replica: &Replica) {
    pass(rig, replica, 20, PROBE_EVERY).await;
}

async fn given_tenants(rig: &Rig, names: &[&str]) {
    for name in names {
        rig.given_tenant(name).await;
    }
}

async fn want(rig: &Rig, what: &'static str) {
    sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE tenantd.tenants SET {what}")))
        .execute(rig.pool())
        .await
        .unwrap();
}

/// How often the call was answered 403.
fn refusals(rig: &Rig, call: Endpoint) -> u64 {
    ledger(rig).calls_of(call, Some(403))
}

async fn assert_nobody_spent_anything(rig: &Rig, replica: &Replica, names: &[&str], effect: &str) {
    for name in names {
        let row = row(rig, name).await;
        assert_eq!((row.parked_reason.as_deref(), row.failures), (None, 0), "{name}: {row:?}");
        assert_eq!(row.wait_reason.as_deref(), Some("RightMissing"), "{name}, {effect}: {row:?}");
        let status = replica.store.status(name).await.unwrap().unwrap();
        let message = row.message.unwrap();
        assert!(message.starts_with(&format!("{effect}: ")) && message.contains("(status 403"), "{message}");
        assert!(status.ready || status.reason.as_deref() == Some("RightMissing"), "{status:?}");
    }
}

#[tokio::test]
async fn a_right_to_create_that_the_region_lacks_is_one_condition_and_is_mended_without_a_word() {
    let rig = rig().await;
    let replica = impatient(&rig).await;
    let names = ["one", "two", "three", "four", "five"];
    rig.world.withhold(SUFFIX, [Endpoint::CreateClient]);
    given_tenants(&rig, &names).await;

    settle(&rig, &replica).await;
    let known = missing(&replica).await;
    let before = refusals(&rig, Endpoint::CreateClient);
    // Far longer than a tenant may be without progress.
    pass(&rig, &replica, 60, PROBE_EVERY).await;
    let asked = refusals(&rig, Endpoint::CreateClient) - before;

    assert_eq!(known, [("create".to_owned(), 5)]);
    assert_nobody_spent_anything(&rig, &replica, &names, "create").await;
    assert!((30..=60).contains(&asked), "one tenant at a time asks, once in a turn: {asked}");
    rig.world.grant(SUFFIX, [Endpoint::CreateClient]);
    settle(&rig, &replica).await;
    for name in names {
        assert_whole(&rig, &replica, name).await;
    }
    assert_eq!(missing(&replica).await, []);
    assert_eq!(ledger(&rig).calls_of(Endpoint::CreateClient, Some(201)), 5);
}

#[tokio::test]
async fn who_comes_to_a_missing_right_waits_without_a_request() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.world.withhold(SUFFIX, [Endpoint::CreateClient]);
    given_tenants(&rig, &["one", "two", "three"]).await;
    while work_due(&rig, &replica).await > 0 {}
    let sent = ledger(&rig).calls_of(Endpoint::CreateClient, None);

    given_tenants(&rig, &["four", "five"]).await;
    assert_eq!(work_due(&rig, &replica).await, 2);

    assert_eq!(ledger(&rig).calls_of(Endpoint::CreateClient, None), sent);
    assert_nobody_spent_anything(&rig, &replica, &["four", "five"], "create").await;
}

#[tokio::test]
async fn a_tenant_that_alone_refuses_stops_nobody_and_is_parked_with_the_refusal_in_words() {
    let rig = rig().await;
    let replica = impatient(&rig).await;
    given_tenants(&rig, &["served-1", "served-2", "served-3", "refusing"]).await;
    rig.world.withhold(&host_of("refusing"), [Endpoint::CreateClient]);

    settle(&rig, &replica).await;
    let waits = row(&rig, "refusing").await;
    pass(&rig, &replica, 60, PROBE_EVERY).await;

    assert_eq!(waits.wait_reason.as_deref(), Some("RightMissing"));
    assert!(waits.message.unwrap().contains("create: the tenant forbids this (status 403"));
    for name in ["served-1", "served-2", "served-3"] {
        assert_whole(&rig, &replica, name).await;
    }
    assert_eq!(missing(&replica).await, []);
    let parked = row(&rig, "refusing").await;
    assert_eq!(parked.parked_reason.as_deref(), Some("GaveUp"));
    let message = parked.message.unwrap();
    assert!(message.contains("the tenant forbids this (status 403"), "{message}");
    assert!(!message.contains("tried again by itself"), "{message}");
}

#[tokio::test]
async fn several_that_refuse_while_others_are_served_are_no_condition_of_the_region() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let refusing = ["bad-1", "bad-2", "bad-3", "bad-4"];
    for name in refusing {
        rig.world.withhold(&host_of(name), [Endpoint::CreateClient]);
    }
    let mut conditions = 0;
    for (round, name) in refusing.into_iter().enumerate() {
        rig.given_tenant(name).await;
        pass(&rig, &replica, 2, PROBE_EVERY).await;
        rig.given_tenant(&format!("good-{round}")).await;
        pass(&rig, &replica, 4, PROBE_EVERY).await;
        assert_whole(&rig, &replica, &format!("good-{round}")).await;
        // The first is alone in its region until another comes.
        conditions += usize::from(round > 0 && !missing(&replica).await.is_empty());
    }

    settle(&rig, &replica).await;

    assert_eq!((conditions, missing(&replica).await), (0, vec![]));
    assert_eq!(row(&rig, "bad-4").await.wait_reason.as_deref(), Some("RightMissing"));
}

#[tokio::test]
async fn a_tenant_alone_in_its_region_speaks_for_it() {
    let rig = rig().await;
    let replica = impatient(&rig).await;
    rig.world.withhold(SUFFIX, [Endpoint::SetConsent]);
    rig.given_tenant("alone").await;

    settle(&rig, &replica).await;
    pass(&rig, &replica, 60, PROBE_EVERY).await;

    assert_eq!(missing(&replica).await, [("trust".to_owned(), 1)]);
    assert_nobody_spent_anything(&rig, &replica, &["alone"], "trust").await;
    rig.world.grant(SUFFIX, [Endpoint::SetConsent]);
    settle(&rig, &replica).await;
    assert_whole(&rig, &replica, "alone").await;
}

#[tokio::test]
async fn who_was_parked_before_it_was_known_goes_on_with_the_others() {
    let rig = rig().await;
    let replica = impatient(&rig).await;
    given_tenants(&rig, &["ready-1", "ready-2", "ready-3"]).await;
    settle(&rig, &replica).await;
    rig.world.withhold(SUFFIX, [Endpoint::CreateClient]);
    rig.given_tenant("first").await;
    pass(&rig, &replica, 60, PROBE_EVERY).await;
    assert_eq!(row(&rig, "first").await.parked_reason.as_deref(), Some("GaveUp"), "one among four");

    given_tenants(&rig, &["second", "third"]).await;
    settle(&rig, &replica).await;

    assert_eq!(missing(&replica).await, [("create".to_owned(), 3)]);
    assert_nobody_spent_anything(&rig, &replica, &["first", "second", "third"], "create").await;
    rig.world.grant(SUFFIX, [Endpoint::CreateClient]);
    settle(&rig, &replica).await;
    for name in ["first", "second", "third"] {
        assert_whole(&rig, &replica, name).await;
    }
}

/// Each right that is needed on the way to ready, in a rotation, at an audit and in a removal.
#[tokio::test]
async fn every_right_is_known_to_be_missing_and_comes_back_by_itself() {
    let names = ["one", "two", "three"];
    for (calls, wanted, effect) in [
        (vec![Endpoint::GetClient], "desired_version = 2", "compare"),
        (vec![Endpoint::Me], "desired_version = 2", "compare"),
        (vec![Endpoint::MintSecret], "desired_version = 2", "mint"),
        (vec![Endpoint::ListClients], "audit_at = tenantd.clock(), due_at = tenantd.clock()", "audit"),
        (vec![Endpoint::DeleteClient], "desired_state = 'absent'", "delete"),
        (vec![Endpoint::ListUsers], "desired_state = 'absent'", "revoke"),
        (vec![Endpoint::ListTokens], "desired_state = 'absent'", "revoke"),
        (vec![Endpoint::DeleteToken], "desired_state = 'absent'", "revoke"),
        (vec![Endpoint::DeleteUser], "desired_state = 'absent'", "delete_bot"),
    ] {
        let rig = rig().await;
        let replica = impatient(&rig).await;
        given_tenants(&rig, &names).await;
        settle(&rig, &replica).await;
        rig.world.withhold(SUFFIX, calls.clone());
        want(&rig, wanted).await;
        replica.admit_removals().await.unwrap();

        pass(&rig, &replica, 60, Duration::from_mins(1)).await;
        let known = missing(&replica).await;
        assert_nobody_spent_anything(&rig, &replica, &names, effect).await;
        // Longer than it is patient, and shorter than a token lives.
        rig.advance(Duration::from_hours(3)).await;
        pass(&rig, &replica, 5, PROBE_EVERY).await;
        assert_nobody_spent_anything(&rig, &replica, &names, effect).await;
        rig.world.grant(SUFFIX, calls.clone());
        settle(&rig, &replica).await;

        assert_eq!(known, [(effect.to_owned(), 3)], "{calls:?}");
        assert_eq!(missing(&replica).await, [], "{calls:?}");
        for name in names {
            let row = row(&rig, name).await;
            assert_eq!((row.wait_reason, row.parked_reason), (None, None), "{calls:?}: {name}");
            assert!(row.phase == "ready" || row.phase == "removed", "{calls:?}: {name} is {}", row.phase);
        }
    }
}

#[tokio::test]
async fn what_the_region_may_do_goes_on_while_it_lacks_another_right() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_tenants(&rig, &["ready-1", "ready-2"]).await;
    settle(&rig, &replica).await;
    rig.world.withhold(SUFFIX, [Endpoint::CreateClient]);
    given_tenants(&rig, &["new-1", "new-2", "new-3"]).await;
    settle(&rig, &replica).await;

    want(&rig, "desired_version = 2 WHERE external_id LIKE 'ready-%'").await;
    pass(&rig, &replica, 2, PROBE_EVERY).await;

    assert_eq!(missing(&replica).await, [("create".to_owned(), 3)]);
    let version: Vec<Option<i32>> =
        sqlx::query_scalar("SELECT current_version FROM tenantd.tenants WHERE external_id LIKE 'ready-%'")
            .fetch_all(rig.pool())
            .await
            .unwrap();
    assert_eq!(version, [Some(2), Some(2)]);
}

#[tokio::test]
async fn replicas_share_the_turn_and_what_they_were_granted() {
    let rig = rig().await;
    let (first, second) = (rig.replica().await, rig.replica().await);
    rig.world.withhold(SUFFIX, [Endpoint::CreateClient]);
    given_tenants(&rig, &["one", "two", "three"]).await;
    settle(&rig, &first).await;
    let before = refusals(&rig, Endpoint::CreateClient);

    for _ in 0..10 {
        rig.advance(PROBE_EVERY).await;
        let (one, two) = tokio::join!(first.ask_for_rights(), second.ask_for_rights());
        one.unwrap();
        two.unwrap();
        while work_due(&rig, &first).await + work_due(&rig, &second).await > 0 {}
    }
    let asked = refusals(&rig, Endpoint::CreateClient) - before;
    rig.world.grant(SUFFIX, [Endpoint::CreateClient]);
    settle(&rig, &second).await;

    assert_eq!(asked, 10);
    for name in ["one", "two", "three"] {
        assert_whole(&rig, &first, name).await;
    }
}

#[tokio::test]
async fn a_right_that_nobody_needs_any_more_is_not_called_missing() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.world.withhold(SUFFIX, [Endpoint::CreateClient]);
    given_tenants(&rig, &["one", "two", "three"]).await;
    settle(&rig, &replica).await;
    assert_eq!(missing(&replica).await.len(), 1);

    want(&rig, "desired_state = 'absent'").await;
    replica.admit_removals().await.unwrap();
    settle(&rig, &replica).await;

    assert_eq!(missing(&replica).await, []);
    assert_eq!(row(&rig, "one").await.phase, "removed");
}

/// A token without the scope: the credential is good, and the API accepts nothing.
#[tokio::test]
async fn a_token_that_no_call_accepts_is_a_missing_right_and_no_refused_credential() {
    let rig = rig().await;
    let replica = impatient(&rig).await;
    let plan = FaultPlan::none().with_share(Endpoint::CreateClient, 1.0, Fault::status(401));
    rig.world.plan_faults(|faults| *faults = plan);
    given_tenants(&rig, &["one", "two", "three"]).await;

    settle(&rig, &replica).await;
    rig.advance(2 * DAY).await;
    pass(&rig, &replica, 5, PROBE_EVERY).await;

    assert_eq!(missing(&replica).await, [("create".to_owned(), 3)]);
    assert!(replica.store.breakers().await.unwrap().iter().all(|breaker| breaker.open_for.is_none()));
    let waiting = row(&rig, "one").await;
    assert!(waiting.message.unwrap().contains("does not accept the token that it gave (status 401"));
    rig.world.plan_faults(|faults| *faults = FaultPlan::none());
    settle(&rig, &replica).await;
    for name in ["one", "two", "three"] {
        assert_whole(&rig, &replica, name).await;
    }
    assert!(!work_next(&rig, &replica).await);
}

#[tokio::test]
async fn who_was_under_way_when_it_became_known_is_not_parked_for_it() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.world.withhold(SUFFIX, [Endpoint::CreateClient]);
    rig.given_tenant("under-way").await;
    let mut claimed = rig.claim(&replica).await.unwrap();
    claimed.tenant.without_progress = 2 * DAY;
    given_tenants(&rig, &["one", "two", "three"]).await;
    while work_due(&rig, &replica).await > 0 {}
    assert_eq!(missing(&replica).await.len(), 1);

    rig.work_on(&replica, claimed).await;
    while work_due(&rig, &replica).await > 0 {}

    assert_nobody_spent_anything(&rig, &replica, &["under-way"], "create").await;
}
