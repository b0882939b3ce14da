//! The port's terms and the world's, both ways.
//!
//! The rule: nothing is left out that the port can tell.

use serde_json::json;

use crate::domain::field::{Change, Field, Slot, Value};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, TokenId, UserId};
use crate::domain::look::SeenClient;
use crate::domain::profile::{APP_TYPE, WantedClient};
use crate::domain::token::SeenToken;
use crate::simulator::draft::Draft;
use crate::simulator::patch::replaced;
use crate::simulator::problem::Problem;
use crate::simulator::query::{ListQuery, Paging, Sort};
use crate::simulator::records::{ClientView, SecretView};
use crate::simulator::tokens::TokenView;

/// The draft that asks for such a client.
pub(super) fn draft_of(wanted: &WantedClient) -> Result<Draft, Problem> {
    let empty = Draft { app_type: APP_TYPE.to_owned(), ..Draft::default() };
    replaced(&empty, Field::ALL.map(|field| (field.wire_name(), in_json(&field.wanted(wanted)))))
}

pub(super) fn seen_client(client: ClientView) -> SeenClient {
    let mut seen = SeenClient {
        app_type: Some(client.draft.app_type.clone()),
        created_at: Some(client.created_at),
        is_deleted: client.deleted_at.is_some(),
        is_disabled: client.disable_tag.is_some(),
        is_trusted: Some(client.is_trusted),
        secrets: seen_secrets(client.secrets),
        ..SeenClient::of(ClientId::new(client.client_id))
    };
    let fields = json!(client.draft);
    for field in Field::ALL {
        let shown = &fields[field.wire_name()];
        match field.slot(&mut seen) {
            Slot::Text(slot) => slot.push_str(shown.as_str().unwrap_or_default()),
            Slot::List(slot) => slot.extend(texts(shown)),
        }
    }
    seen
}

fn texts(list: &serde_json::Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned))
}

fn in_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => json!(text),
        Value::List(items) => json!(items),
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
    replaced(draft, changes.iter().map(|change| (change.field.wire_name(), in_json(&change.value))))
}

pub(super) fn newest_first(paging: &Paging) -> ListQuery {
    ListQuery {
        sort: Some(Sort { field: "createdAt".to_owned(), is_descending: true }),
        paging: paging.clone(),
        ..ListQuery::default()
    }
}
