//! Every request we ever send, in one table.
//!
//! The rule: a path is made here from a template, with each id as exactly one
//! escaped segment, and a query from names and values that are escaped alike. An
//! id that a URL would read as something else (empty, `.`, `..`) makes no request
//! at all, and neither does an empty value: a `DELETE` one segment or one
//! condition short would mean something far larger.

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
    AMEND_CLIENT = "clients.amend" PATCH "/api/v1/oauth-clients/{client}" Two false;
    DELETE_CLIENT = "clients.delete" DELETE "/api/v1/oauth-clients/{client}" Two false;
    MINT_SECRET = "secrets.mint" POST "/api/v1/oauth-clients/{client}/client-secrets" Two true;
    DELETE_SECRET = "secrets.delete" DELETE "/api/v1/oauth-clients/{client}/client-secrets/{hint}" Two false;
    READ_CONSENT = "consent.read" GET "/api/v1/oauth-clients/{client}/connection-configs/me" One true;
    TRUST_CONSENT = "consent.trust" PATCH "/api/v1/oauth-clients/{client}/connection-configs/me" Two false;
    READ_ME = "users.me" GET "/api/v1/users/me" One true;
    LIST_USERS = "users.list" GET "/api/v1/users" One true;
    DELETE_USER = "users.delete" DELETE "/api/v1/users/{user}" Two false;
    LIST_TOKENS = "tokens.list" GET "/api/v1/oauth-tokens" One true;
    DELETE_TOKEN = "tokens.delete" DELETE "/api/v1/oauth-tokens/{token}" Two false;
    DELETE_TOKENS = "tokens.delete_all" DELETE "/api/v1/oauth-tokens" Two false;
}

/// A request to be sent, still without host and token.
pub(super) struct Call {
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

    /// With a query of these names and values.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Rejected`], unsent, when a value is empty: a condition
    /// without a value is none.
    pub(super) fn with_query(mut self, pairs: &[(&str, &str)]) -> Result<Self, Failure> {
        for (mark, (name, value)) in std::iter::once('?').chain(std::iter::repeat('&')).zip(pairs) {
            if value.is_empty() {
                return Err(unsendable());
            }
            self.target.push(mark);
            self.target.push_str(name);
            self.target.push('=');
            push_escaped(&mut self.target, value);
        }
        Ok(self)
    }

    /// With a JSON body. The bytes are wiped when the last reference to them goes, if their
    /// owner wipes them.
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
            push_escaped(&mut path, ids.next().filter(|id| is_segment(id))?);
        } else {
            path.push_str(segment);
        }
    }
    Some(path)
}

/// Dots must be refused, not escaped: URL parsers read `%2e%2e` as `..` too.
fn is_segment(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
}

/// Escapes all but RFC 3986's unreserved characters.
fn push_escaped(target: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => target.push(byte.into()),
            other => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
                target.extend(['%', digit(other >> 4), digit(other & 15)]);
            }
        }
    }
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

    #[test]
    fn a_query_is_escaped_and_none_of_its_values_is_empty() {
        let filter = [("filter", r#"clientId eq "a&b""#), ("limit", "100")];
        let call = Call::new(&LIST_USERS, &[]).unwrap().with_query(&filter).unwrap();

        assert_eq!(call.target, "/api/v1/users?filter=clientId%20eq%20%22a%26b%22&limit=100");
        assert!(Call::new(&DELETE_TOKENS, &[]).unwrap().with_query(&[("clientId", "")]).is_err());
    }
}
