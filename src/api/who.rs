//! Who acts over HTTP, as it is written down.
//!
//! The rule: the name is that of the token, never one that the request brings along.

/// Who acts where the token has no name.
const NAMELESS: &str = "whoever has http.act_token_file";

/// The name of whoever acts.
pub(crate) fn name_of(token: Option<&str>) -> &str {
    token.unwrap_or(NAMELESS)
}

/// Who asked, and by what way.
pub(crate) fn over_http(name: &str) -> String {
    format!("{name} over HTTP")
}
