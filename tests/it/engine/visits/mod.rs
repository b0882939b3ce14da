//! Commands that visit Qlik themselves, beside daemons that work on the same rows.

mod adopt;
mod census;
mod drift;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use tenantd::domain::ids::TenantId;
use tenantd::engine::inspect::Inspector;
use tenantd::engine::{Engine, Terms};
use tenantd::ports::Clock;
use tenantd::simulator::memory::Door;
use tenantd::simulator::{ClientLedger, Console, Created, Draft};
use tenantd::vault::KeyKind;

use super::{host_of, ledger, row};
use crate::support::rig::{Rig, terms};

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
    console(rig, name, |console| console.add_client(draft, false).unwrap())
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
