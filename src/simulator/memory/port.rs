//! The Qlik port, call by call.
//!
//! The rule: one call of the port is one request, but for lists, which are one
//! request for each page of a hundred.

use std::time::Duration;

use super::views::{amended, draft_of, newest_first, seen_client, seen_secrets, seen_token};
use super::{Door, token_request};
use crate::domain::drift::Change;
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, PageCursor, RegionName, TokenId, UserId};
use crate::domain::look::SeenClient;
use crate::domain::profile::WantedClient;
use crate::domain::region::AllowedHost;
use crate::domain::secret::ClientSecret;
use crate::domain::token::TokenPage;
use crate::ports::{NewClient, NewSecret, QlikApi};
use crate::simulator::behaviour::HintSpelling;
use crate::simulator::endpoint::Endpoint;
use crate::simulator::problem::Problem;
use crate::simulator::query::{Filter, Paging};
use crate::simulator::tenants::Caller;
use crate::simulator::world::Moment;

impl Door {
    /// All items of a list, a hundred with each request.
    async fn pages<T, A>(&self, host: &AllowedHost, endpoint: Endpoint, read: A) -> Result<Vec<T>, Failure>
    where
        T: Send + 'static,
        A: Fn(&mut Moment<'_>, Caller<'_>, &Paging) -> Result<(Vec<T>, Option<String>), Problem>
            + Clone
            + Send
            + 'static,
    {
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let read = read.clone();
            let (items, next) = self
                .call(host, endpoint, move |moment, caller| {
                    read(moment, caller, &Paging::of(100, cursor.as_deref())?)
                })
                .await?;
            seen.extend(items);
            cursor = next;
            if cursor.is_none() {
                return Ok(seen);
            }
        }
    }
}

impl QlikApi for Door {
    async fn create_client(&self, host: &AllowedHost, wanted: &WantedClient) -> Result<NewClient, Failure> {
        let wanted = wanted.clone();
        self.call(host, Endpoint::CreateClient, move |moment, caller| {
            let created = moment.create_client(caller, draft_of(&wanted)?, false)?;
            // A web client always has one; Qlik's schema requires it in the answer.
            let secret = created.secret.ok_or_else(|| Problem::of_status(500))?;
            let hint = created.hint.filter(|_| created.spelling != HintSpelling::Neither);
            Ok(NewClient {
                client_id: ClientId::new(created.client_id),
                secret: ClientSecret::new(secret.reveal().to_owned()),
                hint: hint.map(Hint::new),
            })
        })
        .await
    }

    async fn list_clients(&self, host: &AllowedHost) -> Result<Vec<SeenClient>, Failure> {
        self.pages(host, Endpoint::ListClients, |moment, caller, paging| {
            let page = moment.list_clients(caller, &newest_first(paging))?;
            Ok((page.clients.into_iter().map(seen_client).collect(), page.next))
        })
        .await
    }

    async fn list_secrets(&self, host: &AllowedHost, client: &ClientId) -> Result<Vec<SeenSecret>, Failure> {
        let id = client.to_string();
        let view = self
            .call(host, Endpoint::GetClient, move |moment, caller| moment.get_client(caller, &id))
            .await?;
        Ok(seen_secrets(view.secrets))
    }

    async fn delete_client(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        let id = client.to_string();
        let outcome = self
            .call(host, Endpoint::DeleteClient, move |moment, caller| {
                moment.delete_client(caller, &id, Some(&id))
            })
            .await;
        gone_is_done(outcome)
    }

    async fn mint_secret(&self, host: &AllowedHost, client: &ClientId) -> Result<NewSecret, Failure> {
        let id = client.to_string();
        self.call(host, Endpoint::MintSecret, move |moment, caller| {
            let minted = moment.mint_secret(caller, &id)?;
            Ok(NewSecret {
                secret: ClientSecret::new(minted.secret.reveal().to_owned()),
                hint: minted.shown_hint().map(Hint::new),
            })
        })
        .await
    }

    async fn delete_secret(&self, host: &AllowedHost, client: &ClientId, hint: &Hint) -> Result<(), Failure> {
        let (id, hint) = (client.to_string(), hint.to_string());
        let outcome = self
            .call(host, Endpoint::DeleteSecret, move |moment, caller| {
                moment.delete_secret(caller, &id, &hint)
            })
            .await;
        gone_is_done(outcome)
    }

    async fn is_trusted(&self, host: &AllowedHost, client: &ClientId) -> Result<bool, Failure> {
        let id = client.to_string();
        self.call(host, Endpoint::GetConsent, move |moment, caller| moment.is_trusted(caller, &id)).await
    }

    async fn trust(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        let id = client.to_string();
        self.call(host, Endpoint::SetConsent, move |moment, caller| moment.set_trusted(caller, &id, true))
            .await
    }

    async fn amend(&self, host: &AllowedHost, client: &ClientId, changes: &[Change]) -> Result<(), Failure> {
        if changes.is_empty() {
            return Ok(());
        }
        let (id, changes) = (client.to_string(), changes.to_vec());
        self.call(host, Endpoint::PatchClient, move |moment, caller| {
            moment.edit_client(caller, &id, |draft| amended(draft, &changes)).map(drop)
        })
        .await
    }

    async fn bots_of(&self, host: &AllowedHost, client: &ClientId) -> Result<Vec<UserId>, Failure> {
        let id = client.to_string();
        self.pages(host, Endpoint::ListUsers, move |moment, caller, paging| {
            let page = moment.list_users(caller, &Filter::equal("clientId", &id), paging)?;
            // An empty filter matches those who have no client at all.
            let bots = page.users.into_iter().filter(|user| user.client_id.as_ref() == Some(&id));
            Ok((bots.map(|user| UserId::new(user.id)).collect(), page.next))
        })
        .await
    }

    async fn delete_user(&self, host: &AllowedHost, user: &UserId) -> Result<(), Failure> {
        let id = user.to_string();
        let outcome = self
            .call(host, Endpoint::DeleteUser, move |moment, caller| moment.delete_user(caller, &id))
            .await;
        gone_is_done(outcome)
    }

    async fn page_of_tokens(
        &self,
        host: &AllowedHost,
        user: Option<&UserId>,
        at: Option<&PageCursor>,
    ) -> Result<TokenPage, Failure> {
        let (user, at) = (user.map(ToString::to_string), at.map(ToString::to_string));
        self.call(host, Endpoint::ListTokens, move |moment, caller| {
            let page = moment.list_tokens(caller, user.as_deref(), &Paging::of(100, at.as_deref())?)?;
            let tokens = page.tokens.into_iter().map(seen_token).collect();
            Ok(TokenPage { tokens, next: page.next.map(PageCursor::new) })
        })
        .await
    }

    async fn delete_token(&self, host: &AllowedHost, token: &TokenId) -> Result<(), Failure> {
        let id = token.to_string();
        let outcome = self
            .call(host, Endpoint::DeleteToken, move |moment, caller| moment.delete_token(caller, &id))
            .await;
        gone_is_done(outcome)
    }

    async fn delete_tokens_of(&self, host: &AllowedHost, client: &ClientId) -> Result<(), Failure> {
        let id = client.to_string();
        self.call(host, Endpoint::DeleteTokensByFilter, move |moment, caller| {
            moment.delete_tokens_by_filter(caller, Some(&id), None)
        })
        .await
    }

    async fn prove(
        &self,
        host: &AllowedHost,
        client: &ClientId,
        secret: &ClientSecret,
    ) -> Result<(), Failure> {
        let secret = secret.expose_to_token_endpoint().to_owned();
        let request = token_request(host, client.to_string(), secret);
        self.deliver(host, Endpoint::ClientToken, request).await.map(drop)
    }

    async fn bot_user(&self, host: &AllowedHost) -> Result<UserId, Failure> {
        self.call(host, Endpoint::Me, |moment, caller| {
            let (_, me) = moment.me(caller)?;
            Ok(UserId::new(me.id))
        })
        .await
    }

    async fn roles(&self, host: &AllowedHost) -> Result<Option<Vec<String>>, Failure> {
        self.call(host, Endpoint::Me, |moment, caller| Ok(Some(moment.me(caller)?.1.roles))).await
    }

    async fn authenticate(&self, host: &AllowedHost) -> Result<(), Failure> {
        self.fetch_token(host).await.map(drop)
    }

    fn last_token(&self, region: &RegionName) -> Option<Duration> {
        let granted = *self.session().granted.get(region)?;
        Some(self.clock.elapsed().saturating_sub(granted))
    }
}

/// What is gone already counts as deleted.
fn gone_is_done(outcome: Result<(), Failure>) -> Result<(), Failure> {
    match outcome {
        Err(Failure { kind: FailureKind::NotFound, .. }) => Ok(()),
        Ok(()) | Err(_) => outcome,
    }
}
