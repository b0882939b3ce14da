//! What a browser sends along: the fields of a form, and the parameters of an address.
//!
//! The rule: a form is bounded, and what no row can hold is in no field.

use axum::body::{Body, to_bytes};

use super::trouble::{self, Trouble};

/// Largest form.
const MOST_BYTES: usize = 8 * 1024;

/// The form of a request.
pub(super) async fn form(body: Body) -> Result<String, Trouble> {
    let bytes =
        to_bytes(body, MOST_BYTES).await.map_err(|_| trouble::bad_request("The form is too large."))?;
    String::from_utf8(bytes.to_vec()).map_err(|_| trouble::bad_request("The form is no text."))
}

/// A parameter of a query or a form. What no row can hold is none.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.replace('\0', ""))
}
