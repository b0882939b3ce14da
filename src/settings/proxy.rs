//! `qlik.proxy`: an address that may hold a password.
//!
//! The rule: as for the database's URL, nothing of it is quoted, and what could be
//! split in two ways is refused.

use super::authority::{decoded, host_name, port, split};
use super::misfit::Misfit;

/// Whether a proxy can be reached by this URL.
pub(super) fn check(text: &str) -> Result<(), Misfit> {
    let remedy = "write it as http://user:password@proxy.example.com:3128";
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let parts = split(rest.ok_or_else(|| Misfit::new("is no URL of an HTTP proxy", remedy))?)?;
    if !parts.path.is_empty() || !parts.query.is_empty() {
        return Err(Misfit::new("has something behind its host and port", remedy));
    }
    for part in [parts.user, parts.password].into_iter().flatten() {
        decoded(part)?;
    }
    parts.port.map(port).transpose()?;
    host_name(parts.host).map(drop)
}
