//! Users as answers show them.
//!
//! The rule: a user that names its client is believed, and its name only where it
//! names none.

use serde::Deserialize;
use serde_json::Value;

use super::plain;
use crate::domain::ids::ClientId;

/// The answer of `GET /api/v1/users/me`.
#[derive(Deserialize)]
pub(in crate::qlik) struct Me {
    #[serde(deserialize_with = "plain")]
    pub(in crate::qlik) id: String,
    #[serde(default)]
    roles: Value,
}

impl Me {
    /// `None` unless it is a list of names.
    pub(in crate::qlik) fn roles(&self) -> Option<Vec<String>> {
        self.roles.as_array()?.iter().map(|role| role.as_str().map(ToOwned::to_owned)).collect()
    }
}

/// An item of `GET /api/v1/users`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::qlik) struct SeenUser {
    #[serde(deserialize_with = "plain")]
    pub(in crate::qlik) id: String,
    #[serde(default)]
    client_id: Value,
    #[serde(default)]
    subject: Value,
}

impl SeenUser {
    /// Whether Qlik made it for this client.
    pub(in crate::qlik) fn is_bot_of(&self, client: &ClientId) -> bool {
        match &self.client_id {
            Value::String(named) if !named.is_empty() => named == client.as_str(),
            Value::Null | Value::String(_) => {
                let name = self.subject.as_str().and_then(|subject| subject.strip_prefix("qlikbot\\"));
                name == Some(client.as_str())
            }
            // It names something, and that is not this client.
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
        }
    }
}
