//! What operators ask for, as the engine then does it: another secret and the previous
//! one again, another client for one that somebody deleted, the end without Qlik.

use tenantd::postgres::operator::rollback::{Rollback, Twice, Versions};
use tenantd::simulator::Endpoint;

use super::{by_hand, host_of, ledger, rig, row, stored, work_due};
use crate::support::rig::{LEASE, OVERLAP, Replica, Rig};

/// Version, stage and sealed text as consumers see them, the highest version first.
async fn credentials(rig: &Rig) -> Vec<(i32, String, String)> {
    sqlx::query_as("SELECT version, stage, sealed FROM tenantd.credentials ORDER BY version DESC")
        .fetch_all(rig.pool())
        .await
        .unwrap()
}

/// `acme` is ready with version 2, and version 1 is its previous one.
async fn given_rotated(rig: &Rig) -> Replica {
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    assert_eq!(replica.store.rotate("acme").await.unwrap(), Some(2));
    work_due(rig, &replica).await;
    assert_eq!(row(rig, "acme").await.phase, "ready");
    replica
}

async fn roll_back(replica: &Replica) -> Rollback {
    replica.store.roll_back("acme", OVERLAP, "somebody", Twice::Allowed).await.unwrap()
}

#[tokio::test]
async fn a_rollback_promotes_the_previous_secret_under_the_next_version_and_keeps_the_other_for_the_overlap()
{
    let rig = rig().await;
    let replica = given_rotated(&rig).await;
    let before = credentials(&rig).await;

    let done = roll_back(&replica).await;

    let after = credentials(&rig).await;
    assert_eq!(done, Rollback::Done(Versions { promoted: 1, version: 3, replaced: 2 }));
    assert_eq!(
        before.iter().map(|c| (c.0, c.1.as_str())).collect::<Vec<_>>(),
        [(2, "current"), (1, "previous")]
    );
    assert_eq!(
        after.iter().map(|c| (c.0, c.1.as_str())).collect::<Vec<_>>(),
        [(3, "current"), (2, "previous")]
    );
    assert_eq!(
        (&after[0].2, &after[1].2),
        (&before[1].2, &before[0].2),
        "the sealed texts stay what they were"
    );
    let status = replica.store.status("acme").await.unwrap().unwrap();
    assert_eq!((status.ready, status.version, status.phase.as_str()), (true, Some(3), "ready"));
    work_due(&rig, &replica).await;
    assert_eq!(credentials(&rig).await, after, "nothing is to be rotated");

    rig.advance(OVERLAP).await;
    rig.work_until_quiet(&replica).await;
    let left = credentials(&rig).await;
    assert_eq!(left.iter().map(|c| c.0).collect::<Vec<_>>(), [3]);
    assert_eq!(ledger(&rig).live_clients_of(&host_of("acme")).next().unwrap().live_secrets().count(), 1);
}

#[tokio::test]
async fn a_rollback_is_written_down_and_told_to_those_who_listen() {
    let rig = rig().await;
    let replica = given_rotated(&rig).await;
    let mut events = sqlx::postgres::PgListener::connect(&rig.db.url).await.unwrap();
    events.listen("tenantd_events").await.unwrap();

    roll_back(&replica).await;

    let event: serde_json::Value = serde_json::from_str(events.recv().await.unwrap().payload()).unwrap();
    assert_eq!(
        event,
        serde_json::json!({ "external_id": "acme", "event": "ready", "phase": "ready", "reason": null })
    );
    let message: String =
        sqlx::query_scalar("SELECT message FROM tenantd.attempts WHERE effect = 'rollback'")
            .fetch_one(rig.pool())
            .await
            .unwrap();
    assert_eq!(message, "version 1 is current again as version 3, 2 the previous one; asked for by somebody");
}

#[tokio::test]
async fn a_rollback_may_be_rolled_back_and_a_rotation_goes_on_from_there() {
    let rig = rig().await;
    let replica = given_rotated(&rig).await;
    let before = credentials(&rig).await;

    roll_back(&replica).await;
    let again = roll_back(&replica).await;
    let rotated = replica.store.rotate("acme").await.unwrap();
    work_due(&rig, &replica).await;

    assert_eq!(again, Rollback::Done(Versions { promoted: 2, version: 4, replaced: 3 }));
    let after = credentials(&rig).await;
    assert_eq!((rotated, after[0].0), (Some(5), 5));
    assert_eq!((after[1].0, &after[1].2), (4, &before[0].2));
}

/// A run over many that was broken off is given again.
#[tokio::test]
async fn among_many_nobody_is_rolled_back_twice_until_there_is_a_newer_secret() {
    let rig = rig().await;
    let replica = given_rotated(&rig).await;
    let among_many =
        async || replica.store.roll_back("acme", OVERLAP, "somebody", Twice::Refused).await.unwrap();

    assert!(matches!(among_many().await, Rollback::Done(Versions { promoted: 1, .. })));
    let serving = credentials(&rig).await;
    assert_eq!(among_many().await, Rollback::Before);
    assert_eq!(credentials(&rig).await, serving);

    replica.store.rotate("acme").await.unwrap();
    work_due(&rig, &replica).await;
    assert!(matches!(among_many().await, Rollback::Done(Versions { promoted: 3, .. })));
}

#[tokio::test]
async fn a_rollback_is_refused_with_its_reason_and_changes_nothing() {
    let rig = rig().await;
    let replica = given_rotated(&rig).await;
    let before = credentials(&rig).await;

    let refusals = [
        // Somebody works on it.
        (
            "UPDATE tenantd.tenants SET lease_holder = gen_random_uuid(), leased_at = tenantd.clock(),
                    lease_expires_at = tenantd.clock() + interval '1 s'",
            "UPDATE tenantd.tenants SET lease_holder = NULL, leased_at = NULL, lease_expires_at = NULL",
            Rollback::Leased,
        ),
        (
            "UPDATE tenantd.tenants SET phase = 'proving', due_at = tenantd.clock()",
            "UPDATE tenantd.tenants SET phase = 'ready'",
            Rollback::NotReady("proving".to_owned()),
        ),
        // Its time is over, though nobody came to withdraw it.
        (
            "UPDATE tenantd.secrets SET retire_at = tenantd.clock() WHERE standing = 'previous'",
            "UPDATE tenantd.secrets SET retire_at = tenantd.clock() + interval '1 h' WHERE standing = 'previous'",
            Rollback::NoPrevious,
        ),
        (
            "UPDATE tenantd.secrets SET standing = 'discarded', version = NULL, proven_at = NULL WHERE standing = 'previous'",
            "UPDATE tenantd.secrets SET standing = 'previous', version = 1, proven_at = tenantd.clock()
              WHERE standing = 'discarded'",
            Rollback::NoPrevious,
        ),
        (
            "UPDATE tenantd.tenants SET desired_state = 'absent'",
            "UPDATE tenantd.tenants SET desired_state = 'present'",
            Rollback::Unwanted,
        ),
    ];
    for (given, undo, expected) in refusals {
        rig.write(given).await;
        assert_eq!(roll_back(&replica).await, expected, "{given}");
        rig.write(undo).await;
    }

    assert_eq!(credentials(&rig).await, before);
    assert_eq!(
        replica.store.roll_back("nobody", OVERLAP, "x", Twice::Allowed).await.unwrap(),
        Rollback::Unknown
    );
}

#[tokio::test]
async fn a_rollback_fences_out_whoever_let_its_lease_run_out() {
    let rig = rig().await;
    let replica = given_rotated(&rig).await;
    rig.write("UPDATE tenantd.tenants SET due_at = tenantd.clock()").await;
    let claimed = rig.claim(&replica).await.unwrap();
    rig.advance(LEASE).await;

    let done = roll_back(&replica).await;

    assert!(matches!(done, Rollback::Done(_)), "{done:?}");
    assert!(replica.store.give_back(claimed.tenant_id, claimed.fence).await.is_err(), "the epoch is another");
}

#[tokio::test]
async fn a_missing_client_is_made_again_only_when_asked_for_and_under_the_next_version() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let first = row(&rig, "acme").await.client_id.unwrap();
    by_hand(&rig, &host, |moment, caller| moment.delete_client(caller, &first, Some(&first)).unwrap());
    assert!(!replica.store.recreate("acme", "x").await.unwrap(), "it is not parked");
    rig.write(
        "UPDATE tenantd.tenants SET parked_reason = 'GaveUp', message = 'another reason', due_at = NULL",
    )
    .await;
    assert!(!replica.store.recreate("acme", "x").await.unwrap(), "it is parked for another reason");
    rig.write("UPDATE tenantd.tenants SET parked_reason = 'ClientMissing'").await;
    let looks = ledger(&rig).calls_of(Endpoint::ListClients, Some(200));

    assert!(replica.store.recreate("acme", "somebody").await.unwrap());

    assert!(stored(&rig, "acme").await.is_empty() && credentials(&rig).await.is_empty());
    let claimed = rig.claim(&replica).await.unwrap();
    super::work(&rig, &replica, claimed).await;
    rig.work_until_quiet(&replica).await;
    let second = row(&rig, "acme").await;
    assert_eq!(second.phase, "ready");
    assert_ne!(second.client_id, Some(first));
    assert!(ledger(&rig).calls_of(Endpoint::ListClients, Some(200)) > looks, "a look comes first");
    assert_eq!(credentials(&rig).await[0].0, 2, "numbers never go back");
    assert_eq!(ledger(&rig).live_clients_of(&host).count(), 1);
}

#[tokio::test]
async fn what_a_client_deleted_by_hand_left_behind_goes_with_the_removal_of_its_successors() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let mut clients = Vec::new();
    for round in 0..3 {
        if round > 0 {
            assert!(replica.store.recreate("acme", "somebody").await.unwrap());
        }
        rig.work_until_quiet(&replica).await;
        let client = row(&rig, "acme").await.client_id.unwrap();
        if round < 2 {
            by_hand(&rig, &host, |moment, caller| {
                moment.delete_client(caller, &client, Some(&client)).unwrap();
            });
            let missing = "UPDATE tenantd.tenants SET parked_reason = 'ClientMissing', message = 'it is gone', due_at = NULL";
            rig.write(missing).await;
        }
        clients.push(client);
    }
    let has_bot = |client: &String| ledger(&rig).tenants[&host].has_bot_of(client);
    assert!(clients.iter().all(has_bot), "Qlik keeps them");
    let tokens = || ledger(&rig).tenants[&host].tokens;
    let before = tokens();

    rig.write("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    rig.write("UPDATE tenantd.tenants SET removal_admitted_at = tenantd.clock(), due_at = tenantd.clock()")
        .await;
    rig.work_until_quiet(&replica).await;

    assert_eq!(row(&rig, "acme").await.phase, "removed");
    assert!(!clients.iter().any(has_bot), "{:?}", ledger(&rig).tenants[&host].bots);
    assert_eq!(tokens(), before - clients.len(), "the region's own stay");
    let left: Vec<String> = sqlx::query_scalar("SELECT unnest(left_clients) FROM tenantd.tenants")
        .fetch_all(rig.pool())
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_client_that_is_there_after_all_is_adopted_and_not_made_again() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let first = row(&rig, "acme").await.client_id;
    rig.write(
        "UPDATE tenantd.tenants SET parked_reason = 'ClientMissing', message = 'it is gone', due_at = NULL",
    )
    .await;

    assert!(replica.store.recreate("acme", "somebody").await.unwrap());
    rig.work_until_quiet(&replica).await;

    let second = row(&rig, "acme").await;
    assert_eq!((second.phase.as_str(), second.client_id), ("ready", first));
    assert_eq!(ledger(&rig).tenants[&host].clients.len(), 1);
}

#[tokio::test]
async fn a_tenant_is_forgotten_from_any_phase_and_its_holder_writes_nothing_more() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let claimed = rig.claim(&replica).await.unwrap();

    let forgotten = replica.store.forget("acme", "the host is gone", "somebody").await.unwrap().unwrap();

    assert!(forgotten.is_create_unknown && forgotten.client_id.is_none(), "{forgotten:?}");
    super::work(&rig, &replica, claimed).await;
    let ended = row(&rig, "acme").await;
    assert_eq!((ended.phase.as_str(), ended.client_id, ended.is_held), ("removed", None, false));
    assert_eq!(ended.message.as_deref(), Some("forgotten: the host is gone"));
}

#[tokio::test]
async fn what_is_forgotten_keeps_nothing_and_may_begin_a_new_life_that_looks_first() {
    let rig = rig().await;
    let replica = given_rotated(&rig).await;
    let client = row(&rig, "acme").await.client_id;

    let forgotten = replica.store.forget("acme", "the host is gone", "somebody").await.unwrap().unwrap();
    let again = replica.store.forget("acme", "still gone", "somebody").await.unwrap().unwrap();

    assert_eq!((forgotten.client_id.as_ref(), forgotten.secrets), (client.as_ref(), 2));
    assert_eq!((again.client_id, again.secrets, again.is_create_unknown), (None, 0, false));
    let calls = ledger(&rig).calls.len();
    rig.work_until_quiet(&replica).await;
    assert_eq!((credentials(&rig).await.len(), ledger(&rig).calls.len()), (0, calls), "Qlik is not asked");
    let messages: Vec<String> = sqlx::query_scalar(
        "SELECT message FROM tenantd.attempts WHERE effect = 'forget' ORDER BY attempt_id",
    )
    .fetch_all(rig.pool())
    .await
    .unwrap();
    assert_eq!(
        messages[0],
        format!("the host is gone; its client: {}; asked for by somebody", client.clone().unwrap())
    );

    rig.write("UPDATE tenantd.tenants SET desired_state = 'present'").await;
    rig.work_until_quiet(&replica).await;
    let alive = row(&rig, "acme").await;
    assert_eq!((alive.phase.as_str(), alive.client_id), ("ready", client), "it is found by its mark");
    assert_eq!(credentials(&rig).await[0].0, 3, "numbers never go back");
}
