//! Users as answers show them.
//!
//! The rules: whose bot a user is stands in its `clientId`; its subject is believed only
//! where that is missing. A user that is not our client's bot may look as it likes.

use serde::Deserialize;
use serde_json::Value;

use super::item::Item;
use super::{plain, plain_text};
use crate::domain::ids::{ClientId, UserId};

/// Who may do everything on a tenant.
const ADMINISTRATOR: &str = "TenantAdmin";

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

/// What the answer of `GET /api/v1/users/me` says of our rights.
#[derive(Deserialize)]
#[serde(transparent)]
pub(in crate::qlik) struct Rights(Item);

impl Rights {
    /// Whether we are an administrator, as far as it says so.
    pub(in crate::qlik) fn is_administrator(&self) -> bool {
        let roles = self.0.get("roles").as_array().map(Vec::as_slice).unwrap_or_default();
        roles.iter().any(|role| role.as_str() == Some(ADMINISTRATOR))
    }
}

/// An item of `GET /api/v1/users`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(in crate::qlik) struct SeenUser(Item);

impl SeenUser {
    /// Its id, where it has one.
    pub(in crate::qlik) fn id(&self) -> Option<UserId> {
        plain_text(self.0.get("id")).map(UserId::new)
    }

    /// It is no user at all, or tells twice whose it is, and it names this client.
    pub(in crate::qlik) fn may_hide_a_bot_of(&self, client: &ClientId) -> bool {
        let is_odd =
            !self.0.is_object() || ["id", "clientId", "subject"].iter().any(|name| self.0.is_twice(name));
        is_odd && self.0.mentions(client.as_str())
    }

    /// Whether Qlik made it for this client.
    pub(in crate::qlik) fn is_bot_of(&self, client: &ClientId) -> bool {
        match self.0.get("clientId") {
            Value::String(named) if !named.is_empty() => named == client.as_str(),
            Value::Null | Value::String(_) => {
                let name =
                    self.0.get("subject").as_str().and_then(|subject| subject.strip_prefix("qlikbot\\"));
                name == Some(client.as_str())
            }
            // It names something, and that is not this client.
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
        }
    }
}
