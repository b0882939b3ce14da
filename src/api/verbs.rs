//! The verbs: what the commands do to one tenant, each at most once by the caller's key.
//!
//! The rule: **nobody acts without saying why, and who it was is recorded.** The name is that
//! of the token, never one that the request brings along.

use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header::CONTENT_TYPE};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::problem::{Answered, Details, Kind, Problem};
use super::query::Query;
use super::reply::json;
use super::state::Api;
use super::tenants::storable_key;
use crate::domain::text::plain;
use crate::http::Visitor;
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::verbs::{Carried, Deed, Order, Verb};

/// Largest body.
const MOST_BYTES: usize = 16 * 1024;
/// Longest reason, and longest key.
const MOST_CHARACTERS: usize = 500;
const LONGEST_KEY: usize = 200;
/// A pause that is to last longer has no end.
const LONGEST_PAUSE: Duration = Duration::from_hours(24 * 10_000);
/// The header of the caller's key.
const KEY: &str = "idempotency-key";
/// Who acts where the token has no name.
const NAMELESS: &str = "whoever has http.act_token_file";

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

/// Does something to a tenant, once: whoever asks again with the same key gets the same answer,
/// for a day.
#[utoipa::path(post, path = "/tenants/{external_id}/{verb}", tag = "tenants", params(
    ("external_id" = String, Path, description = "The pipeline's key, percent-encoded.", example = "customer-1"),
    ("verb" = Verb, Path, description = "What is to be done."),
    ("Idempotency-Key" = String, Header, description = "The caller's, new for each thing to be done.", min_length = 1, max_length = 200, pattern = "^[!-~]+$"),
), request_body = Asked, responses(
    (status = 200, body = Deed),
    (status = "default", body = Details, content_type = "application/problem+json"),
))]
pub(super) async fn act(
    State(api): State<Api>,
    Extension(who): Extension<Visitor>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let Ok(Path((external_id, verb))) = path else {
        return Err(Problem::bad("external_id", "is no text", "UTF-8, percent-encoded"));
    };
    let verb = verb_of(&verb)?;
    let external_id = storable_key(external_id)?;
    Query::of(&uri).end()?;
    let key = key_of(&headers)?;
    let asked = read(&headers, body).await?;
    let reason = reason_of(&asked)?;
    let by = who.0.as_deref().unwrap_or(NAMELESS);
    let store = api.store().await?;
    let end = end_of(&asked, verb)?;
    let request = digest(&[&external_id, verb.as_str(), &reason, &format!("{end:?}"), by]);
    let now = store.now().await?;
    let order = Order { key, request, external_id: &external_id, verb, end, now, reason: &reason, by };
    told(store.carry_out(&order).await?, &order)
}

fn told(carried: Carried, order: &Order<'_>) -> Answered {
    match carried {
        Carried::Out(deed) => Ok(json(&deed)),
        Carried::UnknownTenant => Err(Problem::unknown_tenant(order.external_id)),
        Carried::Past => Err(bad_field("until", "is in the past", "an instant to come")),
        Carried::OtherRequest => {
            let detail = "this key was used for another request, or by somebody else";
            Err(Problem::new(Kind::KeyReused, detail).at("Idempotency-Key", "a key that is new"))
        }
        Carried::Impossible(status) => {
            let reason = status.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
            let detail = format!(
                "{} cannot be done to {}: it has no secret, or is to have none; phase {}{reason}",
                order.verb.as_str(),
                order.external_id,
                status.phase
            );
            Err(Problem::new(Kind::Impossible, detail))
        }
    }
}

fn verb_of(text: &str) -> Result<Verb, Problem> {
    Verb::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or_else(|| {
        let verbs = Verb::ALL.map(Verb::as_str).join(", ");
        Problem::new(Kind::NotFound, format!("there is no verb {text:?}"))
            .at("verb", format!("one of {verbs}"))
    })
}

fn key_of(headers: &HeaderMap) -> Result<&str, Problem> {
    let expected = format!("1 to {LONGEST_KEY} visible ASCII characters, new for each thing to be done");
    let mut given = headers.get_all(KEY).iter();
    let bad = |problem| Problem::bad("Idempotency-Key", problem, expected.clone());
    let key = given.next().ok_or_else(|| bad("is missing"))?;
    if given.next().is_some() {
        return Err(bad("is given twice"));
    }
    let is_plain = |key: &&str| {
        (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    key.to_str().ok().filter(is_plain).ok_or_else(|| bad("cannot be kept"))
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Asked, Problem> {
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
        let expected = "a JSON object with reason, and for a pause until or for";
        Problem::new(Kind::BadBody, format!("the body cannot be read: {error}")).at("body", expected)
    })
}

fn bad_field(field: &str, problem: &str, expected: impl Into<String>) -> Problem {
    Problem::new(Kind::BadBody, format!("the field {field} {problem}")).at(field, expected)
}

fn reason_of(asked: &Asked) -> Result<String, Problem> {
    let reason = plain(asked.reason.trim());
    if reason.is_empty() || reason.chars().count() > MOST_CHARACTERS {
        return Err(bad_field(
            "reason",
            "says nothing, or too much",
            format!("1 to {MOST_CHARACTERS} characters"),
        ));
    }
    Ok(reason)
}

fn end_of(asked: &Asked, verb: Verb) -> Result<End, Problem> {
    let field = if asked.until.is_some() { "until" } else { "for" };
    match (asked.until, &asked.after) {
        (None, None) => Ok(End::Open),
        (Some(_), Some(_)) => Err(bad_field("until", "is given, and so is for", "one of the two")),
        (Some(_), None) | (None, Some(_)) if verb != Verb::Pause => {
            Err(bad_field(field, "is of a pause", "no such field"))
        }
        (Some(until), None) => Ok(End::At(until)),
        (None, Some(after)) => {
            let read = humantime::parse_duration(after).ok();
            let read = read.filter(|after| !after.is_zero() && *after <= LONGEST_PAUSE);
            read.map(End::After).ok_or_else(|| {
                bad_field(
                    "for",
                    &format!("is {after:?}"),
                    "a number with its unit, such as 90s, 15m, 2h or 7d",
                )
            })
        }
    }
}

/// Parts of any length, told apart.
fn digest(parts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}
