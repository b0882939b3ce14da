//! Tokens, listed and revoked under the lease.

use sqlx::AssertSqlSafe;
use tenantd::domain::ids::UserId;
use tenantd::visits::tokens::Revoke;

use super::{inspector, tenant};
use crate::engine::{host_of, ledger, rig, row};
use crate::support::rig::Rig;

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

/// What the database says may be out of date, or of a copy: tokens that it names stay, and
/// on what may be a copy nothing is revoked at all.
#[tokio::test]
async fn tokens_are_revoked_only_as_far_as_a_hold_allows() {
    let rig = rig().await;
    let replica = rig.replica().await;
    rig.given_tenant("acme").await;
    rig.work_until_quiet(&replica).await;
    let (inspector, acme) = (inspector(&rig).await, tenant(&rig, "acme").await);
    let all = || async { inspector.tokens(acme, None).await.unwrap() };
    let named = Revoke::Tokens(vec![all().await[0].id.clone()]);
    let before = all().await.len();

    hold(&rig, "deletions_held_at = now(), changes_held_at = now()").await;
    for which in [&Revoke::OfClient, &named] {
        let refused = inspector.revoke_tokens(acme, which, "a test").await.unwrap_err().to_string();
        assert!(refused.contains("a copy?") && refused.contains("tenantd rejoin --confirm"), "{refused}");
    }
    hold(&rig, "changes_held_at = NULL").await;
    let refused = inspector.revoke_tokens(acme, &Revoke::OfClient, "a test").await.unwrap_err().to_string();
    assert!(refused.contains("a copy?") && refused.contains("agree first"), "{refused}");
    assert_eq!(all().await.len(), before);

    inspector.revoke_tokens(acme, &named, "a test").await.unwrap();
    assert_eq!(all().await.len(), before - 1, "a person named it");
}

async fn hold(rig: &Rig, columns: &str) {
    let statement = format!("UPDATE tenantd.installation SET held_reason = 'a copy?', {columns}");
    sqlx::query(AssertSqlSafe(statement)).execute(rig.pool()).await.unwrap();
}
