//! The fields of an OAuth client and the limits Qlik sets them.
//!
//! The rule: limits are those of the reference (oauth-clients, create); a draft
//! that breaks one is a 400 and changes nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// `client_credentials`, the grant a proof uses.
pub(super) const CLIENT_CREDENTIALS: &str = "client_credentials";
/// The grant a web app signs its users in with.
pub(super) const IMPERSONATION: &str = "urn:qlik:oauth:user-impersonation";
/// The kind of client that may have these grants.
pub(super) const WEB: &str = "web";

const APP_TYPES: [&str; 4] = [WEB, "native", "spa", "anonymous-embed"];
const GRANTS: [&str; 2] = [CLIENT_CREDENTIALS, IMPERSONATION];
const AUTH_METHODS: [&str; 2] = ["client_secret", "private_key_jwt"];

/// A public key of a client (RFC 7517), for `private_key_jwt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 7517")]
pub struct PublicKey {
    pub kty: String,
    #[serde(rename = "use")]
    pub usage: String,
    pub alg: String,
    pub kid: String,
    #[serde(flatten)]
    pub parameters: std::collections::BTreeMap<String, String>,
}

/// What a client says of itself: everything a caller can set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Draft {
    /// `web`, `native`, `spa` or `anonymous-embed`; never changes.
    pub app_type: String,
    /// At most 512 characters. Need not be unique.
    pub client_name: String,
    /// At most 4096 characters.
    pub description: String,
    /// At most 2048 characters.
    pub client_uri: String,
    /// At most 2048 characters.
    pub logo_uri: String,
    /// At most five of at most 256 characters, https or localhost.
    pub redirect_uris: Vec<String>,
    /// At most five of at most 256 characters.
    pub allowed_origins: Vec<String>,
    /// Of at most 256 characters each.
    pub allowed_scopes: Vec<String>,
    /// For `web` clients only.
    pub allowed_grant_types: Vec<String>,
    /// Empty means `client_secret`.
    pub allowed_auth_methods: Vec<String>,
    /// Needed for `private_key_jwt`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub public_keys: Vec<PublicKey>,
    /// At most 2048 characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwks_uri: String,
}

impl Draft {
    /// Whether the client authenticates with a secret.
    #[must_use]
    pub fn uses_secrets(&self) -> bool {
        self.app_type == WEB
            && (self.allowed_auth_methods.is_empty()
                || self.allowed_auth_methods.iter().any(|method| method == "client_secret"))
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        one_of("appType", &self.app_type, &APP_TYPES)?;
        if self.client_name.is_empty() {
            return Err(Problem::invalid("clientName is missing"));
        }
        at_most("clientName", &self.client_name, 512)?;
        at_most("description", &self.description, 4096)?;
        at_most("clientUri", &self.client_uri, 2048)?;
        at_most("logoUri", &self.logo_uri, 2048)?;
        at_most("jwksUri", &self.jwks_uri, 2048)?;
        distinct("redirectUris", &self.redirect_uris, Some(5))?;
        distinct("allowedOrigins", &self.allowed_origins, Some(5))?;
        distinct("allowedScopes", &self.allowed_scopes, None)?;
        self.redirect_uris.iter().try_for_each(|uri| is_secure(uri))?;
        self.check_grants()?;
        self.check_keys()
    }

    fn check_grants(&self) -> Result<(), Problem> {
        if self.app_type != WEB && !self.allowed_grant_types.is_empty() {
            return Err(Problem::invalid("allowedGrantTypes is only for web clients"));
        }
        distinct("allowedGrantTypes", &self.allowed_grant_types, None)?;
        self.allowed_grant_types.iter().try_for_each(|grant| one_of("allowedGrantTypes", grant, &GRANTS))
    }

    fn check_keys(&self) -> Result<(), Problem> {
        let methods = &self.allowed_auth_methods;
        methods.iter().try_for_each(|method| one_of("allowedAuthMethods", method, &AUTH_METHODS))?;
        if methods.iter().any(|method| method == "private_key_jwt") && self.public_keys.is_empty() {
            return Err(Problem::invalid("private_key_jwt needs publicKeys"));
        }
        self.public_keys.iter().try_for_each(PublicKey::check)
    }
}

impl PublicKey {
    fn check(&self) -> Result<(), Problem> {
        one_of("publicKeys.use", &self.usage, &["sig"])?;
        one_of("publicKeys.alg", &self.alg, &["RS256", "RS512", "ES384"])?;
        let needed: &[&str] = match self.kty.as_str() {
            "RSA" => &["n", "e"],
            "EC" => &["crv", "x", "y"],
            _ => return Err(Problem::invalid("publicKeys.kty must be RSA or EC")),
        };
        match needed.iter().find(|name| !self.parameters.contains_key(**name)) {
            Some(missing) => Err(Problem::invalid(format!("publicKeys.{missing} is missing"))),
            None => Ok(()),
        }
    }
}

fn one_of(field: &str, value: &str, allowed: &[&str]) -> Result<(), Problem> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(Problem::invalid(format!("{field} must be one of {}", allowed.join(", "))))
}

fn at_most(field: &str, value: &str, limit: usize) -> Result<(), Problem> {
    if value.chars().count() <= limit {
        return Ok(());
    }
    Err(Problem::invalid(format!("{field} has at most {limit} characters")))
}

fn distinct(field: &str, values: &[String], most: Option<usize>) -> Result<(), Problem> {
    values.iter().try_for_each(|value| at_most(field, value, 256))?;
    if most.is_some_and(|most| values.len() > most) {
        return Err(Problem::invalid(format!("{field} has too many entries")));
    }
    if values.iter().collect::<BTreeSet<_>>().len() < values.len() {
        return Err(Problem::invalid(format!("{field} holds an entry twice")));
    }
    Ok(())
}

fn is_secure(uri: &str) -> Result<(), Problem> {
    let host = uri.strip_prefix("http://").map(|rest| rest.split(['/', ':', '?']).next());
    if uri.starts_with("https://") || host == Some(Some("localhost")) {
        return Ok(());
    }
    Err(Problem::invalid("redirectUris must be https, or http on localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::testing::draft;

    #[test]
    fn a_usual_draft_passes() {
        assert_eq!(draft("acme").check(), Ok(()));
    }

    #[test]
    fn every_documented_limit_is_kept() {
        type Change = fn(&mut Draft);
        let texts = |count: usize| (0..count).map(|n| format!("https://{n}.example")).collect::<Vec<_>>();
        let cases: [(&str, Change); 12] = [
            ("appType", |d| d.app_type = "desktop".into()),
            ("clientName", |d| d.client_name = "ü".repeat(513)),
            ("description", |d| d.description = "d".repeat(4097)),
            ("clientUri", |d| d.client_uri = "u".repeat(2049)),
            ("logoUri", |d| d.logo_uri = "u".repeat(2049)),
            ("redirectUris", |d| d.redirect_uris = vec![format!("https://{}", "a".repeat(249))]),
            ("redirectUris", |d| d.redirect_uris = vec!["http://portal.example".into()]),
            ("redirectUris", |d| d.redirect_uris = vec!["https://a.example".into(); 2]),
            ("allowedScopes", |d| d.allowed_scopes = vec!["s".repeat(257)]),
            ("allowedGrantTypes", |d| d.allowed_grant_types = vec!["password".into()]),
            ("allowedAuthMethods", |d| d.allowed_auth_methods = vec!["none".into()]),
            ("publicKeys", |d| d.allowed_auth_methods = vec!["private_key_jwt".into()]),
        ];
        for (field, change) in cases {
            let mut broken = draft("acme");
            change(&mut broken);
            let problem = broken.check().unwrap_err();
            assert!(problem.detail.unwrap().contains(field), "{field}");
            assert_eq!(problem.status, 400);
        }
        assert!(Draft { redirect_uris: texts(5), ..draft("acme") }.check().is_ok());
        assert!(Draft { redirect_uris: texts(6), ..draft("acme") }.check().is_err());
        assert!(Draft { allowed_origins: texts(6), ..draft("acme") }.check().is_err());
        assert!(Draft { client_name: "ü".repeat(512), ..draft("acme") }.check().is_ok());
    }

    #[test]
    fn only_web_clients_have_grants() {
        let spa = Draft { app_type: "spa".into(), ..draft("acme") };

        assert!(spa.check().is_err());
        assert!(Draft { allowed_grant_types: vec![], ..spa }.check().is_ok());
    }

    #[test]
    fn plain_http_is_for_localhost_only() {
        let with = |uri: &str| Draft { redirect_uris: vec![uri.to_owned()], ..draft("acme") }.check();

        assert!(with("http://localhost:3000/cb").is_ok());
        assert!(with("http://localhost.evil.example/cb").is_err());
    }
}
