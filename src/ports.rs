//! The only traits, because only these are not ours: time, chance, and Qlik Cloud.
//!
//! There is none over Postgres: the store is concrete and tests run on a real
//! one. The rule: a call of [`QlikApi`] is one act at Qlik. It never repeats a
//! create or a mint, and it says what happened, not what to do about it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::drift::Change;
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, PageCursor, RegionName, TokenId, UserId};
use crate::domain::look::SeenClient;
use crate::domain::profile::WantedClient;
use crate::domain::region::AllowedHost;
use crate::domain::secret::ClientSecret;
use crate::domain::token::{SeenToken, TokenPage, Walk, Walked};

/// Where the time comes from, but for leases and due times: those are made in SQL by
/// `tenantd.clock()`.
pub trait Clock: Send + Sync + 'static {
    /// The current instant, for logs and for reading HTTP dates.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed moment, never going back: for measuring.
    fn elapsed(&self) -> Duration;
}

/// Where chance comes from.
pub trait Entropy: Send + Sync + 'static {
    /// 128 random bits.
    fn bits(&self) -> u128;
}

/// A client just made, with the one sight of its secret.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct NewClient {
    pub client_id: ClientId,
    pub secret: ClientSecret,
    /// The secret's hint, where the answer gave one.
    pub hint: Option<Hint>,
}

/// A secret just minted, in its one sight.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct NewSecret {
    pub secret: ClientSecret,
    /// Its hint, where the answer gave one.
    pub hint: Option<Hint>,
}

/// Qlik Cloud, as the engine needs it. Every call authenticates with the
/// region's credential by itself, except [`QlikApi::prove`].
///
/// All calls fail with a [`Failure`] that says what it proves.
pub trait QlikApi: Send + Sync + 'static {
    /// Makes the client (`POST /api/v1/oauth-clients`). Sent at most once.
    fn create_client(
        &self,
        host: &AllowedHost,
        wanted: &WantedClient,
    ) -> impl Future<Output = Result<NewClient, Failure>> + Send;

    /// All clients of the tenant, newest first, through all pages.
    fn list_clients(
        &self,
        host: &AllowedHost,
    ) -> impl Future<Output = Result<Vec<SeenClient>, Failure>> + Send;

    /// The secrets of one client, as hints.
    fn list_secrets(
        &self,
        host: &AllowedHost,
        client: &ClientId,
    ) -> impl Future<Output = Result<Vec<SeenSecret>, Failure>> + Send;

    /// Deletes a client. One that is gone already counts as deleted.
    fn delete_client(
        &self,
        host: &AllowedHost,
        client: &ClientId,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Makes a further secret. Sent at most once.
    fn mint_secret(
        &self,
        host: &AllowedHost,
        client: &ClientId,
    ) -> impl Future<Output = Result<NewSecret, Failure>> + Send;

    /// Deletes a secret by its hint. One that is gone already counts as deleted.
    fn delete_secret(
        &self,
        host: &AllowedHost,
        client: &ClientId,
        hint: &Hint,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Whether the client's consent is trusted.
    fn is_trusted(
        &self,
        host: &AllowedHost,
        client: &ClientId,
    ) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Sets the client's consent to trusted. Safe to repeat.
    fn trust(
        &self,
        host: &AllowedHost,
        client: &ClientId,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Sets fields of a client (`PATCH`, one request; none where there is no change).
    /// Safe to repeat.
    fn amend(
        &self,
        host: &AllowedHost,
        client: &ClientId,
        changes: &[Change],
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The users that Qlik made for a client: its bot user, which outlives it.
    fn bots_of(
        &self,
        host: &AllowedHost,
        client: &ClientId,
    ) -> impl Future<Output = Result<Vec<UserId>, Failure>> + Send;

    /// Deletes a user. One that is gone already counts as deleted.
    fn delete_user(
        &self,
        host: &AllowedHost,
        user: &UserId,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// One page of the tokens issued on the tenant, of one user or of all. The first one
    /// is at `None`.
    fn page_of_tokens(
        &self,
        host: &AllowedHost,
        user: Option<&UserId>,
        at: Option<&PageCursor>,
    ) -> impl Future<Output = Result<TokenPage, Failure>> + Send;

    /// The tokens issued on the tenant, of one user or of all, through all pages. There may
    /// be more than anybody wants to hold in memory: to look for some of them, walk the
    /// pages.
    fn list_tokens(
        &self,
        host: &AllowedHost,
        user: Option<&UserId>,
    ) -> impl Future<Output = Result<Vec<SeenToken>, Failure>> + Send {
        async move {
            let (mut tokens, mut walk) = (Vec::new(), Walk::default());
            loop {
                let page = self.page_of_tokens(host, user, walk.at()).await?;
                tokens.extend(page.tokens);
                walk = match walk.past(page.next) {
                    Walked::On(walk) => walk,
                    Walked::Ended => return Ok(tokens),
                    Walked::Circle => return Err(Failure::unanswered(FailureKind::Unreadable)),
                };
            }
        }
    }

    /// Revokes a token. One that is gone already counts as revoked.
    fn delete_token(
        &self,
        host: &AllowedHost,
        token: &TokenId,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Revokes all tokens of a client by the filter form of old
    /// (`DELETE /api/v1/oauth-tokens?clientId=`), which Qlik documents no more.
    fn delete_tokens_of(
        &self,
        host: &AllowedHost,
        client: &ClientId,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Gets a token with the client's own credential and throws it away.
    fn prove(
        &self,
        host: &AllowedHost,
        client: &ClientId,
        secret: &ClientSecret,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The user our region credential acts as on this tenant.
    fn bot_user(&self, host: &AllowedHost) -> impl Future<Output = Result<UserId, Failure>> + Send;

    /// The roles of that user, where the answer tells them.
    fn roles(&self, host: &AllowedHost) -> impl Future<Output = Result<Option<Vec<String>>, Failure>> + Send;

    /// Fetches a fresh token for the region's credential and nothing else.
    fn authenticate(&self, host: &AllowedHost) -> impl Future<Output = Result<(), Failure>> + Send;

    /// How long ago a tenant of this region last gave us a token.
    fn last_token(&self, region: &RegionName) -> Option<Duration>;
}
