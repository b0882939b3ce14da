//! A client as a list or a read shows it to an administrator.
//!
//! The rule: what tells one client from another must be there and of its type
//! (id, description, secrets); what is only compared with what it should be may
//! be missing or odd, and then reads as empty or untold.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{is_never, plain, plain_text};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, UserId};
use crate::domain::look::SeenClient;

/// A client as it came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::qlik) struct SeenItem {
    #[serde(deserialize_with = "plain")]
    client_id: String,
    description: Option<String>,
    created_at: Option<DateTime<Utc>>,
    deleted_at: Option<String>,
    client_secrets: Option<Vec<SecretHint>>,
    #[serde(default)]
    client_name: Value,
    #[serde(default)]
    allowed_scopes: Value,
    #[serde(default)]
    allowed_grant_types: Value,
    #[serde(default)]
    redirect_uris: Value,
    #[serde(default)]
    allowed_origins: Value,
    #[serde(default)]
    disable_tag: Value,
    #[serde(default)]
    connection_config: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretHint {
    #[serde(deserialize_with = "plain")]
    hint: String,
    #[serde(default)]
    created_by: Value,
}

impl SeenItem {
    /// It is only a tombstone.
    pub(in crate::qlik) fn is_deleted(&self) -> bool {
        self.deleted_at.as_deref().is_some_and(|at| !at.is_empty() && !is_never(at))
    }

    /// It shows nothing that only administrators see, and no description either:
    /// our mark would be invisible on it.
    pub(in crate::qlik) fn is_reduced(&self) -> bool {
        self.description.is_none() && self.client_secrets.is_none() && self.redirect_uris.is_null()
    }

    /// The hints of its secrets.
    pub(in crate::qlik) fn into_secrets(self) -> Vec<SeenSecret> {
        self.client_secrets.unwrap_or_default().into_iter().map(SeenSecret::from).collect()
    }

    /// The client, if it says when it was made.
    pub(in crate::qlik) fn into_seen(self) -> Option<SeenClient> {
        Some(SeenClient {
            is_deleted: self.is_deleted(),
            is_disabled: self.is_disabled(),
            is_trusted: self.is_trusted(),
            created_at: self.created_at?,
            client_id: ClientId::new(&self.client_id),
            name: self.client_name.as_str().unwrap_or_default().to_owned(),
            scopes: texts(&self.allowed_scopes),
            grants: texts(&self.allowed_grant_types),
            redirect_uris: texts(&self.redirect_uris),
            allowed_origins: texts(&self.allowed_origins),
            description: self.description.clone().unwrap_or_default(),
            secrets: self.into_secrets(),
        })
    }

    /// The tag's type is not documented: whatever is set disables.
    fn is_disabled(&self) -> bool {
        match &self.disable_tag {
            Value::Null | Value::Bool(false) => false,
            Value::String(tag) => !tag.is_empty(),
            Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
        }
    }

    /// A read of one client has no such field; a list may leave it out.
    fn is_trusted(&self) -> Option<bool> {
        let method = self.connection_config.get("consentMethod")?.as_str()?;
        Some(method == "trusted")
    }
}

impl From<SecretHint> for SeenSecret {
    fn from(secret: SecretHint) -> Self {
        let created_by = plain_text(&secret.created_by).map(UserId::new);
        Self { hint: Hint::new(secret.hint), created_by }
    }
}

/// The texts of a list; what is no list has none.
fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
