//! Removals of tenants with more tokens than anybody wants to read at once.

use tenantd::domain::host::Host;
use tenantd::domain::ids::ClientId;
use tenantd::domain::ids::TenantId;
use tenantd::ports::Clock;

use tenantd::simulator::{Endpoint, Grant, NewUser, TokenRequest};
use tenantd::vault::SealedFor;

use super::{host_of, ledger, row};
use crate::support::rig::{Replica, Rig};

/// Gives a ready tenant's client this many tokens, and as many to a user of somebody else's.
async fn given_tokens(rig: &Rig, replica: &Replica, name: &str, count: usize) {
    let host = host_of(name);
    let tenant = row(rig, name).await;
    let client = ClientId::new(tenant.client_id.unwrap());
    let sealed: String = sqlx::query_scalar("SELECT sealed FROM tenantd.credentials WHERE host = $1")
        .bind(&host)
        .fetch_one(rig.pool())
        .await
        .unwrap();
    let parsed = Host::parse(&host).unwrap();
    let sealed_for = SealedFor { tenant_id: TenantId(tenant.tenant_id), host: &parsed, client_id: &client };
    let secret = replica.vault.open(&sealed, &sealed_for).unwrap();
    let mut moment = rig.world.at(rig.clock.now());
    for subject in ["ada", "eve"] {
        moment.seed_user(&host, NewUser { subject: subject.into(), ..NewUser::default() }).unwrap();
    }
    for number in 0..count {
        let grant = Grant::UserBySubject(if number % 2 == 0 { "ada" } else { "eve" });
        let (client_id, secret) = (client.as_str(), secret.expose_to_token_endpoint());
        moment.grant_token(&host, &TokenRequest { client_id, secret, grant, scope: None }).unwrap();
    }
}

/// Removes a tenant with this many tokens; returns the calls that ended them.
async fn removal_of(count: usize) -> (u64, u64) {
    let rig = Rig::unpaced().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    given_tokens(&rig, &replica, "acme", count).await;
    sqlx::query(
        "UPDATE tenantd.tenants SET desired_state = 'absent', removal_admitted_at = tenantd.clock(),
                due_at = tenantd.clock()",
    )
    .execute(rig.pool())
    .await
    .unwrap();

    rig.work_until_quiet(&replica).await;

    assert_eq!(row(&rig, "acme").await.phase, "removed");
    let ledger = ledger(&rig);
    assert_eq!(ledger.tenants[&host_of("acme")].live_clients().count(), 0);
    (ledger.calls_of(Endpoint::DeleteToken, Some(204)), ledger.calls_of(Endpoint::ListTokens, Some(200)))
}

#[tokio::test]
async fn a_removal_ends_however_many_tokens_there_are_in_time_that_is_linear() {
    let (once, twice) = (removal_of(1_500).await, removal_of(3_000).await);

    assert_eq!((once.0, twice.0), (1_501, 3_001), "each token, and the proof's, once");
    assert!(once.1 <= 40 && twice.1 * 10 <= once.1 * 22, "{once:?}, {twice:?}");
}

/// More than were once read as one list; some minutes in a debug build.
#[tokio::test]
#[ignore = "some minutes in a debug build"]
async fn a_removal_with_fifty_thousand_tokens_ends() {
    let (deleted, lists) = removal_of(50_000).await;

    assert_eq!(deleted, 50_001);
    assert!(lists < 1_100, "{lists}");
}
