//! The census: whose each client is, and a plan that acts on what is still so.

use std::sync::Arc;

use tenantd::domain::census::{Action, Class};
use tenantd::domain::ids::TenantId;
use tenantd::domain::mark::Mark;
use tenantd::ports::{Clock as _, QlikApi as _};
use tenantd::simulator::memory::Door;
use tenantd::simulator::{ClientLedger, Endpoint, Fault, Grant, TokenRequest};
use tenantd::visits::census::Scope;
use tenantd::visits::census::apply::{Applied, Stop};
use tenantd::visits::census::plan::{Entry, Plan};
use tenantd::visits::inspect::Inspector;
use uuid::Uuid;

use super::{client, console, execute, inspector, inspector_with, made_by_hand, tenant};
use crate::engine::{host_of, ledger, rig, row};
use crate::support::rig::{Rig, terms};

/// A fleet with something of every class, and who must stay as they are.
struct Fleet {
    rig: Rig,
    orphan: String,
    lost: String,
    duplicate: String,
    strangers: Vec<ClientLedger>,
}

fn strangers(rig: &Rig) -> Vec<ClientLedger> {
    let all = ledger(rig).tenants.into_values().flat_map(|tenant| tenant.clients);
    all.filter(|client| client.description.starts_with("somebody's")).collect()
}

/// With the user that we act as, who makes the orphans there.
async fn given_host_without_row(rig: &Rig, api: &Door) {
    rig.world.at(rig.clock.now()).add_tenant(&host_of("norow"));
    let norow = tenantd::domain::host::Host::parse(&host_of("norow")).unwrap();
    api.bot_user(&terms().regions.allow(&norow).unwrap()).await.unwrap();
}

async fn fleet() -> Fleet {
    let rig = rig().await;
    let replica = rig.replica().await;
    for name in ["sane", "gone", "twice", "stale"] {
        rig.given_tenant(name).await;
    }
    rig.work_until_quiet(&replica).await;
    let gone = row(&rig, "gone").await.client_id.unwrap();
    console(&rig, "gone", |console| console.delete_client(&gone).unwrap());
    let mark = |tenant| Mark { installation: replica.store.installation(), tenant }.to_string();
    let unknown = mark(TenantId(Uuid::from_u128(77)));
    let orphan = made_by_hand(&rig, "sane", "portal", &unknown).client_id;
    given_host_without_row(&rig, &replica.api).await;
    let lost = made_by_hand(&rig, "norow", "x", &unknown).client_id;
    let duplicate = made_by_hand(&rig, "twice", "x", &mark(tenant(&rig, "twice").await)).client_id;
    for n in 0..20 {
        let name = ["sane", "gone", "twice", "stale", "norow"][n % 5];
        made_by_hand(&rig, name, "portal", "somebody's, alike");
        made_by_hand(&rig, name, &format!("client {n}"), "somebody's");
    }
    let host = tenantd::domain::host::Host::parse(&host_of("stale")).unwrap();
    let host = replica.terms.regions.allow(&host).unwrap();
    let stale = row(&rig, "stale").await.client_id.unwrap();
    for _ in 0..2 {
        replica.api.mint_secret(&host, &tenantd::domain::ids::ClientId::new(stale.clone())).await.unwrap();
    }
    console(&rig, "stale", |console| console.add_secret(&stale).unwrap());
    let strangers = strangers(&rig);
    assert_eq!(strangers.len(), 40);
    Fleet { rig, orphan, lost, duplicate, strangers }
}

async fn census(inspector: &Arc<Inspector<Door>>) -> Plan {
    let scope = Scope { region: None, hosts: vec![host_of("norow"), host_of("sane")] };
    inspector.census(&scope).await.unwrap()
}

async fn apply(inspector: &Inspector<Door>, plan: &Plan) -> (Vec<(Entry, Applied)>, Option<Stop>) {
    let mut told = Vec::new();
    let stopped =
        inspector.apply(plan, "a test", |entry, applied| told.push((entry.clone(), applied.clone()))).await;
    (told, stopped.err())
}

#[tokio::test]
async fn every_class_is_found_and_the_plan_ends_what_is_ours_and_nothing_else() {
    let Fleet { rig, orphan, lost, duplicate, strangers: before } = fleet().await;
    let inspector = inspector(&rig).await;
    let deleted = ledger(&rig).calls_of(Endpoint::DeleteClient, Some(204));

    let plan = census(&inspector).await;

    let counts = plan.counts;
    assert_eq!((counts.hosts, counts.ours, counts.missing, counts.orphan), (5, 3, 1, 2), "{plan:?}");
    assert_eq!((counts.duplicate, counts.look_alike, counts.foreign, counts.stale_secret), (1, 20, 20, 2));
    assert_eq!((plan.is_action_due(), plan.not_asked.len()), (true, 0));
    assert_eq!(ledger(&rig).calls_of(Endpoint::DeleteClient, Some(204)), deleted, "looking changes nothing");

    let copy: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    let (told, stopped) = apply(&inspector, &copy).await;

    assert!(stopped.is_none(), "{stopped:?}");
    assert_eq!(told.len(), 5, "two orphans, a duplicate, two secrets");
    assert!(told.iter().all(|(_, applied)| *applied == Applied::Done), "{told:?}");
    for (name, id) in [("sane", &orphan), ("norow", &lost), ("twice", &duplicate)] {
        assert!(client(&rig, name, id).deleted_at.is_some(), "{name}");
    }
    let stale = row(&rig, "stale").await.client_id.unwrap();
    assert_eq!(client(&rig, "stale", &stale).live_secrets().count(), 2, "ours, and the administrator's");
    assert_eq!(strangers(&rig), before, "bit-identical");
    let after = census(&inspector).await;
    let left: Vec<_> = after.entries.iter().filter(|e| e.action != Action::None).map(|e| e.class).collect();
    assert_eq!(left, [Class::Missing]);
    let (again, _) = apply(&inspector, &plan).await;
    assert!(again.iter().all(|(_, applied)| *applied == Applied::Gone), "{again:?}");
}

#[tokio::test]
async fn what_has_changed_since_is_refused() {
    let Fleet { rig, orphan, lost, duplicate, strangers: before } = fleet().await;
    let inspector = inspector(&rig).await;
    let plan = census(&inspector).await;
    console(&rig, "sane", |console| console.edit(&orphan, |draft| draft.description += " keep!").unwrap());
    console(&rig, "norow", |console| drop(console.add_secret(&lost).unwrap()));
    execute(&rig, "UPDATE tenantd.tenants SET client_id = 'another' WHERE external_id = 'twice'").await;
    execute(
        &rig,
        "UPDATE tenantd.secrets SET hint = NULL
          WHERE tenant_id = (SELECT tenant_id FROM tenantd.tenants WHERE external_id = 'stale')",
    )
    .await;
    let made = ledger(&rig).live_clients;

    let (told, stopped) = apply(&inspector, &plan).await;

    assert!(stopped.is_none() && told.len() == 5, "{told:?} {stopped:?}");
    assert!(told.iter().all(|(_, applied)| matches!(applied, Applied::Changed(_))), "{told:?}");
    assert_eq!((ledger(&rig).live_clients, strangers(&rig)), (made, before));
    assert!(client(&rig, "twice", &duplicate).deleted_at.is_none());
}

#[tokio::test]
async fn a_plan_that_somebody_edited_deletes_nothing_that_a_census_would_not() {
    let Fleet { rig, strangers: before, .. } = fleet().await;
    let inspector = inspector(&rig).await;
    let mut plan = census(&inspector).await;
    plan.entries.retain(|entry| entry.class == Class::LookAlike);
    let ours = row(&rig, "sane").await.client_id.unwrap();
    let mut own = plan.entries[0].clone();
    (own.host, own.client_id) = (host_of("sane"), ours.clone());
    let pristine = plan.entries.clone();
    for (class, entries) in
        [(Class::LookAlike, &pristine), (Class::Orphan, &pristine), (Class::Duplicate, &pristine)]
    {
        let edit = |entry: &Entry| Entry { class, action: Action::DeleteClient, ..entry.clone() };
        plan.entries.extend(entries.iter().map(edit));
    }
    plan.entries.push(Entry { class: Class::Orphan, action: Action::DeleteClient, ..own });

    let (told, stopped) = apply(&inspector, &plan).await;

    assert!(stopped.is_none() && told.len() == 61, "{stopped:?}");
    assert!(told.iter().all(|(_, applied)| matches!(applied, Applied::Changed(_))), "{told:?}");
    assert_eq!(strangers(&rig), before);
    assert!(client(&rig, "sane", &ours).deleted_at.is_none());
}

#[tokio::test]
async fn a_plan_stops_when_the_hour_is_spent_and_while_deletions_are_held() {
    let Fleet { rig, .. } = fleet().await;
    let mut terms = terms();
    terms.bounds.changes_per_hour = 3;
    let inspector = inspector_with(&rig, terms).await;
    let plan = census(&inspector).await;
    execute(&rig, "UPDATE tenantd.installation SET deletions_held_at = now(), held_reason = 'restored'")
        .await;

    let (told, held) = apply(&inspector, &plan).await;
    assert!(told.is_empty() && matches!(held, Some(Stop::Held(_))), "{told:?} {held:?}");

    execute(&rig, "UPDATE tenantd.installation SET deletions_held_at = NULL, held_reason = NULL").await;
    execute(
        &rig,
        "INSERT INTO tenantd.changes (kind, tenant_id) SELECT 'rotation', tenant_id FROM tenantd.tenants LIMIT 1",
    )
    .await;
    let (told, spent) = apply(&inspector, &plan).await;
    assert!(told.len() == 2 && matches!(spent, Some(Stop::Spent(3))), "{told:?} {spent:?}");

    rig.advance(std::time::Duration::from_hours(1)).await;
    let (told, stopped) = apply(&inspector, &plan).await;
    let of = |wanted: &Applied| told.iter().filter(|(_, applied)| applied == wanted).count();
    assert_eq!((of(&Applied::Gone), of(&Applied::Done)), (2, 3), "{told:?} {stopped:?}");
}

#[tokio::test]
async fn what_could_not_be_asked_is_in_the_plan() {
    let Fleet { rig, .. } = fleet().await;
    let inspector = inspector(&rig).await;
    let sane = tenant(&rig, "sane").await;
    let replica = rig.replica().await;
    let fence = replica.store.lease_one(sane, replica.terms.lease).await.unwrap().unwrap();

    let scope = Scope { region: None, hosts: vec!["a.elsewhere.example".into()] };
    let plan = inspector.census(&scope).await.unwrap();
    replica.store.give_back(sane, fence).await.unwrap();

    let hosts: Vec<_> = plan.not_asked.iter().map(|not| not.host.as_str()).collect();
    assert_eq!(hosts, [host_of("sane").as_str(), "a.elsewhere.example"]);
    assert!(plan.not_asked[1].reason.contains("no region"), "{:?}", plan.not_asked);
}

#[tokio::test]
async fn what_outlives_a_client_is_ended_too_also_when_the_first_attempt_dies() {
    let rig = rig().await;
    let inspector = inspector(&rig).await;
    let host = host_of("norow");
    given_host_without_row(&rig, &inspector.api).await;
    let unknown =
        Mark { installation: inspector.store.installation(), tenant: TenantId(Uuid::from_u128(77)) };
    let made = made_by_hand(&rig, "norow", "x", &unknown.to_string());
    console(&rig, "norow", |console| console.set_trusted(&made.client_id, true).unwrap());
    let secret = made.secret.as_ref().unwrap().reveal();
    let request =
        TokenRequest { client_id: &made.client_id, secret, grant: Grant::ClientCredentials, scope: None };
    rig.world.at(rig.clock.now()).grant_token(&host, &request).unwrap();
    assert!(ledger(&rig).tenants[&host].has_bot_of(&made.client_id));
    let plan = inspector.census(&Scope { region: None, hosts: vec![host.clone()] }).await.unwrap();
    rig.world.script(&host, Endpoint::ListTokens, [Fault::status(500)]);

    let (first, _) = apply(&inspector, &plan).await;
    let is_deleted = client(&rig, "norow", &made.client_id).deleted_at.is_some();
    let (second, _) = apply(&inspector, &plan).await;
    let (third, _) = apply(&inspector, &plan).await;

    assert!(is_deleted && matches!(first[0].1, Applied::NotAsked(_)), "{first:?}");
    assert_eq!((&second[0].1, &third[0].1), (&Applied::Done, &Applied::Gone));
    let tenant = &ledger(&rig).tenants[&host];
    assert!(!tenant.has_bot_of(&made.client_id));
    assert_eq!(tenant.tokens, 1, "the region's own");
}
