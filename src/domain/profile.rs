//! What the client of a tenant should look like.
//!
//! The rule: limits are Qlik's documented ones (oauth-clients, create), checked
//! before anything is sent, so that a typing error is a clear message and not a 400.

use super::mark::Mark;

/// Longest client name in characters.
pub const MAX_NAME: usize = 512;
/// Longest description in characters, the mark included.
pub const MAX_DESCRIPTION: usize = 4096;
/// Most redirect URIs or allowed origins of one client.
pub const MAX_URIS: usize = 5;
/// Longest redirect URI, origin or scope in characters.
pub const MAX_URI: usize = 256;

/// The type of every client of ours, which can never be changed.
pub const APP_TYPE: &str = "web";

/// What every client of ours may do at the token endpoint. Both: without the first, a
/// new client could not be proven on a tenant without users.
pub const GRANTS: [&str; 2] = ["client_credentials", "urn:qlik:oauth:user-impersonation"];

/// A `[profiles.…]` entry: what clients have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Name shown in Qlik's console.
    pub client_name: String,
    /// Text before the mark.
    pub description: String,
    /// OAuth redirect URIs.
    pub redirect_uris: Vec<String>,
    /// Browser origins that may use the client's tokens.
    pub allowed_origins: Vec<String>,
    /// Scopes the client may ask for.
    pub scopes: Vec<String>,
}

/// A client as it should be made for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedClient {
    /// Name shown in Qlik's console.
    pub name: String,
    /// The profile's text, then the mark.
    pub description: String,
    /// OAuth redirect URIs.
    pub redirect_uris: Vec<String>,
    /// Browser origins.
    pub allowed_origins: Vec<String>,
    /// Scopes.
    pub scopes: Vec<String>,
}

impl Profile {
    /// The client for one row: its own name and URIs where it has them, the
    /// profile's where not, and always the mark.
    #[must_use]
    pub fn client_for(
        &self,
        mark: Mark,
        name: Option<&str>,
        redirect_uris: Option<&[String]>,
    ) -> WantedClient {
        let description = match self.description.as_str() {
            "" => mark.to_string(),
            text => format!("{text} {mark}"),
        };
        WantedClient {
            name: name.unwrap_or(&self.client_name).to_owned(),
            description,
            redirect_uris: redirect_uris.unwrap_or(&self.redirect_uris).to_vec(),
            allowed_origins: self.allowed_origins.clone(),
            scopes: self.scopes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::{InstallationId, TenantId};
    use crate::domain::mark::Owner;

    #[test]
    fn a_row_overrides_the_profile_and_the_mark_is_always_there() {
        let mark = Mark { installation: InstallationId(Uuid::nil()), tenant: TenantId(Uuid::max()) };
        let profile = Profile {
            client_name: "portal".into(),
            description: String::new(),
            redirect_uris: vec!["https://a.example/cb".into()],
            allowed_origins: vec![],
            scopes: vec!["user_default".into()],
        };

        let plain = profile.client_for(mark, None, None);
        let own = profile.client_for(mark, Some("acme"), Some(&[]));

        assert_eq!((plain.name.as_str(), plain.redirect_uris.len()), ("portal", 1));
        assert_eq!((own.name.as_str(), own.redirect_uris.len()), ("acme", 0));
        assert_eq!(mark.owner_of(&own.description), Owner::ThisTenant);
    }
}
