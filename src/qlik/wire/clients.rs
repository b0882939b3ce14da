//! Bodies that make and change clients, and what answers them.
//!
//! The rule: an answer that holds a secret is never lost for a hint.

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{is_plain, plain};
use crate::domain::field::{self, Change, Field};
use crate::domain::ids::Hint;
use crate::domain::profile::{APP_TYPE, WantedClient};
use crate::domain::secret::ClientSecret;

/// `POST /api/v1/oauth-clients`. Consent is not part of it: setting it is a step
/// of its own, which can be repeated and this cannot.
pub(in crate::qlik) struct CreateRequest<'a>(pub(in crate::qlik) &'a WantedClient);

impl Serialize for CreateRequest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(Some(Field::ALL.len() + 1))?;
        body.serialize_entry("appType", APP_TYPE)?;
        for field in Field::ALL {
            body.serialize_entry(field.wire_name(), &FieldValue(&field.wanted(self.0)))?;
        }
        body.end()
    }
}

/// Its answer.
#[derive(Deserialize)]
pub(in crate::qlik) struct CreateAnswer {
    #[serde(rename = "clientId", deserialize_with = "plain")]
    pub(in crate::qlik) id: String,
    #[serde(rename = "clientSecret", deserialize_with = "client_secret")]
    pub(in crate::qlik) secret: ClientSecret,
    #[serde(rename = "clientSecretHint", default)]
    hint: Value,
    #[serde(rename = "clientSecrets", default)]
    secrets: Value,
}

impl CreateAnswer {
    /// The hint, which the guide shows at the top and the schema in a list.
    pub(in crate::qlik) fn hint(&self) -> Option<Hint> {
        hint(&self.hint).or_else(|| hint(self.secrets.pointer("/0/hint")?))
    }
}

/// The answer of `POST …/client-secrets`.
#[derive(Deserialize)]
pub(in crate::qlik) struct MintAnswer {
    #[serde(rename = "clientSecret", deserialize_with = "client_secret")]
    pub(in crate::qlik) secret: ClientSecret,
    #[serde(default)]
    hint: Value,
}

impl MintAnswer {
    /// The hint, where the answer gives one.
    pub(in crate::qlik) fn hint(&self) -> Option<Hint> {
        hint(&self.hint)
    }
}

/// `PATCH …/connection-configs/me`, the only shape it takes.
pub(in crate::qlik) const TRUST: &[u8] = br#"[{"op":"replace","path":"/consentMethod","value":"trusted"}]"#;

/// The answer of `GET …/connection-configs/me`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::qlik) struct ConnectionConfig {
    pub(in crate::qlik) consent_method: String,
}

/// One operation of `PATCH /api/v1/oauth-clients/{client}`.
#[derive(Serialize)]
pub(in crate::qlik) struct Operation<'a> {
    op: &'static str,
    path: String,
    value: FieldValue<'a>,
}

impl<'a> From<&'a Change> for Operation<'a> {
    fn from(change: &'a Change) -> Self {
        let path = format!("/{}", change.field.wire_name());
        Self { op: "replace", path, value: FieldValue(&change.value) }
    }
}

struct FieldValue<'a>(&'a field::Value);

impl Serialize for FieldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            field::Value::Text(text) => text.serialize(serializer),
            field::Value::List(items) => items.serialize(serializer),
        }
    }
}

fn hint(value: &Value) -> Option<Hint> {
    value.as_str().filter(|text| is_plain(text)).map(Hint::new)
}

fn client_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ClientSecret, D::Error> {
    let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
    if !is_plain(&text) {
        return Err(D::Error::custom("not a secret"));
    }
    Ok(ClientSecret::new(text.as_str().to_owned()))
}
