//! Issued tokens as the list shows them.
//!
//! The rule: a token with something missing or odd costs nobody the list. Without an id
//! it cannot be ended; without user and client it is nobody's.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::item::Item;
use super::{is_never, plain_text};
use crate::domain::ids::{ClientId, TokenId, UserId};
use crate::domain::token::SeenToken;

impl From<Item> for SeenToken {
    fn from(item: Item) -> Self {
        let text = |name| plain_text(item.get(name)).map(str::to_owned);
        Self {
            id: TokenId::new(text("id").unwrap_or_default()),
            user: UserId::new(text("userId").unwrap_or_default()),
            // In the guide's example, yet not in the schema.
            client: text("clientId").map(ClientId::new),
            description: text("description"),
            last_used: instant(item.get("lastUsed")),
        }
    }
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    let text = value.as_str().filter(|text| !is_never(text))?;
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}
