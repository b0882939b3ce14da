//! Commands that visit Qlik themselves, beside daemons that work on the same rows.

mod adopt;
mod census;
mod drift;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::domain::mark::Mark;
use tenantd::engine::{Engine, Terms};
use tenantd::ports::Clock;
use tenantd::simulator::memory::Door;
use tenantd::simulator::{ClientLedger, Console, Created, Draft};
use tenantd::vault::KeyKind;
use tenantd::visits::adopt::Adoption;
use tenantd::visits::census::Scope;
use tenantd::visits::census::apply::Applied;
use tenantd::visits::inspect::Inspector;
use tenantd::visits::tokens::Revoke;

use super::{host_of, ledger, row};
use crate::support::rig::{BOT, Rig, terms};

/// A command, which waits for nobody.
pub(super) async fn inspector(rig: &Rig) -> Arc<Inspector<Door>> {
    inspector_with(rig, terms()).await
}

pub(super) async fn inspector_with(rig: &Rig, terms: Terms) -> Arc<Inspector<Door>> {
    let replica = rig.replica_with(terms, KeyKind::Symmetric).await;
    let Ok(Engine { api, store, terms, .. }) = Arc::try_unwrap(replica) else { panic!("it is shared") };
    Arc::new(Inspector { api, store, terms, patience: Duration::ZERO })
}

pub(super) async fn tenant(rig: &Rig, name: &str) -> TenantId {
    TenantId(row(rig, name).await.tenant_id)
}

/// Acts in the console of a tenant, as its administrator.
pub(super) fn console<T>(rig: &Rig, name: &str, act: impl FnOnce(&mut Console<'_, '_>) -> T) -> T {
    let mut moment = rig.world.at(rig.clock.now());
    let mut console = moment.console(&host_of(name), "ada").unwrap();
    act(&mut console)
}

/// A client that an administrator makes by hand.
pub(super) fn made_by_hand(rig: &Rig, name: &str, client_name: &str, description: &str) -> Created {
    let draft = Draft {
        app_type: "web".into(),
        client_name: client_name.into(),
        description: description.into(),
        redirect_uris: vec!["https://portal.example.com/callback".into()],
        allowed_scopes: vec!["user_default".into()],
        allowed_grant_types: tenantd::domain::profile::GRANTS.map(str::to_owned).to_vec(),
        ..Draft::default()
    };
    // What bears a mark is to look like an orphan of ours.
    let subject = if description.contains("[tenantd:") { BOT } else { "ada" };
    let mut moment = rig.world.at(rig.clock.now());
    moment.console(&host_of(name), subject).unwrap().add_client(draft, false).unwrap()
}

/// A client as the ledger has it.
pub(super) fn client(rig: &Rig, name: &str, id: &str) -> ClientLedger {
    ledger(rig).tenants[&host_of(name)].client(id).unwrap().clone()
}

/// Whether a credential would get a token.
pub(super) fn accepts(rig: &Rig, name: &str, id: &str, secret: &str) -> bool {
    rig.world.at(rig.clock.now()).accepts(&host_of(name), id, secret)
}

pub(super) async fn execute(rig: &Rig, statement: &'static str) {
    sqlx::query(statement).execute(rig.pool()).await.unwrap();
}

#[tokio::test]
async fn the_daemons_role_suffices_for_every_visit() {
    let rig = super::rig().await.with_replicas_as_daemon().await;
    let replica = rig.replica().await;
    for name in ["acme", "hand"] {
        rig.given_tenant(name).await;
    }
    execute(&rig, "UPDATE tenantd.tenants SET not_before = tenantd.clock() + interval '1 year' WHERE external_id = 'hand'")
        .await;
    let made = made_by_hand(&rig, "hand", "portal", "x");
    let inspector = inspector(&rig).await;
    let adoption =
        Adoption { client: ClientId::new(made.client_id.clone()), replace: false, by: "a test".into() };
    inspector.adopt(tenant(&rig, "hand").await, &adoption).await.unwrap();
    rig.work_until_quiet(&replica).await;
    inspector.old_secrets(tenant(&rig, "hand").await, Some("a test")).await.unwrap();
    let (acme, id) = (tenant(&rig, "acme").await, row(&rig, "acme").await.client_id.unwrap());
    console(&rig, "acme", |console| console.set_trusted(&id, false).unwrap());
    let mark = Mark { installation: inspector.store.installation(), tenant: acme }.to_string();
    let second = made_by_hand(&rig, "acme", "portal", &mark).client_id;

    assert!(inspector.drift(acme, true).await.unwrap().repair.is_some());
    inspector.revoke_tokens(acme, &Revoke::OfClient, "a test").await.unwrap();
    let plan = inspector.census(&Scope::default()).await.unwrap();
    inspector
        .apply(&plan, "a test", |entry, applied| assert_eq!(*applied, Applied::Done, "{entry:?}"))
        .await
        .unwrap();

    assert!(client(&rig, "acme", &second).deleted_at.is_some());
}
