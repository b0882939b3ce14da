//! Answers as JSON.
//!
//! The rule: as on the command line, **no text from a row or from Qlik reaches a terminal
//! raw**, not even through `curl`.

use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::text::plain_json;

/// A value as the answer's body.
pub(super) fn json(value: &impl Serialize) -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (headers, written(value)).into_response()
}

pub(super) fn written(value: &impl Serialize) -> String {
    // Only a map whose keys are no texts fails, and no answer has one.
    let text = serde_json::to_string(value).unwrap_or_else(|error| unreachable!("{error}"));
    plain_json(&text) + "\n"
}
