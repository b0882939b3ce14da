//! Acts at Qlik that take several requests: written once, for workers and for visits.
//!
//! The rule: whoever calls holds the tenant's lease. Nothing here knows why it is done.

use crate::domain::failure::{Failure, FailureKind};
use crate::domain::ids::{ClientId, TokenId, UserId};
use crate::domain::look::{self, SeenClient};
use crate::domain::mark::Mark;
use crate::domain::region::AllowedHost;
use crate::domain::token::{Walk, Walked};
use crate::ports::QlikApi;

/// All clients, of which those of the row could be read in full. Where others bear its mark,
/// it is known whether we made them.
pub(crate) async fn look<Q: QlikApi>(
    api: &Q,
    host: &AllowedHost,
    mark: &Mark,
    committed: Option<&ClientId>,
) -> Result<Vec<SeenClient>, Failure> {
    let mut seen = api.list_clients(host).await?;
    if let Some((client, fault)) = look::illegible(mark, committed, &seen) {
        let kind = FailureKind::IllegibleClient { client: client.to_string(), fault };
        return Err(Failure::unanswered(kind));
    }
    if look::needs_maker(mark, committed, &seen) {
        look::tell_makers(&mut seen, &api.bot_user(host).await?);
    }
    Ok(seen)
}

/// All clients, and of this one surely whether its consent is trusted: one GET where the
/// list says so, which Qlik's does.
pub(crate) async fn look_closely<Q: QlikApi>(
    api: &Q,
    host: &AllowedHost,
    mark: &Mark,
    client: &ClientId,
) -> Result<Vec<SeenClient>, Failure> {
    let mut seen = look(api, host, mark, Some(client)).await?;
    let ours = |seen: &&mut SeenClient| seen.client_id == *client && !seen.is_deleted;
    for ours in seen.iter_mut().filter(ours).filter(|seen| seen.is_trusted.is_none()) {
        ours.is_trusted = Some(api.is_trusted(host, client).await?);
    }
    Ok(seen)
}

/// Whose tokens are meant.
pub(crate) struct TokenHolder<'a> {
    /// The client.
    pub(crate) client: &'a ClientId,
    /// Its bot users.
    pub(crate) bots: &'a [UserId],
}

/// Revokes the holder's tokens on the page where a walk stands, as many as there is time
/// for. Returns where to go on, or `None` at the end, and what was revoked.
pub(crate) async fn revoke_page<Q: QlikApi>(
    api: &Q,
    host: &AllowedHost,
    holder: &TokenHolder<'_>,
    walk: Walk,
    has_time: impl Fn() -> bool,
) -> Result<(Option<Walk>, Vec<TokenId>), Failure> {
    let page = api.page_of_tokens(host, None, walk.at()).await?;
    let mut revoked = Vec::new();
    for token in walk.to_revoke(&page, holder.client, holder.bots) {
        if !revoked.is_empty() && !has_time() {
            break;
        }
        if token.as_str().is_empty() {
            return Err(Failure::unanswered(FailureKind::Unreadable));
        }
        api.delete_token(host, &token).await?;
        revoked.push(token);
    }
    if !revoked.is_empty() {
        return Ok((Some(walk.again(&page, &revoked)), revoked));
    }
    match walk.past(page.next) {
        Walked::On(walk) => Ok((Some(walk), revoked)),
        Walked::Ended => Ok((None, revoked)),
        Walked::Circle => Err(Failure::unanswered(FailureKind::Unreadable)),
    }
}

/// Deletes the bot users that Qlik made for a client; one that is gone counts.
pub(crate) async fn delete_bots<Q: QlikApi>(
    api: &Q,
    host: &AllowedHost,
    bots: &[UserId],
) -> Result<(), Failure> {
    for bot in bots {
        api.delete_user(host, bot).await?;
    }
    Ok(())
}
