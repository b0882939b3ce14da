//! Secrets in the clear, for as short a time as they must be.
//!
//! The rule: no `Clone`, no `Serialize`, no `Display`, and every way out is named
//! after its only caller, so that a search for `expose_to` is an audit.

use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

/// The secret of a tenant's OAuth client. Lives from Qlik's answer until it is
/// sealed and proven.
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// Takes ownership of the text Qlik returned or the vault opened.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// For `vault`, which seals it.
    #[must_use]
    pub fn expose_to_vault(&self) -> &str {
        self.0.expose_secret()
    }

    /// For the token request that proves it.
    #[must_use]
    pub fn expose_to_token_endpoint(&self) -> &str {
        self.0.expose_secret()
    }

    /// For `tenantd secret reveal`, the one command that prints it.
    #[must_use]
    pub fn expose_to_reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// The id and secret of a region's OAuth client, which the daemon acts with.
pub struct RegionCredential {
    client_id: String,
    secret: SecretString,
}

impl RegionCredential {
    /// A credential as the configuration gives it.
    #[must_use]
    pub fn new(client_id: String, secret: SecretString) -> Self {
        Self { client_id, secret }
    }

    /// The public half.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// For the token request that uses it.
    #[must_use]
    pub fn expose_to_token_endpoint(&self) -> &str {
        self.secret.expose_secret()
    }

    /// Whether it is the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.client_id == other.client_id && self.secret.expose_secret() == other.secret.expose_secret()
    }
}

impl fmt::Debug for RegionCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionCredential").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// How a secret's file is closed to others, as a remedy. A platform that mounts it
/// decides its mode, and `chmod` there is refused or forgotten.
#[must_use]
pub fn closing(file: &Path, mode: &str) -> String {
    format!(
        "run `chmod {mode} {}`, or where a platform mounts it, set `defaultMode: 0440` beside an `fsGroup` (Kubernetes) or `mode: 0440` beside a `gid` (Docker Swarm)",
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let secret = ClientSecret::new("s3cret".into());
        let region = RegionCredential::new("cid".into(), "s3cret".to_owned().into());

        let shown = format!("{secret:?} {region:?}");

        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
