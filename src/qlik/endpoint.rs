//! Every request we ever send, in one table.
//!
//! The rule: a path is made here from a template, with each id as exactly one
//! escaped segment. An id that a URL would read as something else (empty, `.`,
//! `..`) makes no request at all, because a `DELETE` one segment short would
//! mean something far larger.

use std::fmt::Write;

use hyper::body::Bytes;
use reqwest::Method;
use reqwest::header::HeaderValue;

use crate::domain::failure::{Failure, FailureKind};
use crate::domain::ids::ClientId;

/// Qlik's classes of rate limit (qlik.dev, "Rate limiting").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// Reads.
    One,
    /// Writes, and the token endpoint.
    Two,
}

/// One operation of Qlik's API.
pub(super) struct Endpoint {
    /// Its name in metrics.
    pub(super) name: &'static str,
    /// HTTP method.
    pub(super) method: Method,
    /// Path with `{placeholders}`, as traces show it.
    pub(super) path: &'static str,
    /// Which rate limit it counts for.
    pub(super) tier: Tier,
    /// Whether a success means something only together with its body.
    pub(super) has_answer: bool,
}

macro_rules! endpoints {
    ($($constant:ident = $name:literal $method:ident $path:literal $tier:ident $has_answer:literal;)*) => {
        $(pub(super) static $constant: Endpoint = Endpoint {
            name: $name,
            method: Method::$method,
            path: $path,
            tier: Tier::$tier,
            has_answer: $has_answer,
        };)*
    };
}

endpoints! {
    FETCH_TOKEN = "token.fetch" POST "/oauth/token" Two true;
    PROVE = "token.prove" POST "/oauth/token" Two true;
    LIST_CLIENTS = "clients.list" GET "/api/v1/oauth-clients" One true;
    CREATE_CLIENT = "clients.create" POST "/api/v1/oauth-clients" Two true;
    READ_CLIENT = "clients.read" GET "/api/v1/oauth-clients/{client}" One true;
    DELETE_CLIENT = "clients.delete" DELETE "/api/v1/oauth-clients/{client}" Two false;
    MINT_SECRET = "secrets.mint" POST "/api/v1/oauth-clients/{client}/client-secrets" Two true;
    DELETE_SECRET = "secrets.delete" DELETE "/api/v1/oauth-clients/{client}/client-secrets/{hint}" Two false;
    READ_CONSENT = "consent.read" GET "/api/v1/oauth-clients/{client}/connection-configs/me" One true;
    TRUST_CONSENT = "consent.trust" PATCH "/api/v1/oauth-clients/{client}/connection-configs/me" Two false;
    READ_ME = "users.me" GET "/api/v1/users/me" One true;
}

/// A request to be sent, still without host and token.
pub(super) struct Call {
    /// What is asked for.
    pub(super) endpoint: &'static Endpoint,
    /// Path and query, escaped.
    pub(super) target: String,
    /// JSON.
    pub(super) body: Option<Bytes>,
    /// `qlik-confirm-delete`.
    pub(super) confirmation: Option<HeaderValue>,
}

impl Call {
    /// A call with its placeholders filled in order.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Rejected`], unsent, when an id cannot stand in a path.
    pub(super) fn new(endpoint: &'static Endpoint, ids: &[&str]) -> Result<Self, Failure> {
        let target = fill(endpoint.path, ids).ok_or_else(unsendable)?;
        Ok(Self { endpoint, target, body: None, confirmation: None })
    }

    /// With a JSON body. The bytes are wiped with their last reference where
    /// the caller's owner wipes them.
    pub(super) fn with_body(mut self, body: Bytes) -> Self {
        self.body = Some(body);
        self
    }

    /// With the header that Qlik requires to delete a client.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Rejected`], unsent, when the id cannot stand in a header.
    pub(super) fn confirming(mut self, client: &ClientId) -> Result<Self, Failure> {
        self.confirmation = Some(HeaderValue::from_str(client.as_str()).map_err(|_| unsendable())?);
        Ok(self)
    }
}

/// The failure of a request that cannot be written down.
pub(super) fn unsendable() -> Failure {
    Failure::unanswered(FailureKind::Rejected)
}

fn fill(template: &str, ids: &[&str]) -> Option<String> {
    let mut ids = ids.iter();
    let mut path = String::with_capacity(template.len() + 64);
    for segment in template.split('/').skip(1) {
        path.push('/');
        if segment.starts_with('{') {
            push_escaped(&mut path, ids.next()?)?;
        } else {
            path.push_str(segment);
        }
    }
    Some(path)
}

/// Escapes all but RFC 3986's unreserved characters. Dots must be refused, not
/// escaped: URL parsers read `%2e%2e` as `..` too.
fn push_escaped(path: &mut String, id: &str) -> Option<()> {
    if matches!(id, "" | "." | "..") {
        return None;
    }
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
            other => write!(path, "%{other:02X}").ok()?,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_always_exactly_one_segment() {
        for (hint, expected) in [
            ("e6815", "/api/v1/oauth-clients/c1/client-secrets/e6815"),
            ("a/b?#", "/api/v1/oauth-clients/c1/client-secrets/a%2Fb%3F%23"),
            ("é %", "/api/v1/oauth-clients/c1/client-secrets/%C3%A9%20%25"),
            ("...", "/api/v1/oauth-clients/c1/client-secrets/..."),
        ] {
            let call = Call::new(&DELETE_SECRET, &["c1", hint]).unwrap();

            assert_eq!(call.target, expected);
        }
    }

    #[test]
    fn an_id_that_would_shorten_the_path_makes_no_request() {
        for hint in ["", ".", ".."] {
            assert!(Call::new(&DELETE_SECRET, &["c1", hint]).is_err(), "{hint:?}");
            assert!(Call::new(&DELETE_CLIENT, &[hint]).is_err(), "{hint:?}");
        }
        assert!(Call::new(&DELETE_CLIENT, &["c1"]).unwrap().confirming(&ClientId::new("a\nb")).is_err());
    }
}
