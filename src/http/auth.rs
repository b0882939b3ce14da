//! The bearer token of those who may read (RFC 6750, section 2.1).
//!
//! The rule: compared by digest, so that the time it takes tells nothing about
//! how much of a guess was right.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What a reader must present, kept as its SHA-256 digest only.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// Takes the configured token.
    #[must_use]
    pub fn new(text: &SecretString) -> Self {
        Self(digest(text.expose_secret()))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        presented(headers).is_some_and(|text| digest(text) == self.0)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// The scheme's name is case-insensitive (RFC 9110, section 11.1).
fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets a request through that presents the token, where one is configured.
pub(super) async fn require(State(token): State<Option<Token>>, request: Request, next: Next) -> Response {
    match token {
        Some(token) if !token.admits(request.headers()) => (
            StatusCode::UNAUTHORIZED,
            [(WWW_AUTHENTICATE, "Bearer")],
            "this page needs `Authorization: Bearer <the token in http.token_file>`\n",
        )
            .into_response(),
        Some(_) | None => next.run(request).await,
    }
}
