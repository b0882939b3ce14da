//! Bodies of requests and answers, in Qlik's spelling.
//!
//! The rule: what we depend on must be there, once and of its type; what we can
//! do without (hints, `expires_in`) may be missing or odd and never costs us an
//! answer that holds a secret.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::domain::hints::SeenSecret;
use crate::domain::ids::{ClientId, Hint, UserId};
use crate::domain::look::SeenClient;
use crate::domain::profile::WantedClient;
use crate::domain::secret::ClientSecret;

/// Longest id or secret taken, in bytes. Qlik documents 512 and 64.
const MAX_TEXT: usize = 4096;

/// `POST /oauth/token`. No `scope`: what a client may do by default is what its
/// own allow-list says, and naming a scope that is not on it is refused.
#[derive(Serialize)]
pub(super) struct TokenRequest<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    grant_type: &'static str,
}

impl<'a> TokenRequest<'a> {
    pub(super) fn new(client_id: &'a str, client_secret: &'a str) -> Self {
        Self { client_id, client_secret, grant_type: "client_credentials" }
    }

    /// Most bytes this takes as JSON, where each byte may become `\u00xx`.
    pub(super) fn longest_json(&self) -> usize {
        128 + 6 * (self.client_id.len() + self.client_secret.len())
    }
}

/// Its answer.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    #[serde(deserialize_with = "secret")]
    pub(super) access_token: SecretString,
    token_type: Option<String>,
    /// Seconds; in every example, yet not in the schema.
    #[serde(default)]
    expires_in: Value,
}

impl TokenAnswer {
    /// Whether the token is one to be borne. Qlik spells it `bearer` and `Bearer`.
    pub(super) fn is_bearer(&self) -> bool {
        self.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
    }

    /// Seconds the token lives, where the answer says so.
    pub(super) fn expires_in(&self) -> Option<u64> {
        self.expires_in.as_u64()
    }
}

/// `POST /api/v1/oauth-clients`. Consent is not part of it: setting it is a step
/// of its own, which can be repeated and this cannot.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateRequest<'a> {
    app_type: &'static str,
    client_name: &'a str,
    description: &'a str,
    allowed_scopes: &'a [String],
    allowed_grant_types: [&'static str; 2],
    redirect_uris: &'a [String],
    allowed_origins: &'a [String],
}

impl<'a> From<&'a WantedClient> for CreateRequest<'a> {
    fn from(wanted: &'a WantedClient) -> Self {
        Self {
            app_type: "web",
            client_name: &wanted.name,
            description: &wanted.description,
            allowed_scopes: &wanted.scopes,
            // Both: without the first, a new client could not be proven on a tenant without users.
            allowed_grant_types: ["client_credentials", "urn:qlik:oauth:user-impersonation"],
            redirect_uris: &wanted.redirect_uris,
            allowed_origins: &wanted.allowed_origins,
        }
    }
}

/// Its answer.
#[derive(Deserialize)]
pub(super) struct CreateAnswer {
    #[serde(rename = "clientId", deserialize_with = "plain")]
    pub(super) id: String,
    #[serde(rename = "clientSecret", deserialize_with = "client_secret")]
    pub(super) secret: ClientSecret,
    #[serde(rename = "clientSecretHint", default)]
    hint: Value,
    #[serde(rename = "clientSecrets", default)]
    secrets: Value,
}

impl CreateAnswer {
    /// The hint, which the guide shows at the top and the schema in a list.
    pub(super) fn hint(&self) -> Option<Hint> {
        hint(&self.hint).or_else(|| hint(self.secrets.pointer("/0/hint")?))
    }
}

/// The answer of `POST …/client-secrets`.
#[derive(Deserialize)]
pub(super) struct MintAnswer {
    #[serde(rename = "clientSecret", deserialize_with = "client_secret")]
    pub(super) secret: ClientSecret,
    #[serde(default)]
    hint: Value,
}

impl MintAnswer {
    /// The hint, where the answer gives one.
    pub(super) fn hint(&self) -> Option<Hint> {
        hint(&self.hint)
    }
}

/// `PATCH …/connection-configs/me`, the only shape it takes.
pub(super) const TRUST: &[u8] = br#"[{"op":"replace","path":"/consentMethod","value":"trusted"}]"#;

/// The answer of `GET …/connection-configs/me`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionConfig {
    pub(super) consent_method: String,
}

/// The answer of `GET /api/v1/users/me`.
#[derive(Deserialize)]
pub(super) struct Me {
    #[serde(deserialize_with = "plain")]
    pub(super) id: String,
}

/// One page of `GET /api/v1/oauth-clients`.
#[derive(Deserialize)]
pub(super) struct ClientPage {
    pub(super) data: Vec<SeenItem>,
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Links {
    next: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: Option<String>,
}

impl ClientPage {
    /// Where the next page is. Absent, null and empty all mean that there is none.
    pub(super) fn next(&self) -> Option<&str> {
        self.links.as_ref()?.next.as_ref()?.href.as_deref().filter(|href| !href.is_empty())
    }
}

/// A client as a list or a read shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeenItem {
    #[serde(deserialize_with = "plain")]
    client_id: String,
    description: Option<String>,
    created_at: Option<DateTime<Utc>>,
    deleted_at: Option<String>,
    client_secrets: Option<Vec<SecretHint>>,
    redirect_uris: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretHint {
    #[serde(deserialize_with = "plain")]
    hint: String,
    created_by: Option<String>,
}

impl SeenItem {
    /// It is only a tombstone. Year one is how Go writes a time that was never set.
    pub(super) fn is_deleted(&self) -> bool {
        self.deleted_at.as_deref().is_some_and(|at| !at.is_empty() && !at.starts_with("0001-01-01T"))
    }

    /// It shows nothing that only administrators see, and no description either:
    /// our mark would be invisible on it.
    pub(super) fn is_reduced(&self) -> bool {
        self.description.is_none() && self.client_secrets.is_none() && self.redirect_uris.is_none()
    }

    /// The hints of its secrets.
    pub(super) fn into_secrets(self) -> Vec<SeenSecret> {
        self.client_secrets.unwrap_or_default().into_iter().map(SeenSecret::from).collect()
    }

    /// The client, if it says when it was made.
    pub(super) fn into_seen(self) -> Option<SeenClient> {
        Some(SeenClient {
            is_deleted: self.is_deleted(),
            created_at: self.created_at?,
            client_id: ClientId::new(self.client_id),
            description: self.description.unwrap_or_default(),
            secrets: self.client_secrets.unwrap_or_default().into_iter().map(SeenSecret::from).collect(),
        })
    }
}

impl From<SecretHint> for SeenSecret {
    fn from(secret: SecretHint) -> Self {
        let created_by = secret.created_by.filter(|user| is_plain(user)).map(UserId::new);
        Self { hint: Hint::new(secret.hint), created_by }
    }
}

fn hint(value: &Value) -> Option<Hint> {
    value.as_str().filter(|text| is_plain(text)).map(Hint::new)
}

/// Whether the text can be an id: some, not endless, and without control
/// characters, which Postgres (NUL) or a header would refuse later.
fn is_plain(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    is_plain(&text).then_some(text).ok_or_else(|| D::Error::custom("not an id"))
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    let secret = SecretString::from(String::deserialize(deserializer)?);
    let is_some = !secret.expose_secret().is_empty();
    is_some.then_some(secret).ok_or_else(|| D::Error::custom("empty secret"))
}

fn client_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ClientSecret, D::Error> {
    let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
    if !is_plain(&text) {
        return Err(D::Error::custom("not a secret"));
    }
    Ok(ClientSecret::new(text.as_str().to_owned()))
}
