//! The secrets of a client: which are kept, which are deleted, and by what.

use tenantd::simulator::{Behaviour, Caller, ClientLedger, Endpoint, Fault, HintSpelling, Moment, OneOf};
use tenantd::vault::KeyKind;

use super::{assert_whole, begin, by_hand, ledger, rig, rig_with, row, step, stored, work_next};
use crate::support::rig::{Replica, Rig, terms};

async fn seal_only(rig: &Rig) -> Replica {
    rig.replica_with(terms(), KeyKind::P256).await
}

/// A client whose create was answered by nobody, still without a second secret.
async fn given_lost_client(rig: &Rig, replica: &Replica, name: &str) -> (String, String) {
    let host = rig.given_tenant(name).await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_after()]);
    assert!(work_next(rig, replica).await);
    let client = ledger(rig).tenants[&host].clients[0].client_id.clone();
    (host, client)
}

fn live_hints(rig: &Rig, host: &str) -> Vec<String> {
    let ledger = ledger(rig);
    ledger.live_clients_of(host).flat_map(ClientLedger::live_secrets).map(|s| s.hint.clone()).collect()
}

fn mint_by_hand(rig: &Rig, host: &str, client: &str, count: usize) {
    by_hand(rig, host, |moment: &mut Moment<'_>, caller: Caller<'_>| {
        for _ in 0..count {
            moment.mint_secret(caller, client).unwrap();
        }
    });
}

#[tokio::test]
async fn five_secrets_of_strangers_park_the_tenant_and_none_of_them_is_deleted() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let (host, client) = given_lost_client(&rig, &replica, "acme").await;
    // Found, and then in other hands.
    rig.world.script(&host, Endpoint::MintSecret, [Fault::status(503)]);
    while row(&rig, "acme").await.client_id.is_none() {
        assert!(work_next(&rig, &replica).await);
    }
    let ours = live_hints(&rig, &host).remove(0);
    by_hand(&rig, &host, |moment, caller| moment.delete_secret(caller, &client, &ours).unwrap());
    mint_by_hand(&rig, &host, &client, 5);
    let foreign = live_hints(&rig, &host);

    rig.work_until_quiet(&replica).await;
    let parked = row(&rig, "acme").await;
    assert_eq!(parked.parked_reason.as_deref(), Some("SecretSlotsFull"));
    assert!(parked.message.unwrap().contains("delete a secret"));
    assert_eq!(live_hints(&rig, &host), foreign);

    by_hand(&rig, &host, |moment, caller| moment.delete_secret(caller, &client, &foreign[2]).unwrap());
    assert!(replica.store.retry("acme").await.unwrap());
    rig.work_until_quiet(&replica).await;
    assert_eq!(row(&rig, "acme").await.phase, "ready");
    let (left, current) = (live_hints(&rig, &host), stored(&rig, "acme").await.remove(0));
    let kept = foreign.iter().filter(|hint| **hint != foreign[2]);
    assert_eq!(left, kept.cloned().chain(current.hint).collect::<Vec<_>>());
}

#[tokio::test]
async fn for_want_of_a_slot_an_adopted_client_gives_up_the_secret_that_nobody_knows() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let (host, client) = given_lost_client(&rig, &replica, "acme").await;
    let unknown = live_hints(&rig, &host).remove(0);
    mint_by_hand(&rig, &host, &client, 4);
    let foreign: Vec<_> = live_hints(&rig, &host).into_iter().filter(|hint| *hint != unknown).collect();

    rig.work_until_quiet(&replica).await;

    assert_eq!(row(&rig, "acme").await.phase, "ready");
    let left = live_hints(&rig, &host);
    assert!(foreign.iter().all(|hint| left.contains(hint)), "strangers' secrets stay: {left:?}");
    assert!(!left.contains(&unknown));
    assert_eq!(left.len(), 5);
}

#[tokio::test]
async fn a_conflict_at_a_mint_is_compared_and_tried_again() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let (host, _) = given_lost_client(&rig, &replica, "acme").await;
    rig.world.script(&host, Endpoint::MintSecret, [Fault::status(409), Fault::status(409)]);

    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).secrets_made, 2);
}

#[tokio::test]
async fn a_mint_that_landed_unheard_is_deleted_before_the_next() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let (host, _) = given_lost_client(&rig, &replica, "acme").await;
    let lost = [Fault::close_after(), Fault::status_after(503), Fault::hang_after(), Fault::close_before()];
    rig.world.script(&host, Endpoint::MintSecret, lost);

    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
    let ledger = ledger(&rig);
    assert_eq!(ledger.secrets_made, 1 + 3 + 1);
    assert!(ledger.most_secrets <= 3, "lost ones do not pile up: {}", ledger.most_secrets);
}

#[tokio::test]
async fn a_daemon_that_only_seals_takes_a_tenant_all_the_way() {
    let rig = rig().await;
    let replica = seal_only(&rig).await;
    rig.given_tenant("acme").await;

    rig.work_until_quiet(&replica).await;

    assert!(replica.vault.is_seal_only());
    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).secrets_made, 1);
}

#[tokio::test]
async fn a_daemon_that_only_seals_replaces_an_unproven_secret_that_it_takes_over() {
    for delete_last_secret in [true, false] {
        let rig = rig_with(Behaviour { delete_last_secret, ..Behaviour::default() }).await;
        let (first, heir) = (seal_only(&rig).await, seal_only(&rig).await);
        let host = rig.given_tenant("acme").await;
        rig.world.script(&host, Endpoint::SetConsent, [Fault::status(503)]);
        assert!(work_next(&rig, &first).await);
        assert_eq!(row(&rig, "acme").await.phase, "created");

        rig.work_until_quiet(&heir).await;

        assert_whole(&rig, &heir, "acme").await;
        let ledger = ledger(&rig);
        let secrets = &ledger.tenants[&host].clients[0].secrets;
        assert_eq!(secrets.len(), 2);
        assert!(secrets[0].deleted_at.is_some(), "the one it could not open is deleted by its hint");
    }
}

#[tokio::test]
async fn every_spelling_of_the_hint_ends_in_the_right_hint() {
    for spelling in [HintSpelling::TopLevel, HintSpelling::InList, HintSpelling::Both, HintSpelling::Neither]
    {
        let behaviour = || Behaviour { hint: OneOf::always(spelling), ..Behaviour::default() };
        let rig = rig_with(behaviour()).await;
        let replica = rig.replica().await;
        rig.given_tenant("made").await;
        rig.work_until_quiet(&replica).await;
        let reads = ledger(&rig).calls_of(Endpoint::GetClient, Some(200));
        given_lost_client(&rig, &replica, "adopted").await;
        rig.work_until_quiet(&replica).await;

        // Among other things: the stored hint is the one that Qlik shows.
        assert_whole(&rig, &replica, "made").await;
        assert_whole(&rig, &replica, "adopted").await;
        let expected = u64::from(spelling == HintSpelling::Neither);
        assert_eq!(reads, expected, "{spelling:?}: a hint that was told is not asked for");
    }
}

#[tokio::test]
async fn secrets_with_the_same_hint_are_never_deleted() {
    for spelling in [HintSpelling::Both, HintSpelling::Neither] {
        let hint = OneOf::always(spelling);
        let rig = rig_with(Behaviour { twin_hints: true, hint, ..Behaviour::default() }).await;
        let replica = rig.replica().await;
        let (host, _) = given_lost_client(&rig, &replica, "acme").await;

        rig.work_until_quiet(&replica).await;

        assert_eq!(row(&rig, "acme").await.phase, "ready", "{spelling:?}");
        assert_eq!(live_hints(&rig, &host).len(), 2, "{spelling:?}");
        assert!(!ledger(&rig).calls.keys().any(|call| call.starts_with("delete-secret")), "{spelling:?}");
    }
}

#[tokio::test]
async fn a_secret_that_an_admin_mints_meanwhile_is_never_taken_for_a_lost_one() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let (host, client) = given_lost_client(&rig, &replica, "acme").await;
    rig.world.script(&host, Endpoint::MintSecret, [Fault::close_before()]);
    let mut work = begin(&rig, &replica).await;
    while step(&replica, &mut work).await {}
    mint_by_hand(&rig, &host, &client, 1);

    rig.work_until_quiet(&replica).await;

    assert_eq!(row(&rig, "acme").await.phase, "ready");
    assert_eq!(live_hints(&rig, &host).len(), 2, "the administrator's and ours");
    let current = stored(&rig, "acme").await.remove(0).hint.unwrap();
    assert!(live_hints(&rig, &host).contains(&current));
}
