//! Tokens, listed and revoked under the lease.

use tenantd::domain::ids::UserId;
use tenantd::engine::tokens::Revoke;

use super::{inspector, tenant};
use crate::engine::{host_of, ledger, rig, row};

#[tokio::test]
async fn a_clients_tokens_are_told_from_the_regions_and_revoked_alone() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let (inspector, acme) = (inspector(&rig).await, tenant(&rig, "acme").await);
    let id = row(&rig, "acme").await.client_id.unwrap();

    let all = inspector.tokens(acme, None).await.unwrap();
    let of_nobody = inspector.tokens(acme, Some(&UserId::new("nobody"))).await.unwrap();
    let revoked = inspector.revoke_tokens(acme, &Revoke::OfClient, "a test").await.unwrap();
    let left = inspector.tokens(acme, None).await.unwrap();
    let again = inspector.revoke_tokens(acme, &Revoke::Tokens(revoked.clone()), "a test").await.unwrap();

    let is_ours = |token: &&tenantd::domain::token::SeenToken| {
        token.client.as_ref().is_some_and(|client| client.as_str() == id)
    };
    assert_eq!((revoked.len(), of_nobody.len()), (1, 0), "the proof's");
    assert_eq!(all.len(), left.len() + 1);
    assert!(all.iter().filter(is_ours).count() <= 1 && left.iter().all(|token| !revoked.contains(&token.id)));
    assert_eq!(again, revoked, "what is gone already counts");
    assert_eq!(ledger(&rig).tenants[&host_of("acme")].live_clients().count(), 1);
}
