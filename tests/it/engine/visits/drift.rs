//! Drift: found with one request, mended by the daemon and by nobody else.

use tenantd::domain::drift::{Drift, DriftKind};
use tenantd::simulator::Endpoint;
use tenantd::visits::inspect::{Audited, NotDone};

use super::{client, console, execute, inspector, tenant};
use crate::engine::{ledger, rig, row, work_due};

fn kinds(audited: &Audited) -> Vec<DriftKind> {
    let mut kinds: Vec<_> = audited.drifts.iter().map(Drift::kind).collect();
    kinds.sort_unstable();
    kinds
}

#[tokio::test]
async fn every_kind_is_found_with_one_request_and_what_can_be_mended_is_by_the_daemon() {
    use DriftKind as K;
    let rig = rig().await;
    let replica = rig.replica().await;
    for name in ["sane", "edited", "secrets"] {
        rig.given_tenant(name).await;
    }
    rig.work_until_quiet(&replica).await;
    let id = row(&rig, "edited").await.client_id.unwrap();
    console(&rig, "edited", |console| {
        console.set_trusted(&id, false).unwrap();
        console.set_disable_tag(&id, Some("by-admin")).unwrap();
        let edit = |draft: &mut tenantd::simulator::Draft| {
            draft.client_name = "renamed".into();
            draft.description = "mine now".into();
            draft.allowed_scopes = vec!["admin_classic".into()];
            draft.allowed_grant_types.pop();
            draft.redirect_uris.clear();
            draft.allowed_origins = vec!["https://a.example".into()];
        };
        console.edit(&id, edit).unwrap();
    });
    let with_secret = row(&rig, "secrets").await.client_id.unwrap();
    let lost = client(&rig, "secrets", &with_secret).secrets[0].hint.clone();
    console(&rig, "secrets", |console| {
        console.add_secret(&with_secret).unwrap();
        console.delete_secret(&with_secret, &lost).unwrap();
    });
    let (before, asked) =
        (client(&rig, "edited", &id), ledger(&rig).calls_of(Endpoint::ListClients, Some(200)));
    let inspector = inspector(&rig).await;
    let drift = async |name, repair| inspector.drift(tenant(&rig, name).await, repair).await.unwrap();

    let of_edited =
        [K::Consent, K::Disabled, K::Name, K::Mark, K::Scopes, K::Grants, K::RedirectUris, K::Origins];
    assert_eq!(kinds(&drift("sane", true).await), []);
    assert_eq!(kinds(&drift("edited", false).await), of_edited);
    assert_eq!(kinds(&drift("secrets", false).await), [K::SecretMissing, K::SecretUnknown]);
    assert_eq!(ledger(&rig).calls_of(Endpoint::ListClients, Some(200)), asked + 3);
    assert_eq!(client(&rig, "edited", &id), before, "a look changes nothing");
    assert_eq!(work_due(&rig, &replica).await, 0, "without repair nobody is called");

    assert!(drift("edited", true).await.repair.is_some());
    assert!(drift("secrets", true).await.repair.is_some());
    assert_eq!(client(&rig, "edited", &id), before, "the daemon mends, not the command");
    rig.work_until_quiet(&replica).await;

    assert_eq!(kinds(&drift("edited", false).await), [K::Disabled]);
    assert_eq!(kinds(&drift("secrets", false).await), [K::SecretUnknown]);
}

#[tokio::test]
async fn a_client_that_is_gone_is_told_and_left_to_an_operator() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let id = row(&rig, "acme").await.client_id.unwrap();
    console(&rig, "acme", |console| console.delete_client(&id).unwrap());

    let audited = inspector(&rig).await.drift(tenant(&rig, "acme").await, true).await.unwrap();

    assert_eq!((kinds(&audited), audited.repair), (vec![DriftKind::ClientMissing], None));
}

#[tokio::test]
async fn whoever_asks_holds_the_lease_and_gives_it_back() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.given_tenant("new").await;
    let inspector = inspector(&rig).await;
    let acme = tenant(&rig, "acme").await;

    let early = inspector.drift(acme, false).await.unwrap_err();
    rig.work_until_quiet(&replica).await;
    let fence = replica.store.lease_one(acme, replica.terms.lease).await.unwrap().unwrap();
    let asked = ledger(&rig).requests_to("acme.us.qlikcloud.com");
    let busy = inspector.drift(acme, false).await.unwrap_err();
    let asked_meanwhile = ledger(&rig).requests_to("acme.us.qlikcloud.com") - asked;
    replica.store.give_back(acme, fence).await.unwrap();
    inspector.drift(acme, false).await.unwrap();

    assert!(matches!(&early, NotDone::Refused(why) if why.contains("not ready yet")), "{early}");
    assert!(matches!(busy, NotDone::Busy(_)), "{busy}");
    assert_eq!(asked_meanwhile, 0);
    assert!(!row(&rig, "acme").await.is_held);
}

#[tokio::test]
async fn a_parked_tenant_is_told_and_a_repair_waits_for_its_retry() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let id = row(&rig, "acme").await.client_id.unwrap();
    console(&rig, "acme", |console| console.set_trusted(&id, false).unwrap());
    execute(&rig, "UPDATE tenantd.tenants SET parked_reason = 'ClientMissing', message = 'x', due_at = NULL")
        .await;

    let audited = inspector(&rig).await.drift(tenant(&rig, "acme").await, true).await.unwrap();
    work_due(&rig, &replica).await;
    let was_mended = client(&rig, "acme", &id).is_trusted;
    assert!(replica.store.retry("acme").await.unwrap());
    rig.work_until_quiet(&replica).await;

    assert_eq!(audited.repair.unwrap().parked.as_deref(), Some("ClientMissing"));
    assert!(!was_mended, "nothing is done while it is parked");
    assert!(client(&rig, "acme", &id).is_trusted);
}
