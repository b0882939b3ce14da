//! A client as a list or a read shows it to an administrator.
//!
//! The rule: what tells one client from another (id, description, secrets, and when it
//! was made) must be there and of its type. Where it is not, it is named as the client's
//! fault, which matters only if the client is ours. All else is only compared with what
//! it should be: where it is missing or odd, it reads as empty or untold.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::item::Item;
use super::{is_never, is_plain, plain_text};
use crate::domain::field::{Field, Slot};
use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, UserId};
use crate::domain::look::{Maker, SeenClient};

/// Fields that come once or are a fault.
const ONCE: [&str; 6] = ["clientId", "description", "createdAt", "deletedAt", "clientSecrets", "appType"];
/// What only administrators see of a client.
const OF_ADMINISTRATORS: [&str; 4] = ["clientSecrets", "redirectUris", "publicKeys", "connectionConfig"];

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(in crate::qlik) struct SeenItem(Item);

impl SeenItem {
    /// It is only a tombstone.
    pub(in crate::qlik) fn is_deleted(&self) -> bool {
        self.0.get("deletedAt").as_str().is_some_and(|at| !at.is_empty() && !is_never(at))
    }

    /// It shows something that only administrators see.
    pub(in crate::qlik) fn is_of_administrators(&self) -> bool {
        OF_ADMINISTRATORS.iter().any(|name| !self.0.get(name).is_null())
    }

    /// It shows nothing that only administrators see, and no description either:
    /// our mark would be invisible on it.
    pub(in crate::qlik) fn is_reduced(&self) -> bool {
        self.0.is_object() && !self.is_of_administrators() && self.0.get("description").is_null()
    }

    /// What is wrong with what must be right on a client of ours.
    pub(in crate::qlik) fn fault(&self) -> Option<&'static str> {
        if !self.0.is_object() {
            return Some("it is no object");
        }
        if let Some(name) = ONCE.into_iter().find(|name| self.0.is_twice(name)) {
            return Some(name);
        }
        let is_text = |name| self.0.get(name).is_null() || self.0.get(name).is_string();
        let rights = [
            ("clientId", self.0.get("clientId").as_str().is_some_and(is_plain)),
            ("description", is_text("description")),
            ("deletedAt", is_text("deletedAt")),
            ("clientSecrets", self.secrets().is_some()),
        ];
        rights.into_iter().find(|(_, is_right)| !is_right).map(|(name, _)| name)
    }

    /// The hints of its secrets; `None` where they cannot be told.
    pub(in crate::qlik) fn secrets(&self) -> Option<Vec<SeenSecret>> {
        match self.0.get("clientSecrets") {
            Value::Null => Some(vec![]),
            Value::Array(secrets) => secrets.iter().map(secret).collect(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
        }
    }

    /// The client, with what is wrong with it.
    pub(in crate::qlik) fn into_seen(self) -> SeenClient {
        let text = |name| plain_text(self.0.get(name)).map(str::to_owned);
        let created_at = instant(self.0.get("createdAt"));
        let fault = self.fault().or_else(|| created_at.is_none().then_some("createdAt"));
        let mut seen = SeenClient {
            app_type: text("appType"),
            created_at,
            is_deleted: self.is_deleted(),
            is_disabled: is_set(self.0.get("disableTag")),
            is_trusted: self.is_trusted(),
            secrets: self.secrets().unwrap_or_default(),
            made_by: if text("createdByType").as_deref() == Some("dcr") {
                Maker::Another
            } else {
                Maker::Untold
            },
            fault,
            ..SeenClient::of(ClientId::new(text("clientId").unwrap_or_default()))
        };
        for field in Field::ALL {
            match field.slot(&mut seen) {
                // Our mark counts wherever it stands in it.
                Slot::Text(slot) if field == Field::Description => *slot = self.0.text_of(field.wire_name()),
                Slot::Text(slot) => slot.push_str(self.0.get(field.wire_name()).as_str().unwrap_or_default()),
                Slot::List(slot) => *slot = texts(self.0.get(field.wire_name())),
            }
        }
        seen
    }

    /// A read of one client has no such field; a list may leave it out.
    fn is_trusted(&self) -> Option<bool> {
        let method = self.0.get("connectionConfig").get("consentMethod")?.as_str()?;
        Some(method == "trusted")
    }
}

fn secret(secret: &Value) -> Option<SeenSecret> {
    let hint = Hint::new(plain_text(secret.get("hint")?)?);
    let created_by = secret.get("createdBy").and_then(plain_text).map(UserId::new);
    Some(SeenSecret { hint, created_by })
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|at| at.to_utc())
}

/// The disable tag's type is not documented: whatever is set disables.
fn is_set(tag: &Value) -> bool {
    match tag {
        Value::Null | Value::Bool(false) => false,
        Value::String(tag) => !tag.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    }
}

/// The texts of a list; what is no list has none.
fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
