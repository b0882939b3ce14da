//! A client that somebody else made, taken over without harm to whoever uses it.

use std::task::Poll;

use tenantd::domain::ids::{ClientId, Hint, InstallationId, TenantId};
use tenantd::domain::mark::Mark;
use tenantd::ports::QlikApi as _;
use tenantd::simulator::{Created, Endpoint, Fault};
use tenantd::visits::adopt::{Adoption, Fate};
use tenantd::visits::inspect::NotDone;
use uuid::Uuid;

use super::{accepts, client, console, execute, inspector, made_by_hand, tenant};
use crate::engine::{host_of, ledger, rig, row, stored, work_next};
use crate::support::rig::{Replica, Rig};

fn adoption(made: &Created) -> Adoption {
    Adoption { client: ClientId::new(made.client_id.clone()), replace: false, by: "a test".into() }
}

/// A tenant whose row the daemon keeps away from until next year.
async fn given_early(rig: &Rig, name: &str) {
    rig.given_tenant(name).await;
    execute(
        rig,
        "UPDATE tenantd.tenants SET not_before = tenantd.clock() + interval '1 year' WHERE phase = 'pending'",
    )
    .await;
}

/// The tenant is ready on this client, with a secret of its own, and nothing else was made.
async fn assert_taken_over(rig: &Rig, name: &str, made: &Created) {
    let (row, of_tenant) = (row(rig, name).await, &ledger(rig).tenants[&host_of(name)]);
    assert_eq!((row.phase.as_str(), row.parked_reason), ("ready", None), "{:?}", row.message);
    assert_eq!(row.client_id.as_deref(), Some(made.client_id.as_str()));
    assert_eq!(of_tenant.live_clients().count(), 1, "no second client");
    assert!(client(rig, name, &made.client_id).is_trusted);
    let hint = stored(rig, name).await[0].hint.clone().unwrap();
    assert_ne!(made.hint.as_ref(), Some(&hint));
    let secret = made.secret.as_ref().unwrap().reveal();
    assert!(accepts(rig, name, &made.client_id, secret), "{name}: the old secret works");
}

async fn mark(rig: &Rig, replica: &Replica, name: &str) -> String {
    Mark { installation: replica.store.installation(), tenant: tenant(rig, name).await }.to_string()
}

async fn refusal(rig: &Rig, name: &str, adoption: &Adoption) -> String {
    match inspector(rig).await.adopt(tenant(rig, name).await, adoption).await {
        Err(NotDone::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_made_by_hand_gets_our_mark_and_a_secret_of_ours_and_keeps_its_own() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_early(&rig, "acme").await;
    let made = made_by_hand(&rig, "acme", "portal", "Team blue's.");

    let adopted = inspector(&rig).await.adopt(tenant(&rig, "acme").await, &adoption(&made)).await.unwrap();
    let again = inspector(&rig).await.adopt(tenant(&rig, "acme").await, &adoption(&made)).await.unwrap();
    rig.work_until_quiet(&replica).await;

    assert!(!adopted.was_ours && adopted.is_marked_now && adopted.differences.is_empty(), "{adopted:?}");
    assert!(again.was_ours && !again.is_marked_now, "{again:?}");
    assert_taken_over(&rig, "acme", &made).await;
    let described = client(&rig, "acme", &made.client_id).description;
    assert_eq!(described, format!("Team blue's. {}", mark(&rig, &replica, "acme").await));
}

#[tokio::test]
async fn a_takeover_that_dies_before_the_mark_costs_nobody_a_secret_and_is_ended_by_another() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_early(&rig, "acme").await;
    // Made by our own bot user, as an earlier row's is: nothing but the row's memory protects its secret.
    let host =
        replica.terms.regions.allow(&tenantd::domain::host::Host::parse(&host_of("acme")).unwrap()).unwrap();
    let wanted = tenantd::domain::profile::WantedClient {
        name: "portal".into(),
        description: String::new(),
        redirect_uris: vec![],
        allowed_origins: vec![],
        scopes: vec!["user_default".into()],
    };
    let made = replica.api.create_client(&host, &wanted).await.unwrap();
    let id = made.client_id.to_string();
    rig.world.script(host.host().as_str(), Endpoint::PatchClient, [Fault::status(500), Fault::close_after()]);
    let adoption = Adoption { client: made.client_id.clone(), replace: false, by: "a test".into() };
    let inspector = inspector(&rig).await;
    let acme = tenant(&rig, "acme").await;

    let failed = inspector.adopt(acme, &adoption).await.unwrap_err();
    rig.work_until_quiet(&replica).await;
    let unmarked = client(&rig, "acme", &id).description;
    let lost = inspector.adopt(acme, &adoption).await.unwrap_err();
    let ended = inspector.adopt(acme, &adoption).await.unwrap();

    assert!(failed.to_string().contains("run the same command again"), "{failed}");
    assert_eq!(
        (unmarked.as_str(), lost.to_string().contains("again"), ended.is_marked_now),
        ("", true, false)
    );
    let secrets = client(&rig, "acme", &id);
    assert_eq!(secrets.live_secrets().count(), 2);
    assert!(accepts(&rig, "acme", &id, made.secret.expose_to_reveal()));
    assert_eq!(ledger(&rig).tenants[&host_of("acme")].live_clients().count(), 1);
    assert_eq!(row(&rig, "acme").await.phase, "ready");
}

#[tokio::test]
async fn what_an_earlier_row_left_is_taken_over_and_its_mark_replaced() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let gone = Mark { installation: replica.store.installation(), tenant: TenantId(Uuid::from_u128(77)) };
    let made = made_by_hand(&rig, "acme", "portal", &format!("Ours. {gone}"));
    rig.world.script(&host_of("acme"), Endpoint::CreateClient, [Fault::close_before()]);
    rig.work_until_quiet(&replica).await;
    assert_eq!(row(&rig, "acme").await.parked_reason.as_deref(), Some("EarlierClientFound"));

    let adopted = inspector(&rig).await.adopt(tenant(&rig, "acme").await, &adoption(&made)).await.unwrap();
    rig.work_until_quiet(&replica).await;

    assert!(adopted.is_marked_now);
    assert_taken_over(&rig, "acme", &made).await;
    let described = client(&rig, "acme", &made.client_id).description;
    assert_eq!(described, format!("Ours. {}", mark(&rig, &replica, "acme").await));
    assert!(!row(&rig, "acme").await.is_recheck_planned, "the lost create was looked for once more");
}

#[tokio::test]
async fn a_client_that_somebody_else_may_need_is_refused() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("live").await;
    rig.work_until_quiet(&replica).await;
    given_early(&rig, "acme").await;
    let foreign =
        Mark { installation: InstallationId(Uuid::from_u128(9)), tenant: TenantId(Uuid::from_u128(9)) };
    let marked = |description: &str| made_by_hand(&rig, "acme", "portal", description);
    let of_live = marked(&mark(&rig, &replica, "live").await);
    let of_foreign = marked(&foreign.to_string());
    let deleted = marked("x");
    console(&rig, "acme", |console| console.delete_client(&deleted.client_id).unwrap());
    let disabled = marked("x");
    console(&rig, "acme", |console| console.set_disable_tag(&disabled.client_id, Some("x")).unwrap());
    let good = marked("x");
    let before = ledger(&rig).tenants[&host_of("acme")].clients.clone();

    for (made, part) in [
        (&of_live, "which is in this database"),
        (&of_foreign, "add --replace"),
        (&deleted, "has no client"),
        (&disabled, "is disabled"),
    ] {
        let why = refusal(&rig, "acme", &adoption(made)).await;
        assert!(why.contains(part), "{part}: {why}");
    }
    let own = marked(&mark(&rig, &replica, "acme").await);
    let why = refusal(&rig, "acme", &adoption(&good)).await;
    assert!(why.contains("has made a client already"), "{why}");
    let why = refusal(&rig, "live", &adoption(&good)).await;
    assert!(why.contains("has the client"), "{why}");

    let after = ledger(&rig).tenants[&host_of("acme")].clients.clone();
    assert_eq!(after[..before.len()], before[..], "nothing was touched");
    assert_eq!(row(&rig, "acme").await.phase, "pending");
    console(&rig, "acme", |console| console.delete_client(&own.client_id).unwrap());
    let replacing = Adoption { replace: true, ..adoption(&of_foreign) };
    inspector(&rig).await.adopt(tenant(&rig, "acme").await, &replacing).await.unwrap();
    let described = client(&rig, "acme", &of_foreign.client_id).description;
    assert_eq!(described, mark(&rig, &replica, "acme").await, "the foreign mark is replaced");
}

#[tokio::test]
async fn a_create_that_may_still_land_is_waited_for() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let host = rig.given_tenant("acme").await;
    rig.world.script(&host, Endpoint::CreateClient, [Fault::close_before()]);
    let made = made_by_hand(&rig, "acme", "other", "x");
    assert!(work_next(&rig, &replica).await);

    let why = refusal(&rig, "acme", &adoption(&made)).await;
    rig.advance(row(&rig, "acme").await.rests()).await;
    inspector(&rig).await.adopt(tenant(&rig, "acme").await, &adoption(&made)).await.unwrap();
    rig.work_until_quiet(&replica).await;

    assert!(why.contains("may still land"), "{why}");
    assert_taken_over(&rig, "acme", &made).await;
}

#[tokio::test]
async fn a_takeover_is_fenced_against_whoever_took_the_row_and_against_its_owner() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    let made = made_by_hand(&rig, "acme", "portal", "x");
    let (store, acme) = (&inspector(&rig).await.store.clone(), tenant(&rig, "acme").await);
    let (id, hints) = (ClientId::new(made.client_id.clone()), [Hint::new(made.hint.clone().unwrap())]);
    let adopt = async |fence| {
        store.adopt_client(acme, fence, &id, &hints, replica.terms.policy.recheck_after(), "x").await.unwrap()
    };

    let stale = store.lease_one(acme, replica.terms.lease).await.unwrap().unwrap();
    rig.advance(replica.terms.lease).await;
    let claimed = rig.claim(&replica).await.unwrap();
    assert!(!adopt(stale).await, "a daemon has the row and may be creating");
    drop(claimed);

    rig.advance(replica.terms.lease).await;
    execute(&rig, "UPDATE tenantd.tenants SET phase = 'pending', unanswered = NULL, settles_at = NULL").await;
    let fence = store.lease_one(acme, replica.terms.lease).await.unwrap().unwrap();
    execute(&rig, "UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    assert!(!adopt(fence).await, "its owner wants no client any more");
    assert_eq!(row(&rig, "acme").await.client_id, None);
}

#[tokio::test]
async fn nothing_is_adopted_on_what_may_be_a_copy() {
    let rig = rig().await;
    given_early(&rig, "acme").await;
    let made = made_by_hand(&rig, "acme", "portal", "x");
    let inspector = inspector(&rig).await;
    let acme = tenant(&rig, "acme").await;
    let held = "UPDATE tenantd.installation
                   SET deletions_held_at = now(), changes_held_at = now(), held_reason = 'a copy?'";
    execute(&rig, held).await;

    let refused = inspector.adopt(acme, &adoption(&made)).await.unwrap_err().to_string();

    assert!(refused.contains("a copy?") && refused.contains("tenantd rejoin --confirm"), "{refused}");
    assert_eq!(client(&rig, "acme", &made.client_id).description, "x", "it bears no mark");
    execute(&rig, "UPDATE tenantd.installation SET changes_held_at = NULL").await;
    inspector.adopt(acme, &adoption(&made)).await.unwrap();
    assert_ne!(client(&rig, "acme", &made.client_id).description, "x");
}

#[tokio::test]
async fn old_secrets_go_only_when_told_and_never_one_that_is_stored() {
    let rig = rig().await;
    let replica = rig.replica().await;
    given_early(&rig, "acme").await;
    let made = made_by_hand(&rig, "acme", "portal", "x");
    let inspector = inspector(&rig).await;
    let acme = tenant(&rig, "acme").await;
    inspector.adopt(acme, &adoption(&made)).await.unwrap();
    let early = inspector.old_secrets(acme, Some("a test")).await.unwrap_err();
    rig.work_until_quiet(&replica).await;

    let listed = inspector.old_secrets(acme, None).await.unwrap();
    let still = client(&rig, "acme", &made.client_id).live_secrets().count();
    execute(&rig, "UPDATE tenantd.installation SET deletions_held_at = now(), held_reason = 'restored'")
        .await;
    let held = inspector.old_secrets(acme, Some("a test")).await.unwrap_err();
    execute(&rig, "UPDATE tenantd.installation SET deletions_held_at = NULL, held_reason = NULL").await;
    inspector.old_secrets(acme, Some("a test")).await.unwrap();

    assert!(early.to_string().contains("not ready"), "{early}");
    assert!(held.to_string().contains("restored"), "{held}");
    let fates: Vec<_> = listed.iter().map(|(_, fate)| *fate).collect();
    assert_eq!((fates, still), (vec![Fate::Old, Fate::Stored], 2));
    let secrets = client(&rig, "acme", &made.client_id);
    let hints: Vec<_> = secrets.live_secrets().map(|secret| Some(secret.hint.clone())).collect();
    assert_eq!(hints, [stored(&rig, "acme").await[0].hint.clone()]);
}

/// Drops a future after so many polls, as a death of its process would. `None` when that came first.
async fn cut<T>(act: impl Future<Output = T>, polls: usize) -> Option<T> {
    let (mut act, mut left) = (Box::pin(act), polls);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        act.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn wherever_a_takeover_dies_the_client_and_its_secret_live_on() {
    let rig = rig().await;
    let replica = rig.replica().await;
    let (mut taken, mut polls) = (0, 0);
    for death in 0.. {
        let name = format!("acme{death}");
        given_early(&rig, &name).await;
        let made = made_by_hand(&rig, &name, "portal", "Team blue's.");
        let (dying, tenant) = (inspector(&rig).await, tenant(&rig, &name).await);

        let ended = cut(dying.adopt(tenant, &adoption(&made)), polls).await;
        rig.work_until_quiet(&replica).await;

        let kept = client(&rig, &name, &made.client_id);
        let row = row(&rig, &name).await;
        assert_eq!((row.phase.as_str(), kept.deleted_at), ("ready", None), "{polls}");
        assert!(accepts_untrusted(&rig, &name, &made), "{polls}: its secret");
        if row.client_id.as_deref() == Some(made.client_id.as_str()) {
            taken += usize::from(ended.is_none());
            inspector(&rig).await.adopt(tenant, &adoption(&made)).await.unwrap();
            assert_taken_over(&rig, &name, &made).await;
            let described = client(&rig, &name, &made.client_id).description;
            assert_eq!(described, format!("Team blue's. {}", mark(&rig, &replica, &name).await), "{polls}");
        } else {
            assert!(ended.is_none(), "{polls}");
            assert_eq!(kept.description, "Team blue's.", "{polls}: it was never taken over");
        }
        // How often the database is polled varies: an adoption may end before its last
        // stretch was cut, and then that is tried again.
        match ended {
            None => polls += 1,
            Some(_) if taken > 0 => return,
            Some(_) => polls = polls.saturating_sub(5),
        }
        assert!(death < 300, "no death fell between the commit and the end");
    }
}

/// Whether the secret still stands; a client that was not taken over is not trusted.
fn accepts_untrusted(rig: &Rig, name: &str, made: &Created) -> bool {
    let secret = made.secret.as_ref().unwrap().reveal();
    let kept = client(rig, name, &made.client_id);
    kept.live_secrets().any(|live| live.matches(secret))
}
