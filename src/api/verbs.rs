//! The verbs: what the commands do to one tenant or to all who match, each at most once by the caller's key.
//!
//! The rule: **nobody acts without saying why, and who it was is recorded.** The name is that
//! of the token, never one that the request brings along.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use chrono::SecondsFormat;

use super::asked::{Asked, AskedOfAll, Meant, bad_field, end_of, read, reason_of};
use super::kind::Kind;
use super::problem::{Answered, Details, Problem};
use super::query::Query;
use super::reply::json;
use super::state::Api;
use super::tenants::{cursor, storable_key};
use super::who::{name_of, over_http};
use crate::domain::digest;
use crate::http::Visitor;
use crate::postgres::operator::orders::{Carried, Deed, Deeds, Matching, Order, Whom};
use crate::postgres::operator::pauses::End;
use crate::postgres::operator::verbs::{Task, Verb};

/// Longest key.
const LONGEST_KEY: usize = 200;
/// The header of the caller's key.
const KEY: &str = "idempotency-key";

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
    let asked: Asked = read(&headers, body, "reason, and for a pause until or for").await?;
    let task = Named::new(verb, &asked, &who)?;
    let request = task.digest(&["one", &external_id]);
    carried(&api, key, request, Whom::One(&external_id), &task).await
}

/// Does something to all who match a filter, once and as many of them as were seen: where more or
/// fewer match now, nothing is done. At most 500 of them; `next_cursor` says where the rest begins.
#[utoipa::path(post, path = "/verbs/{verb}", tag = "tenants", params(
    ("verb" = Verb, Path, description = "What is to be done."),
    ("Idempotency-Key" = String, Header, description = "The caller's, new for each thing to be done.", min_length = 1, max_length = 200, pattern = "^[!-~]+$"),
), request_body = AskedOfAll, responses(
    (status = 200, body = Deeds),
    (status = "default", body = Details, content_type = "application/problem+json"),
))]
pub(super) async fn act_on_all(
    State(api): State<Api>,
    Extension(who): Extension<Visitor>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let Ok(Path(verb)) = path else {
        return Err(Problem::bad("verb", "is no text", "UTF-8, percent-encoded"));
    };
    let verb = verb_of(&verb)?;
    Query::of(&uri).end()?;
    let key = key_of(&headers)?;
    let asked: AskedOfAll =
        read(&headers, body, "filter, expect, reason, and for a pause until or for").await?;
    let Meant { filter, expect, after, asked } = asked.meant()?;
    let task = Named::new(verb, &asked, &who)?;
    let request = task.digest(&["all", &filter.to_string(), &after, &expect.to_string()]);
    let matching = Matching { filter: &filter, after: &after, expect, cursor };
    carried(&api, key, request, Whom::All(&matching), &task).await
}

/// What is to be done, with words of its own.
struct Named {
    verb: Verb,
    end: End,
    reason: String,
    name: String,
    by: String,
}

impl Named {
    fn new(verb: Verb, asked: &Asked, who: &Visitor) -> Result<Self, Problem> {
        let name = name_of(who.0.as_deref()).to_owned();
        let by = over_http(&name);
        Ok(Self { verb, end: end_of(asked, verb)?, reason: reason_of(asked)?, name, by })
    }

    /// What the key stands for: whom it is done to, what, why, and who asks.
    fn digest(&self, whom: &[&str]) -> [u8; 32] {
        let end = written(self.end);
        let task = [self.verb.as_str(), self.reason.as_str(), &end, &self.name];
        digest::of(&[whom, &task].concat())
    }
}

/// The end of a pause, in a form that stays when our types change.
fn written(end: End) -> String {
    match end {
        End::Open => "open".to_owned(),
        End::After(after) => format!("for {}.{:09} s", after.as_secs(), after.subsec_nanos()),
        End::At(until) => format!("until {}", until.to_rfc3339_opts(SecondsFormat::Nanos, true)),
    }
}

async fn carried(api: &Api, key: &str, request: [u8; 32], whom: Whom<'_>, named: &Named) -> Answered {
    let store = api.store().await?;
    let now = store.now().await?;
    let task = Task { verb: named.verb, end: named.end, reason: &named.reason, by: &named.by };
    let order = Order { key, request, whom, task, now };
    told(store.carry_out(&order).await?, &order)
}

fn told(carried: Carried, order: &Order<'_>) -> Answered {
    let (whom, seen) = match order.whom {
        Whom::One(external_id) => (external_id, 1),
        Whom::All(matching) => ("all of them", matching.expect),
    };
    match carried {
        Carried::Out(told) => Ok(json(&told)),
        Carried::UnknownTenant => Err(Problem::unknown_tenant(whom)),
        Carried::Differs(count) => Err(Problem::count_differs(seen, count)),
        Carried::Past => Err(bad_field("until", "is in the past", "an instant to come")),
        Carried::OtherRequest => {
            let detail = "this key was used for another request, or by somebody else";
            Err(Problem::new(Kind::KeyReused, detail).at("Idempotency-Key", "a key that is new"))
        }
        Carried::Impossible(status) => {
            let reason = status.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
            let detail = format!(
                "{} cannot be done to {whom}: it has no secret, or is to have none; phase {}{reason}",
                order.task.verb.as_str(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn named(reason: &str, end: End, by: &str) -> Named {
        Named { verb: Verb::Pause, end, reason: reason.to_owned(), name: by.to_owned(), by: String::new() }
    }

    #[test]
    fn a_key_stands_for_whom_what_why_until_when_and_by_whom() {
        let hour = End::After(std::time::Duration::from_hours(1));
        let one = named("works", hour, "alice").digest(&["one", "a"]);

        for other in [
            named("work", hour, "alice").digest(&["one", "a"]),
            named("works", End::Open, "alice").digest(&["one", "a"]),
            named("works", hour, "bob").digest(&["one", "a"]),
            named("works", hour, "alice").digest(&["one", "b"]),
            named("works", hour, "alice").digest(&["all", "a"]),
            named("works", hour, "alice").digest(&["onea"]),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(one, named("works", hour, "alice").digest(&["one", "a"]));
    }

    #[test]
    fn the_end_of_a_pause_is_written_so_for_as_long_as_keys_are_remembered() {
        let at = chrono::DateTime::from_timestamp(1_800_000_000, 5).unwrap();

        assert_eq!(written(End::Open), "open");
        assert_eq!(written(End::After(std::time::Duration::from_millis(1500))), "for 1.500000000 s");
        assert_eq!(written(End::At(at)), "until 2027-01-15T08:00:00.000000005Z");
    }
}
