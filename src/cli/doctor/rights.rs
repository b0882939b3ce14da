//! Whether a region's OAuth client may read what the daemon reads, and which rights it is
//! known to lack.
//!
//! The rule: **only reading is tried.** Qlik has no other way to ask for a right than to
//! use it, and a write that is let through has written. Whether writes are allowed shows
//! in the role of our user, and in what the daemons were refused.

use super::finding::Findings;
use crate::app;
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::ids::{ClientId, RegionName};
use crate::domain::look::SeenClient;
use crate::domain::message::Message;
use crate::domain::region::AllowedHost;
use crate::domain::rights::REMEDY;
use crate::ports::QlikApi;
use crate::postgres::Store;

const CHECK: &str = "right";
/// Without which a user manages no OAuth clients.
const ROLE: &str = "TenantAdmin";
/// A client that no tenant has, whose bot users are asked for.
const NOBODY: &str = "tenantd-doctor";

pub(super) async fn check(
    cloud: &impl QlikApi,
    region: &RegionName,
    host: &AllowedHost,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let mut is_sound = true;
    for (what, read) in reads(cloud, host).await {
        let Err(failure) = read else { continue };
        is_sound = false;
        let what = format!("{region}: {}: may not read {what}: {failure}", host.host());
        if is_refusal(&failure.kind) {
            findings.fail(CHECK, Message::new(what, REMEDY))?;
        } else {
            findings.warn(CHECK, &what, "run this again in a few minutes")?;
        }
    }
    if let Ok(Some(roles)) = cloud.roles(host).await
        && !roles.iter().any(|role| role == ROLE)
    {
        is_sound = false;
        let what = format!("{region}: {}: our user has not the role {ROLE}", host.host());
        findings.fail(CHECK, Message::new(what, REMEDY))?;
    }
    if is_sound {
        findings.ok(CHECK, &format!("{region}: {} lets it read what tenantd reads", host.host()))?;
    }
    Ok(())
}

/// Every kind of reading that the daemon does, and what came of it.
async fn reads(cloud: &impl QlikApi, host: &AllowedHost) -> Vec<(&'static str, Result<(), Failure>)> {
    let me = cloud.bot_user(host).await;
    let clients = cloud.list_clients(host).await;
    let mut reads = Vec::new();
    // Any client that is shown in full will do, ours or not: what is read is thrown away.
    let is_whole = |client: &&SeenClient| {
        !client.is_deleted
            && client.fault.is_none()
            && !(client.description.is_empty() && client.secrets.is_empty())
    };
    if let Some(client) = clients.iter().flatten().find(is_whole) {
        reads.push((
            "the secrets of OAuth clients",
            cloud.list_secrets(host, &client.client_id).await.map(drop),
        ));
        reads.push((
            "the consent of OAuth clients",
            cloud.is_trusted(host, &client.client_id).await.map(drop),
        ));
    }
    reads.push(("users", cloud.bots_of(host, &ClientId::new(NOBODY)).await.map(drop)));
    if let Ok(me) = &me {
        reads.push(("tokens", cloud.list_tokens(host, Some(me)).await.map(drop)));
    }
    reads.push(("OAuth clients", clients.map(drop)));
    reads.push(("its own user", me.map(drop)));
    reads
}

fn is_refusal(kind: &FailureKind) -> bool {
    match kind {
        FailureKind::Forbidden
        | FailureKind::CredentialRefused
        | FailureKind::TokenRefused
        | FailureKind::Rejected => true,
        FailureKind::NotConnected
        | FailureKind::NoToken
        | FailureKind::NoAnswer
        | FailureKind::ServerError
        | FailureKind::Unreadable
        | FailureKind::IllegibleClient { .. }
        | FailureKind::Throttled { .. }
        | FailureKind::TenantUnavailable
        | FailureKind::NotFound
        | FailureKind::Conflict => false,
    }
}

/// What the daemons were refused wherever they asked.
pub(super) async fn missing(store: &Store, findings: &mut Findings) -> anyhow::Result<()> {
    let missing = match store.missing_rights().await {
        Ok(missing) => missing,
        Err(error) => return Ok(findings.fail(CHECK, app::started(&error).message())?),
    };
    for right in missing {
        let since = right.since.format("%Y-%m-%d %H:%M UTC");
        let what = format!(
            "{}: lacks the right to {} since {since}, {} tenants wait: {}",
            right.region, right.effect, right.waiting, right.answer
        );
        findings.fail(CHECK, Message::new(what, REMEDY))?;
    }
    Ok(())
}
