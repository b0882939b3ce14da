//! Drift: found with one GET a tenant, and mended as far as it was let through.

use std::collections::BTreeMap;
use std::time::Duration;

use tenantd::domain::tenant::RepairScope;
use tenantd::ports::Clock;
use tenantd::simulator::{Console, Draft, Endpoint, Fault};
use tenantd::vault::KeyKind;

use super::{host_of, ledger, rig, row, work_due};
use crate::support::rig::{BOT, Replica, Rig, terms};

const DAY: Duration = Duration::from_hours(24);
const TENANTS: usize = 200;

/// What somebody does to a client by hand, and the kind of drift that it is.
type Plant = (&'static str, fn(&mut Console<'_, '_>, &str, &str));

const PLANTS: [Plant; 10] = [
    ("consent", |console, id, _| console.set_trusted(id, false).unwrap()),
    ("scopes", |console, id, _| console.edit(id, |d| d.allowed_scopes.push("admin_classic".into())).unwrap()),
    ("grants", |console, id, _| console.edit(id, |d| drop(d.allowed_grant_types.pop())).unwrap()),
    ("redirect_uris", |console, id, _| console.edit(id, |d| d.redirect_uris.clear()).unwrap()),
    ("origins", |console, id, _| {
        console.edit(id, |d| d.allowed_origins.push("https://evil.example".into())).unwrap();
    }),
    ("name", |console, id, _| console.edit(id, |d| d.client_name = "renamed".into()).unwrap()),
    ("mark", |console, id, _| console.edit(id, |d| d.description = "ours now".into()).unwrap()),
    ("disabled", |console, id, _| console.set_disable_tag(id, Some("by hand")).unwrap()),
    ("secret_missing", |console, id, hint| console.delete_secret(id, hint).unwrap()),
    ("client_missing", |console, id, _| console.delete_client(id).unwrap()),
];

fn name_of(number: usize) -> String {
    format!("t{number}")
}

/// The first 150 tenants drift, each in one way; the last 50 are as they should be.
fn drift_of(number: usize) -> Option<&'static Plant> {
    (number < 150).then(|| &PLANTS[number % PLANTS.len()])
}

async fn fleet(rig: &Rig, replica: &Replica) {
    for number in 0..TENANTS {
        rig.given_tenant(&name_of(number)).await;
    }
    assert_eq!(work_due(rig, replica).await, TENANTS);
    let planned = replica.store.plan_audits(Some(DAY)).await.unwrap();
    assert_eq!(planned, 0, "each was given its moment when it became ready");
}

fn plant(rig: &Rig) {
    let before = ledger(rig);
    let mut world = rig.world.at(rig.clock.now());
    for number in 0..TENANTS {
        let host = host_of(&name_of(number));
        let client = before.live_clients_of(&host).next().unwrap();
        let hint = client.live_secrets().next().unwrap().hint.clone();
        if let Some((_, change)) = drift_of(number) {
            change(&mut world.console(&host, "admin").unwrap(), &client.client_id, &hint);
        }
    }
}

async fn drifts(rig: &Rig) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<(String, Vec<String>)> =
        sqlx::query_as("SELECT external_id, drift FROM tenantd.status").fetch_all(rig.pool()).await.unwrap();
    rows.into_iter().filter(|(_, drift)| !drift.is_empty()).collect()
}

/// How many tenants differ in which way.
async fn kinds(rig: &Rig) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for kind in drifts(rig).await.into_values().flatten() {
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// Lets repairs through and works, as a daemon does, for so long.
async fn mend(rig: &Rig, replica: &Replica, minutes: u64) {
    for _ in 0..minutes * 6 {
        replica.roll_out().await.unwrap();
        work_due(rig, replica).await;
        rig.advance(Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn drift_of_ten_kinds_on_two_hundred_tenants_is_found_with_one_get_each_and_mended_as_configured() {
    let rig = rig().await;
    let mut terms = terms();
    terms.policy.audit_every = Some(DAY);
    terms.bounds.changes_per_hour = 1000;
    let replica = rig.replica_with(terms.clone(), KeyKind::Symmetric).await;
    fleet(&rig, &replica).await;
    plant(&rig);

    // Found: all of it, and nothing else, with one list for each tenant and no other read.
    let reads = |rig: &Rig| {
        let ledger = ledger(rig);
        let count = |endpoint| ledger.calls_of(endpoint, Some(200));
        [Endpoint::ListClients, Endpoint::GetClient, Endpoint::GetConsent, Endpoint::Me].map(count)
    };
    let before = reads(&rig);
    rig.advance(DAY).await;
    assert_eq!(work_due(&rig, &replica).await, TENANTS);
    let after = reads(&rig);
    assert_eq!(after[0] - before[0], TENANTS as u64, "one list each");
    assert_eq!(after[1..], before[1..], "and nothing else is read");
    let expected: BTreeMap<_, _> = (0..TENANTS)
        .filter_map(|number| Some((name_of(number), vec![drift_of(number)?.0.to_owned()])))
        .collect();
    assert_eq!(drifts(&rig).await, expected);
    println!("{} of {} planted differences found; {TENANTS} GETs", expected.len(), expected.len());

    // Mended: consent by itself ...
    mend(&rig, &replica, 5).await;
    let left = kinds(&rig).await;
    assert_eq!(left.get("consent"), None, "{left:?}");
    assert_eq!(left.get("name"), Some(&15), "{left:?}");
    // ... and what the configuration asks for.
    terms.repair = RepairScope::All;
    let mender = rig.replica_with(terms, KeyKind::Symmetric).await;
    mend(&rig, &mender, 15).await;
    let left = kinds(&rig).await;
    assert_eq!(left, BTreeMap::from([("client_missing".into(), 15), ("disabled".into(), 15)]));
    // What replaced the secrets that were deleted by hand is current; what they were goes
    // when its time is over.
    rig.advance(mender.terms.policy.overlap).await;
    work_due(&rig, &mender).await;
    for number in 0..TENANTS {
        let (name, row) = (name_of(number), row(&rig, &name_of(number)).await);
        match drift_of(number).map(|(kind, _)| *kind) {
            Some("client_missing") => assert_eq!(row.parked_reason.as_deref(), Some("ClientMissing")),
            Some("disabled") => assert_eq!(row.parked_reason, None),
            Some(_) | None => super::assert_whole(&rig, &mender, &name).await,
        }
    }
    let fixed = ledger(&rig);
    for number in (0..150).filter(|number| !matches!(drift_of(*number).unwrap().0, "client_missing")) {
        let host = host_of(&name_of(number));
        let Draft {
            client_name, allowed_scopes, allowed_grant_types, redirect_uris, allowed_origins, ..
        } = &fixed.live_clients_of(&host).next().unwrap().draft;
        assert_eq!((client_name.as_str(), allowed_scopes.len()), ("portal", 1), "{host}");
        assert_eq!(
            (allowed_grant_types.len(), redirect_uris.len(), allowed_origins.len()),
            (2, 1, 0),
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_second_client_of_ours_is_deleted_by_an_audit_and_a_stranger_is_not() {
    let rig = rig().await;
    let mut terms = terms();
    terms.policy.audit_every = Some(DAY);
    let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
    let host = rig.given_tenant("acme").await;
    work_due(&rig, &replica).await;
    replica.store.plan_audits(Some(DAY)).await.unwrap();
    let ours = ledger(&rig).live_clients_of(&host).next().unwrap().clone();
    let stranger = {
        let mut world = rig.world.at(rig.clock.now());
        world.console(&host, BOT).unwrap().add_client(ours.draft.clone(), true).unwrap();
        let mut console = world.console(&host, "admin").unwrap();
        let unmarked = Draft { description: String::new(), ..ours.draft.clone() };
        console.add_client(unmarked, true).unwrap().client_id
    };
    assert_eq!(ledger(&rig).live_clients, 3);

    rig.advance(DAY).await;
    work_due(&rig, &replica).await;

    let mut left: Vec<_> = ledger(&rig).live_clients_of(&host).map(|c| c.client_id.clone()).collect();
    left.sort();
    let mut expected = vec![ours.client_id, stranger];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(drifts(&rig).await, BTreeMap::new());
}

#[tokio::test]
async fn duplicates_are_deleted_within_the_budget_of_removals() {
    let rig = rig().await;
    let mut terms = terms();
    terms.policy.audit_every = Some(DAY);
    terms.bounds.removals_per_hour = Some(2);
    let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
    let host = rig.given_tenant("acme").await;
    work_due(&rig, &replica).await;
    replica.store.plan_audits(Some(DAY)).await.unwrap();
    let ours = ledger(&rig).live_clients_of(&host).next().unwrap().clone();
    for _ in 0..3 {
        let mut world = rig.world.at(rig.clock.now());
        world.console(&host, BOT).unwrap().add_client(ours.draft.clone(), true).unwrap();
    }
    // What fails does not spend a second place.
    rig.world.script(&host, Endpoint::DeleteClient, [Fault::status(503)]);
    let live = || ledger(&rig).live_clients_of(&host).count();

    rig.advance(DAY).await;
    for _ in 0..4 {
        work_due(&rig, &replica).await;
        rig.advance(Duration::from_mins(5)).await;
    }

    assert_eq!(live(), 2, "two of three");
    assert_eq!(drifts(&rig).await, BTreeMap::from([("acme".to_owned(), vec!["duplicate".to_owned()])]));
    rig.advance(Duration::from_hours(1)).await;
    work_due(&rig, &replica).await;
    assert_eq!((live(), drifts(&rig).await), (1, BTreeMap::new()));
}

/// Somebody copies the description, with our mark in it.
#[tokio::test]
async fn a_client_that_only_bears_our_mark_is_shown_and_left_alone_by_audits_and_a_removal() {
    let rig = rig().await;
    let mut terms = terms();
    terms.policy.audit_every = Some(DAY);
    let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
    let host = rig.given_tenant("acme").await;
    work_due(&rig, &replica).await;
    replica.store.plan_audits(Some(DAY)).await.unwrap();
    let ours = ledger(&rig).live_clients_of(&host).next().unwrap().clone();
    let mut copies: Vec<_> = {
        let mut world = rig.world.at(rig.clock.now());
        let mut console = world.console(&host, "ada").unwrap();
        let spa = Draft { app_type: "spa".into(), allowed_grant_types: vec![], ..ours.draft.clone() };
        [spa, ours.draft.clone()].map(|draft| console.add_client(draft, true).unwrap().client_id).into()
    };
    copies.sort();
    let live = || {
        let mut live: Vec<_> = ledger(&rig).live_clients_of(&host).map(|c| c.client_id.clone()).collect();
        live.sort();
        live
    };

    rig.advance(DAY).await;
    work_due(&rig, &replica).await;

    assert_eq!(live().len(), 3);
    assert_eq!(drifts(&rig).await, BTreeMap::from([("acme".to_owned(), vec!["copied_mark".to_owned()])]));
    sqlx::query(
        "UPDATE tenantd.tenants SET desired_state = 'absent', removal_admitted_at = tenantd.clock(),
                due_at = tenantd.clock()",
    )
    .execute(rig.pool())
    .await
    .unwrap();
    rig.work_until_quiet(&replica).await;
    assert_eq!(live(), copies);
}

#[tokio::test]
async fn an_owners_edit_is_applied_at_once_and_is_no_drift() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    work_due(&rig, &replica).await;
    sqlx::query(
        "UPDATE tenantd.tenants SET client_name = 'acme portal', redirect_uris = ARRAY['https://acme.example/cb']",
    )
    .execute(rig.pool())
    .await
    .unwrap();

    assert_eq!(work_due(&rig, &replica).await, 1, "due at once");

    let client = ledger(&rig).live_clients_of(&host).next().unwrap().clone();
    assert_eq!(client.draft.client_name, "acme portal");
    assert_eq!(client.draft.redirect_uris, ["https://acme.example/cb"]);
    assert_eq!(drifts(&rig).await, BTreeMap::new());
    assert_eq!(work_due(&rig, &replica).await, 0, "and applied once");
}

/// Calls of this endpoint that were answered well.
fn calls(rig: &Rig, endpoint: Endpoint) -> u64 {
    ledger(rig).calls_of(endpoint, Some(200))
}

#[tokio::test]
async fn an_edit_that_is_taken_back_before_it_was_applied_costs_no_call() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    work_due(&rig, &replica).await;
    let before = calls(&rig, Endpoint::ListClients);
    rig.write("UPDATE tenantd.tenants SET client_name = 'acme portal', profile = 'later'").await;
    rig.write("UPDATE tenantd.tenants SET client_name = NULL, profile = 'default'").await;
    let explained = replica.store.explain("acme", &replica.terms.claim_terms()).await.unwrap().unwrap();
    assert!(!explained.is_edited);

    assert_eq!(work_due(&rig, &replica).await, 1, "it is looked at");

    assert_eq!(calls(&rig, Endpoint::ListClients), before, "and Qlik is not asked");
    let is_noted: bool = sqlx::query_scalar("SELECT edited_at IS NOT NULL FROM tenantd.tenants")
        .fetch_one(rig.pool())
        .await
        .unwrap();
    assert!(!is_noted);
    // The next one is known as one all the same.
    rig.write("UPDATE tenantd.tenants SET client_name = 'acme portal'").await;
    work_due(&rig, &replica).await;
    assert_eq!(calls(&rig, Endpoint::ListClients), before + 1);
    assert_eq!(drifts(&rig).await, BTreeMap::new());
}

/// It speaks of all clients alike, and no owner asked for it.
#[tokio::test]
async fn a_profile_that_changes_in_the_configuration_is_drift_and_no_edit() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    work_due(&rig, &replica).await;
    let mut changed = terms();
    for profile in changed.profiles.values_mut() {
        profile.scopes.push("admin_classic".into());
    }
    let replica = rig.replica_with(changed, KeyKind::Symmetric).await;

    rig.write("UPDATE tenantd.tenants SET audit_at = tenantd.clock(), due_at = tenantd.clock()").await;
    work_due(&rig, &replica).await;

    let scopes = |rig: &Rig| ledger(rig).live_clients_of(&host).next().unwrap().draft.allowed_scopes.clone();
    assert_eq!(scopes(&rig), ["user_default"]);
    assert_eq!(drifts(&rig).await, BTreeMap::from([("acme".to_owned(), vec!["scopes".to_owned()])]));
    rig.write("UPDATE tenantd.tenants SET client_name = 'acme portal'").await;
    work_due(&rig, &replica).await;
    assert_eq!(scopes(&rig), ["user_default", "admin_classic"], "an edit brings the profile's, too");
}

/// The version before clears what the owner's trigger noted once it has applied it.
#[tokio::test]
async fn an_edit_that_the_version_before_applied_is_applied_by_nobody_else() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    work_due(&rig, &replica).await;
    let before = calls(&rig, Endpoint::ListClients);
    rig.write("UPDATE tenantd.tenants SET client_name = 'acme portal'").await;
    let client = ledger(&rig).live_clients_of(&host).next().unwrap().client_id.clone();
    let mut world = rig.world.at(rig.clock.now());
    world
        .console(&host, "previous")
        .unwrap()
        .edit(&client, |d| d.client_name = "acme portal".into())
        .unwrap();
    drop(world);
    rig.write("UPDATE tenantd.tenants SET edited_at = NULL").await;

    work_due(&rig, &replica).await;
    assert_eq!(calls(&rig, Endpoint::ListClients), before);
    rig.write("UPDATE tenantd.tenants SET client_name = NULL").await;
    work_due(&rig, &replica).await;

    let ledger = ledger(&rig);
    assert_eq!(ledger.live_clients_of(&host).next().unwrap().draft.client_name, "portal");
}
