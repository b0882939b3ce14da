//! The lines of a configuration that lead `tenantd` to a simulated Qlik Cloud.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Where a simulated Qlik Cloud is, and who may enter.
pub(super) struct Reach<'a> {
    pub(super) addr: SocketAddr,
    /// What clients must trust.
    pub(super) ca_file: &'a Path,
    /// What hosts end in.
    pub(super) suffixes: &'a [String],
    /// The id of the regions' OAuth client.
    pub(super) client_id: &'a str,
    /// Its secret, good at this simulator only.
    pub(super) client_secret: &'a SecretString,
}

impl Reach<'_> {
    pub(super) fn qlik_keys(&self) -> String {
        let (addr, ca) = (quoted(&self.addr.to_string()), quoted(&self.ca_file.display().to_string()));
        format!("connect_to = {addr}\nca_file = {ca}\n")
    }

    /// The one `[[regions]]` table.
    pub(super) fn region(&self) -> String {
        let hosts: Vec<String> = self.patterns().iter().map(|pattern| quoted(pattern)).collect();
        format!(
            "[[regions]]\nname = \"simulated\"\nhosts = [{}]\nclient_id = {}\nclient_secret = {}\n",
            hosts.join(", "),
            quoted(self.client_id),
            quoted(self.client_secret.expose_secret()),
        )
    }

    /// The hosts that exist, as host patterns.
    pub(super) fn patterns(&self) -> Vec<String> {
        self.suffixes.iter().map(|suffix| pattern(suffix)).collect()
    }
}

/// The host pattern of a suffix.
pub(super) fn pattern(suffix: &str) -> String {
    format!("*.{suffix}")
}

/// A TOML string: JSON's escapes are all known to TOML.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
