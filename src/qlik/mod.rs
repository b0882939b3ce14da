//! Qlik Cloud over HTTPS: the adapter behind [`QlikApi`].
//!
//! A call goes down through three layers, each of which knows one thing:
//! `oauth_clients`, `oauth_tokens` and `users` know what to ask and how to read the answer,
//! `token` knows who we are on which host, and `transport` knows how to send,
//! how much to read and what a failure proves. `endpoint` lists every request
//! there is.
//!
//! The rules: **a request is written once**, with the one exception of a 401,
//! which proves that nothing was done; **a token goes to the host that gave it
//! and to no other**; and nothing of an answer's body is ever logged or quoted.

mod body;
mod endpoint;
mod error;
mod oauth_clients;
mod oauth_tokens;
mod options;
mod pacing;
mod pages;
mod token;
mod transport;
mod users;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use options::{CloudOptions, InvalidOptions};

use crate::domain::drift::Change;
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, PageCursor, RegionName, TokenId, UserId};
use crate::domain::look::SeenClient;
use crate::domain::profile::WantedClient;
use crate::domain::region::AllowedHost;
use crate::domain::secret::{ClientSecret, RegionCredential};
use crate::domain::token::TokenPage;
use crate::ports::{Clock, NewClient, NewSecret, QlikApi};
use endpoint::Call;
use token::Tokens;
use transport::{Answer, Transport};

/// Every Qlik Cloud tenant that the configured regions allow.
pub struct Cloud {
    transport: Arc<Transport>,
    tokens: Tokens,
}

impl Cloud {
    /// A client with these options, acting on each region with its credential.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`], naming the setting and the remedy.
    pub fn new(
        options: &CloudOptions,
        credentials: HashMap<RegionName, RegionCredential>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidOptions> {
        let transport = Arc::new(Transport::new(options, Arc::clone(&clock))?);
        let tokens = Tokens::new(Arc::clone(&transport), credentials, clock);
        Ok(Self { transport, tokens })
    }

    /// Sends a call with our token. A token that is refused is renewed and the
    /// call repeated, once: a 401 proves that nothing was done, so that this is
    /// safe for a create and a mint too.
    async fn call(&self, host: &AllowedHost, call: &Call) -> Result<Answer, Failure> {
        let token = self.tokens.get(host).await?;
        match self.transport.send(host.host(), call, Some(token.bearer())).await {
            Err(refused) if refused.kind == FailureKind::CredentialRefused => {}
            done => return done,
        }
        let token = self.tokens.renew(host, &token).await?;
        let result = self.transport.send(host.host(), call, Some(token.bearer())).await;
        if result.as_ref().is_err_and(|refused| refused.kind == FailureKind::CredentialRefused) {
            self.tokens.forget(host, &token);
        }
        result.map_err(Failure::with_fresh_token)
    }

    /// Sends a call that deletes one thing. One that is gone already is deleted.
    async fn delete(&self, host: &AllowedHost, call: &Call) -> Result<(), Failure> {
        match self.call(host, call).await {
            Err(failure) if failure.kind != FailureKind::NotFound => Err(failure),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl QlikApi for Cloud {
    async fn create_client(&self, host: &AllowedHost, wanted: &WantedClient) -> Result<NewClient, Failure> {
        oauth_clients::create(self, host, wanted).await
    }

    async fn list_clients(&self, host: &AllowedHost) -> Result<Vec<SeenClient>, Failure> {
        oauth_clients::list(self, host).await
    }

    async fn list_secrets(&self, host: &AllowedHost, client: &ClientId) -> Result<Vec<SeenSecret>, Failure> {
        oauth_clients::list_secrets(self, host, client).await
    }

    async fn delete_client(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        oauth_clients::delete(self, host, client).await
    }

    async fn mint_secret(&self, host: &AllowedHost, client: &ClientId) -> Result<NewSecret, Failure> {
        oauth_clients::mint_secret(self, host, client).await
    }

    async fn delete_secret(&self, host: &AllowedHost, client: &ClientId, hint: &Hint) -> Result<(), Failure> {
        oauth_clients::delete_secret(self, host, client, hint).await
    }

    async fn is_trusted(&self, host: &AllowedHost, client: &ClientId) -> Result<bool, Failure> {
        oauth_clients::is_trusted(self, host, client).await
    }

    async fn trust(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        oauth_clients::trust(self, host, client).await
    }

    async fn amend(&self, host: &AllowedHost, client: &ClientId, changes: &[Change]) -> Result<(), Failure> {
        oauth_clients::amend(self, host, client, changes).await
    }

    async fn bots_of(&self, host: &AllowedHost, client: &ClientId) -> Result<Vec<UserId>, Failure> {
        users::bots_of(self, host, client).await
    }

    async fn delete_user(&self, host: &AllowedHost, user: &UserId) -> Result<(), Failure> {
        users::delete(self, host, user).await
    }

    async fn page_of_tokens(
        &self,
        host: &AllowedHost,
        user: Option<&UserId>,
        at: Option<&PageCursor>,
    ) -> Result<TokenPage, Failure> {
        oauth_tokens::page(self, host, user, at).await
    }

    async fn delete_token(&self, host: &AllowedHost, token: &TokenId) -> Result<(), Failure> {
        oauth_tokens::delete(self, host, token).await
    }

    async fn delete_tokens_of(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        oauth_tokens::delete_of(self, host, client).await
    }

    async fn prove(
        &self,
        host: &AllowedHost,
        client: &ClientId,
        secret: &ClientSecret,
    ) -> Result<(), Failure> {
        token::prove(&self.transport, host, client, secret).await
    }

    async fn bot_user(&self, host: &AllowedHost) -> Result<UserId, Failure> {
        users::me(self, host).await
    }

    async fn roles(&self, host: &AllowedHost) -> Result<Option<Vec<String>>, Failure> {
        users::roles(self, host).await
    }

    async fn authenticate(&self, host: &AllowedHost) -> Result<(), Failure> {
        self.tokens.fetch_anew(host).await
    }

    fn last_token(&self, region: &RegionName) -> Option<Duration> {
        self.tokens.last_token(region)
    }
}
