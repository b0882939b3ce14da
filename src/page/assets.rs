//! The style, the script and the icon, each from this program and nowhere else.
//!
//! The rule: its address bears the digest of what it is, so that a browser may keep it for
//! ever and yet gets the one of this version.

use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

pub(super) const STYLE: &str = include_str!("page.css");
pub(super) const SCRIPT: &str = include_str!("page.js");
pub(super) const ICON: &str = include_str!("icon.svg");

/// Where the style is.
pub(super) fn style() -> &'static str {
    static AT: LazyLock<String> = LazyLock::new(|| address("page.css", STYLE));
    &AT
}

/// Where the script is.
pub(super) fn script() -> &'static str {
    static AT: LazyLock<String> = LazyLock::new(|| address("page.js", SCRIPT));
    &AT
}

/// Where the icon is.
pub(super) fn icon() -> &'static str {
    static AT: LazyLock<String> = LazyLock::new(|| address("icon.svg", ICON));
    &AT
}

fn address(name: &str, content: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    format!("/status/{name}?{}", URL_SAFE_NO_PAD.encode(&digest[..9]))
}

/// An answer that a browser keeps.
pub(super) fn kept(kind: &'static str, content: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")], content).into_response()
}
