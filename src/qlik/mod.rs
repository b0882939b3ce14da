//! Qlik Cloud over HTTPS: the adapter behind [`QlikApi`].
//!
//! A call goes down through four layers, each of which knows one thing:
//! `oauth_clients`, `oauth_tokens` and `users` know what to ask and how to read the answer,
//! `caller` knows what a refused token means, `token` knows who we are on which host,
//! and `transport` knows how to send, how much to read and what a failure proves.
//! `endpoint` lists every request there is.
//!
//! The rules: **a request is written once**, with the one exception of a 401,
//! which proves that nothing was done; **a token goes to the host that gave it
//! and to no other**; and nothing of an answer's body is ever logged or quoted.

mod body;
mod caller;
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
use crate::domain::failure::Failure;
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, PageCursor, RegionName, TokenId, UserId};
use crate::domain::look::SeenClient;
use crate::domain::profile::WantedClient;
use crate::domain::region::AllowedHost;
use crate::domain::secret::{ClientSecret, RegionCredential};
use crate::domain::token::TokenPage;
use crate::ports::{Clock, NewClient, NewSecret, QlikApi};
use caller::Caller;
use token::Tokens;
use transport::Transport;

/// Every Qlik Cloud tenant that the configured regions allow.
pub struct Cloud {
    caller: Caller,
}

impl Cloud {
    /// A client with these options, acting on each region with its credential.
    pub fn new(
        options: &CloudOptions,
        credentials: HashMap<RegionName, RegionCredential>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidOptions> {
        let transport = Arc::new(Transport::new(options, Arc::clone(&clock))?);
        let tokens = Tokens::new(Arc::clone(&transport), credentials, clock);
        Ok(Self { caller: Caller { transport, tokens } })
    }

    /// The same way to Qlik with these credentials: connections, pacing, and the tokens of
    /// credentials that stay the same go on.
    #[must_use]
    pub fn with_credentials(&self, credentials: HashMap<RegionName, RegionCredential>) -> Self {
        let tokens = self.caller.tokens.with_credentials(credentials);
        Self { caller: Caller { transport: Arc::clone(&self.caller.transport), tokens } }
    }
}

impl QlikApi for Cloud {
    async fn create_client(&self, host: &AllowedHost, wanted: &WantedClient) -> Result<NewClient, Failure> {
        oauth_clients::create(&self.caller, host, wanted).await
    }

    async fn list_clients(&self, host: &AllowedHost) -> Result<Vec<SeenClient>, Failure> {
        oauth_clients::list(&self.caller, host).await
    }

    async fn list_secrets(&self, host: &AllowedHost, client: &ClientId) -> Result<Vec<SeenSecret>, Failure> {
        oauth_clients::list_secrets(&self.caller, host, client).await
    }

    async fn delete_client(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        oauth_clients::delete(&self.caller, host, client).await
    }

    async fn mint_secret(&self, host: &AllowedHost, client: &ClientId) -> Result<NewSecret, Failure> {
        oauth_clients::mint_secret(&self.caller, host, client).await
    }

    async fn delete_secret(&self, host: &AllowedHost, client: &ClientId, hint: &Hint) -> Result<(), Failure> {
        oauth_clients::delete_secret(&self.caller, host, client, hint).await
    }

    async fn is_trusted(&self, host: &AllowedHost, client: &ClientId) -> Result<bool, Failure> {
        oauth_clients::is_trusted(&self.caller, host, client).await
    }

    async fn trust(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        oauth_clients::trust(&self.caller, host, client).await
    }

    async fn amend(&self, host: &AllowedHost, client: &ClientId, changes: &[Change]) -> Result<(), Failure> {
        oauth_clients::amend(&self.caller, host, client, changes).await
    }

    async fn bots_of(&self, host: &AllowedHost, client: &ClientId) -> Result<Vec<UserId>, Failure> {
        users::bots_of(&self.caller, host, client).await
    }

    async fn delete_user(&self, host: &AllowedHost, user: &UserId) -> Result<(), Failure> {
        users::delete(&self.caller, host, user).await
    }

    async fn page_of_tokens(
        &self,
        host: &AllowedHost,
        user: Option<&UserId>,
        at: Option<&PageCursor>,
    ) -> Result<TokenPage, Failure> {
        oauth_tokens::page(&self.caller, host, user, at).await
    }

    async fn delete_token(&self, host: &AllowedHost, token: &TokenId) -> Result<(), Failure> {
        oauth_tokens::delete(&self.caller, host, token).await
    }

    async fn delete_tokens_of(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        oauth_tokens::delete_of(&self.caller, host, client).await
    }

    async fn prove(
        &self,
        host: &AllowedHost,
        client: &ClientId,
        secret: &ClientSecret,
    ) -> Result<(), Failure> {
        token::prove(&self.caller.transport, host, client, secret).await
    }

    async fn bot_user(&self, host: &AllowedHost) -> Result<UserId, Failure> {
        users::me(&self.caller, host).await
    }

    async fn roles(&self, host: &AllowedHost) -> Result<Option<Vec<String>>, Failure> {
        users::roles(&self.caller, host).await
    }

    async fn authenticate(&self, host: &AllowedHost) -> Result<(), Failure> {
        self.caller.tokens.fetch_anew(host).await
    }

    fn last_token(&self, region: &RegionName) -> Option<Duration> {
        self.caller.tokens.last_token(region)
    }
}
