//! Which clients are ours, which are not, and what becomes of each.

use std::time::Duration;

use tenantd::domain::ids::{InstallationId, TenantId};
use tenantd::domain::mark::Mark;
use tenantd::ports::Clock;
use tenantd::simulator::{Behaviour, Draft, Endpoint, Fault};
use uuid::Uuid;

use super::{assert_whole, begin, by_hand, ledger, rig, rig_with, row, step, work_next};
use crate::support::rig::{Replica, Rig, SETTLE};

/// A client that somebody else makes, with this name and description.
fn given_stranger(rig: &Rig, host: &str, name: &str, description: &str) -> String {
    let draft = Draft {
        app_type: "web".into(),
        client_name: name.into(),
        description: description.into(),
        ..Draft::default()
    };
    by_hand(rig, host, |moment, caller| moment.create_client(caller, draft, false).unwrap().client_id)
}

/// The client stands as somebody else made it.
fn assert_untouched(rig: &Rig, host: &str, id: &str) {
    let ledger = ledger(rig);
    let client = ledger.live_clients_of(host).find(|client| client.client_id == id);
    let client = client.unwrap_or_else(|| panic!("{id} was deleted"));
    assert!(!client.is_trusted, "{id} was trusted");
    assert_eq!((client.secrets.len(), client.live_secrets().count()), (1, 1), "{id}: secrets");
}

async fn mark_of(rig: &Rig, replica: &Replica, name: &str) -> Mark {
    let tenant = TenantId(row(rig, name).await.tenant_id);
    Mark { installation: replica.store.installation(), tenant }
}

#[tokio::test]
async fn a_client_deleted_by_hand_is_lag_for_ten_minutes_then_parked_and_never_made_again() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, [Fault::status(503)]);
    assert!(work_next(&rig, &replica).await);
    let client = row(&rig, "acme").await.client_id.unwrap();
    by_hand(&rig, &host, |moment, caller| moment.delete_client(caller, &client, Some(&client)).unwrap());
    assert!(work_next(&rig, &replica).await);
    let first_missed = rig.clock.elapsed();

    while row(&rig, "acme").await.parked_reason.is_none() {
        assert_eq!(row(&rig, "acme").await.wait_reason.as_deref(), Some("Retrying"));
        assert!(work_next(&rig, &replica).await);
    }

    let parked = row(&rig, "acme").await;
    let waited = rig.clock.elapsed().saturating_sub(first_missed);
    assert_eq!(parked.parked_reason.as_deref(), Some("ClientMissing"));
    assert!(parked.message.unwrap().contains("tenantd tenant retry"));
    assert!((Duration::from_mins(10)..Duration::from_mins(12)).contains(&waited), "{waited:?}");
    assert_eq!(parked.client_id, Some(client));
    assert_eq!(ledger(&rig).tenants[&host].clients.len(), 1, "nothing is recreated");
}

#[tokio::test]
async fn a_client_that_is_only_not_to_be_seen_yet_is_waited_for() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::SetConsent, std::iter::repeat_n(Fault::status(404), 5));

    rig.work_until_quiet(&replica).await;

    assert_whole(&rig, &replica, "acme").await;
}

#[tokio::test]
async fn our_own_lost_client_that_holds_the_name_is_adopted() {
    let rig = rig_with(Behaviour { unique_names: true, ..Behaviour::default() }).await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::late(SETTLE + Duration::from_secs(10))]);
    assert!(work_next(&rig, &replica).await);

    // It lands between the look that does not find it and the next create.
    let mut work = begin(&rig, &replica).await;
    assert!(step(&replica, &mut work).await);
    rig.advance(Duration::from_secs(20)).await;
    while step(&replica, &mut work).await {}

    assert_whole(&rig, &replica, "acme").await;
    assert_eq!(ledger(&rig).calls_of(Endpoint::CreateClient, Some(409)), 1);
    assert_eq!(ledger(&rig).tenants[&host].clients.len(), 1);
}

#[tokio::test]
async fn a_name_that_a_stranger_has_parks_the_tenant_until_it_gets_another() {
    let rig = rig_with(Behaviour { unique_names: true, ..Behaviour::default() }).await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let stranger = given_stranger(&rig, &host, "portal", "made by hand");

    rig.work_until_quiet(&replica).await;
    let parked = row(&rig, "acme").await;
    assert_untouched(&rig, &host, &stranger);
    sqlx::query("UPDATE tenantd.tenants SET client_name = 'portal of acme'")
        .execute(rig.pool())
        .await
        .unwrap();
    assert!(replica.store.retry("acme").await.unwrap());
    rig.work_until_quiet(&replica).await;

    assert_eq!(parked.parked_reason.as_deref(), Some("NameTaken"));
    assert!(parked.message.unwrap().contains("client_name"), "the message says what to change");
    assert_untouched(&rig, &host, &stranger);
    assert_eq!(row(&rig, "acme").await.phase, "ready");
}

#[tokio::test]
async fn the_client_of_an_earlier_row_parks_the_tenant_and_is_named() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let earlier = TenantId(Uuid::from_u128(42));
    let mark = Mark { tenant: earlier, ..mark_of(&rig, &replica, "acme").await };
    let left = given_stranger(&rig, &host, "portal", &format!("edited by an admin {mark} twice"));
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_before()]);

    rig.work_until_quiet(&replica).await;

    let parked = row(&rig, "acme").await;
    assert_eq!(parked.parked_reason.as_deref(), Some("EarlierClientFound"));
    let message = parked.message.unwrap();
    assert!(message.contains(&earlier.to_string()) && message.contains("tenantd tenant retry"), "{message}");
    assert_untouched(&rig, &host, &left);

    by_hand(&rig, &host, |moment, caller| moment.delete_client(caller, &left, Some(&left)).unwrap());
    assert!(replica.store.retry("acme").await.unwrap());
    rig.work_until_quiet(&replica).await;
    assert_whole(&rig, &replica, "acme").await;
}

#[tokio::test]
async fn what_bears_no_mark_of_ours_is_never_touched() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    let ours = mark_of(&rig, &replica, "acme").await;
    let other_installation = Mark { installation: InstallationId(Uuid::from_u128(9)), ..ours };
    let strangers = [
        given_stranger(&rig, &host, "portal", "Made by tenantd."),
        given_stranger(&rig, &host, "portal", &other_installation.to_string()),
        given_stranger(&rig, &host, "portal", &ours.to_string().replace("tenantd:1", "tenantd:2")),
        given_stranger(&rig, &host, "portal", &ours.to_string().replace(']', "")),
        given_stranger(&rig, &host, "portal", ""),
    ];
    // One create that is lost and one that lands late: it looks, adopts, mints, tidies and deletes.
    let lost = [Fault::late(SETTLE + SETTLE / 2), Fault::close_after()];
    rig.world.script(&host, Endpoint::CreateClient, lost);

    rig.work_until_quiet(&replica).await;

    for stranger in &strangers {
        assert_untouched(&rig, &host, stranger);
    }
    let ledger = ledger(&rig);
    let live: Vec<_> = ledger.live_clients_of(&host).map(|client| &client.client_id).collect();
    assert_eq!(live.len(), strangers.len() + 1);
    assert_eq!(row(&rig, "acme").await.phase, "ready");
    assert!(live.contains(&&row(&rig, "acme").await.client_id.unwrap()));
}

#[tokio::test]
async fn a_lost_client_whose_mark_an_admin_wrote_around_is_still_adopted() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_after()]);
    let mark = mark_of(&rig, &replica, "acme").await;
    assert!(work_next(&rig, &replica).await);
    let edited = ledger(&rig).tenants[&host].clients[0].client_id.clone();
    let mut moment = rig.world.at(rig.clock.now());
    let mut console = moment.console(&host, "ada").unwrap();
    console.edit(&edited, |draft| draft.description = format!("do not delete! {mark} (ticket 7)")).unwrap();
    console.edit(&edited, |draft| draft.client_name = "renamed".into()).unwrap();
    drop(moment);

    rig.work_until_quiet(&replica).await;

    assert_eq!(row(&rig, "acme").await.client_id, Some(edited));
    assert_eq!(ledger(&rig).tenants[&host].clients.len(), 1, "none was made besides it");
}
