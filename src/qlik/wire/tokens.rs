//! Issued tokens as the list shows them.
//!
//! The rule: a token without id or user is no token; all else may be missing,
//! null or odd.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{is_never, plain, plain_text};
use crate::domain::ids::{ClientId, TokenId, UserId};
use crate::domain::token::SeenToken;

/// An item of `GET /api/v1/oauth-tokens`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::qlik) struct TokenItem {
    #[serde(deserialize_with = "plain")]
    id: String,
    #[serde(deserialize_with = "plain")]
    user_id: String,
    /// In the guide's example, yet not in the schema.
    #[serde(default)]
    client_id: Value,
    #[serde(default)]
    description: Value,
    #[serde(default)]
    last_used: Value,
}

impl From<TokenItem> for SeenToken {
    fn from(item: TokenItem) -> Self {
        Self {
            id: TokenId::new(item.id),
            user: UserId::new(item.user_id),
            client: plain_text(&item.client_id).map(ClientId::new),
            description: plain_text(&item.description).map(str::to_owned),
            last_used: instant(&item.last_used),
        }
    }
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    let text = value.as_str().filter(|text| !is_never(text))?;
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}
