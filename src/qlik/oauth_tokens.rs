//! The OAuth tokens API: which tokens are out, and their end.
//!
//! The rules: a list for one user holds that user's tokens only, whatever the server
//! makes of the condition. The delete by client, which Qlik no longer documents, fails
//! where Qlik does not have it, instead of passing for done.

use super::caller::Caller;
use super::endpoint::{Call, DELETE_TOKEN, DELETE_TOKENS, LIST_TOKENS};
use super::pages::{self, List};
use super::wire::item::Item;
use crate::domain::failure::Failure;
use crate::domain::ids::{ClientId, PageCursor, TokenId, UserId};
use crate::domain::region::AllowedHost;
use crate::domain::token::{SeenToken, TokenPage};

pub(super) async fn page(
    caller: &Caller,
    host: &AllowedHost,
    user: Option<&UserId>,
    at: Option<&PageCursor>,
) -> Result<TokenPage, Failure> {
    let mut query = vec![("limit", "100")];
    query.extend(user.map(|user| ("userId", user.as_str())));
    // `page` is what the reference says; every other list of Qlik's has `next`.
    let list = List { endpoint: &LIST_TOKENS, query: &query, cursors: &["page", "next"] };
    let (page, next) = pages::one(caller, host, &list, at).await?;
    let tokens = page.data.into_iter().map(|token: Item| SeenToken::from(token));
    let tokens = tokens.filter(|token| user.is_none_or(|user| token.user == *user)).collect();
    Ok(TokenPage { tokens, next })
}

pub(super) async fn delete(caller: &Caller, host: &AllowedHost, token: &TokenId) -> Result<(), Failure> {
    caller.delete(host, &Call::new(&DELETE_TOKEN, &[token.as_str()])?).await
}

/// Here a 404 is not success: it says that there is no such operation.
pub(super) async fn delete_of(caller: &Caller, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
    let call = Call::new(&DELETE_TOKENS, &[])?.with_query(&[("clientId", client.as_str())])?;
    caller.call(host, &call).await.map(drop)
}
