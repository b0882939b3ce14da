//! The users API: who we are, and which bot users Qlik made for a client.
//!
//! The rules: the bot user's id is what tells secrets of our own making from those
//! an administrator made by hand, so it is asked and never derived; and **a user
//! is a client's bot only if it says so itself**: what a server makes of our
//! filter must never let us delete a person.

use super::caller::Caller;
use super::endpoint::{Call, DELETE_USER, LIST_USERS, READ_ME, unsendable};
use super::pages::{self, List};
use super::wire::users::{Me, Rights, SeenUser};
use crate::domain::failure::Failure;
use crate::domain::ids::{ClientId, UserId};
use crate::domain::region::AllowedHost;

/// The user that the region's credential acts as on this tenant. Qlik makes it
/// at the first token request.
pub(super) async fn me(caller: &Caller, host: &AllowedHost) -> Result<UserId, Failure> {
    let answer = caller.call(host, &Call::new(&READ_ME, &[])?).await?;
    Ok(UserId::new(answer.read::<Me>()?.id))
}

/// The roles that the same answer names.
pub(super) async fn roles(caller: &Caller, host: &AllowedHost) -> Result<Option<Vec<String>>, Failure> {
    let answer = caller.call(host, &Call::new(&READ_ME, &[])?).await?;
    Ok(answer.read::<Me>()?.roles())
}

/// The bot users of a client.
pub(super) async fn bots_of(
    caller: &Caller,
    host: &AllowedHost,
    client: &ClientId,
) -> Result<Vec<UserId>, Failure> {
    // A value in a filter is a JSON string (RFC 7644, section 3.4.2.2).
    let id = serde_json::to_string(client.as_str()).map_err(|_| unsendable())?;
    let filter = format!("clientId eq {id}");
    let query = [("filter", filter.as_str()), ("limit", "100")];
    let list = List { endpoint: &LIST_USERS, query: &query, cursors: &["next"] };
    pages::all(caller, host, &list, |user: SeenUser, answer| {
        if user.may_hide_a_bot_of(client) {
            return Err(answer.unreadable());
        }
        if !user.is_bot_of(client) {
            return Ok(None);
        }
        user.id().map(Some).ok_or_else(|| answer.unreadable())
    })
    .await
}

/// Whether the user that we act as is an administrator, which the answer says.
pub(super) async fn is_administrator(caller: &Caller, host: &AllowedHost) -> Result<bool, Failure> {
    let answer = caller.call(host, &Call::new(&READ_ME, &[])?).await?;
    Ok(answer.read::<Rights>()?.is_administrator())
}

pub(super) async fn delete(caller: &Caller, host: &AllowedHost, user: &UserId) -> Result<(), Failure> {
    caller.delete(host, &Call::new(&DELETE_USER, &[user.as_str()])?).await
}
