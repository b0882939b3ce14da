//! The bodies of verbs: why, of a pause until when, and whom they are for.
//!
//! The rule: a field that is wrong is named, with what would be right.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header::CONTENT_TYPE};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::kind::Kind;
use super::problem::Problem;
use super::tenants::place;
use crate::domain::filter::Filter;
use crate::domain::why::{EXPECTED, why};
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::verbs::Verb;

/// Largest body.
const MOST_BYTES: usize = 16 * 1024;

/// Why, and of a pause until when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Why, for those who wonder; it is recorded with the name of the token.
    #[schema(min_length = 1, max_length = 500, pattern = "\\S")]
    reason: String,
    /// Of a pause: when it ends by itself.
    #[serde(default)]
    until: Option<DateTime<Utc>>,
    /// Of a pause: after how long it ends by itself, such as `2h`, instead of `until`.
    #[serde(default, rename = "for")]
    #[schema(pattern = "^[1-9][0-9]{0,3}(s|m|h|d)$")]
    after: Option<String>,
}

/// Whom, how many of them were seen, why, and of a pause until when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedOfAll {
    /// Who: all that match this filter, as `GET /tenants` takes it. Empty for all tenants.
    #[schema(max_length = 1000, example = "reason:NameTaken since:15m")]
    filter: String,
    /// How many of them the caller has seen, behind `cursor` where that is given.
    #[schema(minimum = 0)]
    expect: u64,
    /// Where to begin: `next_cursor` of the request before.
    #[serde(default)]
    #[schema(min_length = 1, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
    /// Why, for those who wonder; it is recorded with the name of the token.
    #[schema(min_length = 1, max_length = 500, pattern = "\\S")]
    reason: String,
    /// Of a pause: when it ends by itself.
    #[serde(default)]
    until: Option<DateTime<Utc>>,
    /// Of a pause: after how long it ends by itself, such as `2h`, instead of `until`.
    #[serde(default, rename = "for")]
    #[schema(pattern = "^[1-9][0-9]{0,3}(s|m|h|d)$")]
    ends_after: Option<String>,
}

/// What [`AskedOfAll`] means.
pub(super) struct Meant {
    pub(super) filter: Filter,
    pub(super) expect: u64,
    /// The key behind which they are.
    pub(super) after: String,
    pub(super) asked: Asked,
}

impl AskedOfAll {
    pub(super) fn meant(self) -> Result<Meant, Problem> {
        let filter =
            Filter::parse(&self.filter).map_err(|fault| Problem::no_filter(Kind::BadBody, &fault))?;
        let bad =
            |_| bad_field("cursor", "is none of ours", "the next_cursor of another request, as it was given");
        let after = self.cursor.map(|cursor| place(&cursor).map_err(bad)).transpose()?.unwrap_or_default();
        let asked = Asked { reason: self.reason, until: self.until, after: self.ends_after };
        Ok(Meant { filter, expect: self.expect, after, asked })
    }
}

/// The body, of which `fields` says what it has.
pub(super) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    fields: &str,
) -> Result<T, Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let detail = format!("the body is {kind:?}");
        return Err(Problem::new(Kind::UnsupportedMediaType, detail).at("Content-Type", "application/json"));
    }
    let bytes = to_bytes(body, MOST_BYTES).await.map_err(|_| {
        let detail = format!("the body has more than {MOST_BYTES} bytes, or did not arrive");
        Problem::new(Kind::TooLarge, detail)
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let expected = format!("a JSON object with {fields}");
        Problem::new(Kind::BadBody, format!("the body cannot be read: {error}")).at("body", expected)
    })
}

pub(super) fn bad_field(field: &str, problem: &str, expected: impl Into<String>) -> Problem {
    Problem::new(Kind::BadBody, format!("the field {field} {problem}")).at(field, expected)
}

pub(super) fn reason_of(asked: &Asked) -> Result<String, Problem> {
    why(&asked.reason).ok_or_else(|| bad_field("reason", "says nothing, or too much", EXPECTED))
}

pub(super) fn end_of(asked: &Asked, verb: Verb) -> Result<End, Problem> {
    let field = match (asked.until, &asked.after) {
        (None, None) => return Ok(End::Open),
        (Some(_), Some(_)) => return Err(bad_field("until", "is given, and so is for", "one of the two")),
        (Some(_), None) => "until",
        (None, Some(_)) => "for",
    };
    if verb != Verb::Pause {
        return Err(bad_field(field, "is of a pause", "no such field"));
    }
    // No duration is none that a pause may have.
    let after = asked.after.as_deref().map(|after| humantime::parse_duration(after).unwrap_or_default());
    End::of(asked.until, after).ok_or_else(|| {
        let expected = "a number with its unit, such as 90s, 15m, 2h or 7d";
        bad_field("for", &format!("is {:?}", asked.after.as_deref().unwrap_or_default()), expected)
    })
}
