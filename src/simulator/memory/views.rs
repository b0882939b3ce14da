//! The port's terms and the world's, both ways.
//!
//! The rule: nothing is left out that the port can tell.

use crate::domain::drift::{Change, Field, Value};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, TokenId, UserId};
use crate::domain::look::{Maker, SeenClient};
use crate::domain::profile::WantedClient;
use crate::domain::token::SeenToken;
use crate::simulator::draft::{CLIENT_CREDENTIALS, Draft, IMPERSONATION, WEB};
use crate::simulator::problem::Problem;
use crate::simulator::query::{ListQuery, Paging, Sort};
use crate::simulator::records::{ClientView, SecretView};
use crate::simulator::tokens::TokenView;

pub(super) fn draft_of(wanted: &WantedClient) -> Draft {
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

pub(super) fn seen_client(client: ClientView) -> SeenClient {
    SeenClient {
        client_id: ClientId::new(client.client_id),
        name: client.draft.client_name,
        description: client.draft.description,
        scopes: client.draft.allowed_scopes,
        grants: client.draft.allowed_grant_types,
        redirect_uris: client.draft.redirect_uris,
        allowed_origins: client.draft.allowed_origins,
        app_type: Some(client.draft.app_type),
        created_at: Some(client.created_at),
        is_deleted: client.deleted_at.is_some(),
        is_disabled: client.disable_tag.is_some(),
        is_trusted: Some(client.is_trusted),
        secrets: seen_secrets(client.secrets),
        made_by: Maker::Untold,
        fault: None,
    }
}

pub(super) fn seen_secrets(secrets: Vec<SecretView>) -> Vec<SeenSecret> {
    let seen = |secret: SecretView| SeenSecret {
        hint: Hint::new(secret.hint),
        created_by: Some(UserId::new(secret.created_by)),
    };
    secrets.into_iter().map(seen).collect()
}

pub(super) fn seen_token(token: TokenView) -> SeenToken {
    SeenToken {
        id: TokenId::new(token.id),
        user: UserId::new(token.user_id),
        client: token.client_id.map(ClientId::new),
        description: None,
        last_used: Some(token.last_used),
    }
}

/// The draft with fields replaced, as a patch would.
pub(super) fn amended(draft: &Draft, changes: &[Change]) -> Result<Draft, Problem> {
    let mut amended = draft.clone();
    for Change { field, value } in changes {
        match (field, value) {
            (Field::Name, Value::Text(text)) => amended.client_name.clone_from(text),
            (Field::Description, Value::Text(text)) => amended.description.clone_from(text),
            (Field::Scopes, Value::List(items)) => amended.allowed_scopes.clone_from(items),
            (Field::Grants, Value::List(items)) => amended.allowed_grant_types.clone_from(items),
            (Field::RedirectUris, Value::List(items)) => amended.redirect_uris.clone_from(items),
            (Field::Origins, Value::List(items)) => amended.allowed_origins.clone_from(items),
            (Field::Name | Field::Description, Value::List(_))
            | (Field::Scopes | Field::Grants | Field::RedirectUris | Field::Origins, Value::Text(_)) => {
                return Err(Problem::invalid("patch: a value of the wrong type"));
            }
        }
    }
    Ok(amended)
}

pub(super) fn newest_first(paging: &Paging) -> ListQuery {
    ListQuery {
        sort: Some(Sort { field: "createdAt".to_owned(), is_descending: true }),
        paging: paging.clone(),
        ..ListQuery::default()
    }
}
