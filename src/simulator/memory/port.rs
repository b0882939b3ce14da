//! The Qlik port, call by call.
//!
//! The rule: one call of the port is one request, but for lists, which are one
//! request for each page of a hundred.

use std::time::Duration;

use super::{Door, token_request};
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, RegionName, UserId};
use crate::domain::look::SeenClient;
use crate::domain::profile::WantedClient;
use crate::domain::region::AllowedHost;
use crate::domain::secret::ClientSecret;
use crate::ports::{NewClient, NewSecret, QlikApi};
use crate::simulator::behaviour::HintSpelling;
use crate::simulator::clients::ClientView;
use crate::simulator::draft::{CLIENT_CREDENTIALS, Draft, IMPERSONATION, WEB};
use crate::simulator::endpoint::Endpoint;
use crate::simulator::problem::Problem;
use crate::simulator::query::{ListQuery, Paging, Sort};
use crate::simulator::secrets::SecretView;

impl QlikApi for Door {
    async fn create_client(&self, host: &AllowedHost, wanted: &WantedClient) -> Result<NewClient, Failure> {
        let draft = draft_of(wanted);
        self.call(host, Endpoint::CreateClient, move |moment, caller| {
            let created = moment.create_client(caller, draft.clone(), false)?;
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
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self
                .call(host, Endpoint::ListClients, move |moment, caller| {
                    moment.list_clients(caller, &newest_first(cursor.as_deref())?)
                })
                .await?;
            seen.extend(page.clients.into_iter().map(seen_client));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(seen);
            }
        }
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

fn draft_of(wanted: &WantedClient) -> Draft {
    Draft {
        app_type: WEB.to_owned(),
        client_name: wanted.name.clone(),
        description: wanted.description.clone(),
        redirect_uris: wanted.redirect_uris.clone(),
        allowed_origins: wanted.allowed_origins.clone(),
        allowed_scopes: wanted.scopes.clone(),
        allowed_grant_types: vec![CLIENT_CREDENTIALS.to_owned(), IMPERSONATION.to_owned()],
        ..Draft::default()
    }
}

fn seen_client(client: ClientView) -> SeenClient {
    SeenClient {
        client_id: ClientId::new(client.client_id),
        description: client.draft.description,
        created_at: client.created_at,
        is_deleted: client.deleted_at.is_some(),
        secrets: seen_secrets(client.secrets),
    }
}

fn seen_secrets(secrets: Vec<SecretView>) -> Vec<SeenSecret> {
    let seen = |secret: SecretView| SeenSecret {
        hint: Hint::new(secret.hint),
        created_by: Some(UserId::new(secret.created_by)),
    };
    secrets.into_iter().map(seen).collect()
}

fn newest_first(cursor: Option<&str>) -> Result<ListQuery, Problem> {
    Ok(ListQuery {
        sort: Some(Sort { field: "createdAt".to_owned(), is_descending: true }),
        paging: Paging::of(100, cursor)?,
        ..ListQuery::default()
    })
}
