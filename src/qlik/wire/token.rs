//! Bodies of the token endpoint.
//!
//! The rule: the token must be there. How long it lives may be missing.

use secrecy::{ExposeSecret, SecretString};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// `POST /oauth/token`. No `scope`: what a client may do by default is what its
/// own allow-list says, and naming a scope that is not on it is refused.
#[derive(Serialize)]
pub(in crate::qlik) struct TokenRequest<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    grant_type: &'static str,
}

impl<'a> TokenRequest<'a> {
    pub(in crate::qlik) fn new(client_id: &'a str, client_secret: &'a str) -> Self {
        Self { client_id, client_secret, grant_type: "client_credentials" }
    }

    /// Most bytes this takes as JSON, where each byte may become `\u00xx`.
    pub(in crate::qlik) fn longest_json(&self) -> usize {
        128 + 6 * (self.client_id.len() + self.client_secret.len())
    }
}

/// Its answer.
#[derive(Deserialize)]
pub(in crate::qlik) struct TokenAnswer {
    #[serde(deserialize_with = "secret")]
    pub(in crate::qlik) access_token: SecretString,
    token_type: Option<String>,
    /// Seconds; in every example, yet not in the schema.
    #[serde(default)]
    expires_in: Value,
}

impl TokenAnswer {
    /// Whether the token is one to be borne. Qlik spells it `bearer` and `Bearer`.
    pub(in crate::qlik) fn is_bearer(&self) -> bool {
        self.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
    }

    /// Seconds the token lives, where the answer says so.
    pub(in crate::qlik) fn expires_in(&self) -> Option<u64> {
        self.expires_in.as_u64()
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    let secret = SecretString::from(String::deserialize(deserializer)?);
    let is_some = !secret.expose_secret().is_empty();
    is_some.then_some(secret).ok_or_else(|| D::Error::custom("empty secret"))
}
