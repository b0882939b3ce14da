//! What must hold in the end, whatever happened on the way.

use tenantd::domain::hints::SLOTS;
use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::domain::region::AllowedHost;
use tenantd::domain::secret::ClientSecret;
use tenantd::ports::{Clock, QlikApi};
use tenantd::simulator::{ClientLedger, TenantLedger};
use tenantd::vault::SealedFor;
use uuid::Uuid;

use crate::support::rig::{Replica, Rig};

use super::Case;

/// What a row says of itself.
#[derive(Debug, sqlx::FromRow)]
struct Row {
    tenant_id: Uuid,
    phase: String,
    client_id: Option<String>,
    current_version: Option<i32>,
    /// Something is still to be looked at, mended, retired or removed.
    is_owed: bool,
    parked_reason: Option<String>,
}

/// A secret that is stored: its standing, hint and sealed text.
type Stored = (String, Option<String>, String);

pub(super) async fn check(rig: &Rig, case: Case, host: &str) {
    let row: Row = sqlx::query_as(
        "SELECT tenant_id, phase, client_id, current_version, parked_reason,
                drift <> '{}' OR edited_at IS NOT NULL OR repair_scope IS NOT NULL OR retire_at IS NOT NULL
                OR due_at IS NOT NULL OR recheck_at IS NOT NULL OR removal_admitted_at IS NOT NULL AND phase <> 'removed'
                OR must_look AND phase <> 'removed' AS is_owed
           FROM tenantd.tenants WHERE host = $1",
    )
    .bind(host)
    .fetch_one(rig.pool())
    .await
    .unwrap();
    let stored: Vec<Stored> =
        sqlx::query_as("SELECT standing, hint, sealed FROM tenantd.secrets WHERE tenant_id = $1")
            .bind(row.tenant_id)
            .fetch_all(rig.pool())
            .await
            .unwrap();
    let ledger = rig.world.at(rig.clock.now()).ledger();
    let tenant = &ledger.tenants[host];

    assert!(!row.is_owed && row.parked_reason.is_none(), "{case:?}: {row:?}");
    let most = case.point.way.clients() + usize::from(case.has_zombie_create());
    assert!(tenant.clients.len() <= most, "{case:?}: {} clients were made", tenant.clients.len());
    assert!(tenant.clients.iter().all(|client| client.most_secrets <= SLOTS), "{case:?}");
    let replica = rig.replica().await;
    if case.point.way.ends_removed() {
        nothing_is_left(case, &row, &stored, tenant);
        no_token_is_left(&replica, case, host).await;
    } else {
        let client = the_one_client(case, &row, tenant);
        let sealed = the_one_secret(case, &stored, client);
        it_gets_a_token(&replica, case, host, &row, sealed).await;
    }
}

fn the_one_client<'a>(case: Case, row: &Row, tenant: &'a TenantLedger) -> &'a ClientLedger {
    let live: Vec<_> = tenant.live_clients().collect();
    assert_eq!((row.phase.as_str(), live.len()), ("ready", 1), "{case:?}");
    assert_eq!(
        row.client_id.as_deref(),
        Some(live[0].client_id.as_str()),
        "{case:?}: the row knows its client"
    );
    assert_eq!(row.current_version, case.point.way.version(), "{case:?}");
    assert!(live[0].is_trusted, "{case:?}: consent");
    assert_eq!(live[0].name, "portal", "{case:?}");
    live[0]
}

fn the_one_secret<'a>(case: Case, stored: &'a [Stored], client: &ClientLedger) -> &'a str {
    let [(standing, hint, sealed)] = stored else { panic!("{case:?}: {stored:?}") };
    assert_eq!(standing, "current", "{case:?}");
    let unknown = client.live_secrets().filter(|secret| Some(&secret.hint) != hint.as_ref()).count();
    let most = usize::from(case.has_zombie_mint());
    assert!(unknown <= most, "{case:?}: {unknown} secrets that nobody knows");
    sealed
}

async fn it_gets_a_token(replica: &Replica, case: Case, host: &str, row: &Row, sealed: &str) {
    let client = ClientId::new(row.client_id.clone().unwrap());
    let secret = open(replica, host, row.tenant_id, &client, sealed);
    let allowed = replica.terms.regions.allow(&Host::parse(host).unwrap()).unwrap();
    replica.api.prove(&allowed, &client, &secret).await.unwrap_or_else(|f| panic!("{case:?}: {f}"));
}

/// The client and its current secret, as a consumer gets them.
pub(super) async fn credential(rig: &Rig, replica: &Replica, host: &str) -> (ClientId, ClientSecret) {
    let (tenant_id, client, sealed): (Uuid, String, String) = sqlx::query_as(
        "SELECT tenant_id, client_id, sealed FROM tenantd.credentials WHERE host = $1 AND stage = 'current'",
    )
    .bind(host)
    .fetch_one(rig.pool())
    .await
    .unwrap();
    let client = ClientId::new(client);
    let secret = open(replica, host, tenant_id, &client, &sealed);
    (client, secret)
}

fn open(replica: &Replica, host: &str, tenant_id: Uuid, client: &ClientId, sealed: &str) -> ClientSecret {
    let host = Host::parse(host).unwrap();
    let sealed_for = SealedFor { tenant_id: TenantId(tenant_id), host: &host, client_id: client };
    replica.vault.open(sealed, &sealed_for).unwrap()
}

fn nothing_is_left(case: Case, row: &Row, stored: &[Stored], tenant: &TenantLedger) {
    assert_eq!((row.phase.as_str(), &row.client_id), ("removed", &None), "{case:?}");
    assert_eq!((row.current_version, stored.len()), (None, 0), "{case:?}: sealed text");
    assert_eq!(tenant.live_clients().count(), 0, "{case:?}: live clients");
    let bots = tenant.clients.iter().filter(|client| tenant.has_bot_of(&client.client_id)).count();
    assert_eq!(bots, 0, "{case:?}: bot users");
}

/// The only tokens left are those of the region's own client.
async fn no_token_is_left(replica: &Replica, case: Case, host: &str) {
    let allowed: AllowedHost = replica.terms.regions.allow(&Host::parse(host).unwrap()).unwrap();
    let me = replica.api.bot_user(&allowed).await.unwrap();
    let tokens = replica.api.list_tokens(&allowed, None).await.unwrap();
    let left = tokens.iter().filter(|token| token.user != me).count();
    assert_eq!(left, 0, "{case:?}: {tokens:?}");
}
