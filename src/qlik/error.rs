//! Turns what came instead of a good answer into a [`Failure`].
//!
//! The rule: of an answer only the status, the first error code and the trace id are
//! kept, and the latter two only where they look like what they claim to be, since they
//! are stored and shown. Where the body is no error document, the status alone decides.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use serde_json::Value;

use super::body::BodyFault;
use crate::domain::failure::{Evidence, Failure, FailureKind};

/// Shortest and longest wait that a 429 can ask for. The longest keeps a wrong
/// clock at the other end from parking a tenant for a year.
const WAIT_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));

/// The wait after a 429 that names none. Qlik's advice is one second, but its
/// limits are counted over five minutes, and a 429 without the header was
/// probably sent by something in between that is more in need of quiet. Waiting
/// costs nothing: a throttle is not a failure.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

/// Declared by some operations of Qlik's; others say it in the body.
const TRACE_HEADER: HeaderName = HeaderName::from_static("x-b3-traceid");

/// Reads the failure of a request that got no answer. A request that met its end
/// while connecting was certainly not sent; of any other it cannot be told.
pub(super) fn unanswered(error: &reqwest::Error) -> Failure {
    let kind = if error.is_connect() { FailureKind::NotConnected } else { FailureKind::NoAnswer };
    Failure::unanswered(kind)
}

/// Reads an answer that is not a success; `body` is `None` where none could be read.
pub(super) fn refusal(
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&[u8]>,
    now: impl FnOnce() -> DateTime<Utc>,
) -> Failure {
    let document: Value = body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let code = document.pointer("/errors/0/code").and_then(Value::as_str).and_then(token_text);
    let trace_id = document.get("traceId").and_then(Value::as_str).and_then(token_text);
    let wait = match status {
        StatusCode::TOO_MANY_REQUESTS => wait_after(headers, now),
        _ => DEFAULT_WAIT,
    };
    Failure {
        kind: FailureKind::of_answer(status.as_u16(), code.as_deref(), wait),
        evidence: Evidence { code, trace_id: trace_id.or_else(|| trace_header(headers)), ..seen(status) },
    }
}

/// The failure of a success that says nothing readable.
pub(super) fn unreadable(status: StatusCode, headers: &HeaderMap) -> Failure {
    Failure {
        kind: FailureKind::Unreadable,
        evidence: Evidence { trace_id: trace_header(headers), ..seen(status) },
    }
}

/// The failure of a success whose body could not be had.
pub(super) fn without_body(fault: BodyFault, status: StatusCode, headers: &HeaderMap) -> Failure {
    let kind = match fault {
        BodyFault::Unacceptable => FailureKind::Unreadable,
        BodyFault::BrokenOff => FailureKind::NoAnswer,
    };
    Failure { kind, ..unreadable(status, headers) }
}

fn seen(status: StatusCode) -> Evidence {
    Evidence { status: Some(status.as_u16()), ..Evidence::default() }
}

fn trace_header(headers: &HeaderMap) -> Option<String> {
    headers.get(TRACE_HEADER)?.to_str().ok().and_then(token_text)
}

/// The text, if it is 1 to 64 letters, digits, hyphens or underscores.
fn token_text(text: &str) -> Option<String> {
    let is_token = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    is_token.then(|| text.to_owned())
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date that is compared
/// with the answer's own `Date`, so that our clock need not be right.
fn wait_after(headers: &HeaderMap, now: impl FnOnce() -> DateTime<Utc>) -> Duration {
    let Some(text) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim) else {
        return DEFAULT_WAIT;
    };
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are still a number, only a very long one.
        Some(text.parse().map_or(WAIT_BOUNDS.1, Duration::from_secs))
    } else {
        httpdate::parse_http_date(text).ok().map(|until| {
            let sent = answer_date(headers).unwrap_or_else(|| now().into());
            until.duration_since(sent).unwrap_or_default()
        })
    };
    wait.map_or(DEFAULT_WAIT, |wait| wait.clamp(WAIT_BOUNDS.0, WAIT_BOUNDS.1))
}

fn answer_date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn every_spelling_of_retry_after_gives_a_bounded_wait() {
        // Our own clock is far off on purpose; it counts only where the answer has no date.
        let now =
            || DateTime::<Utc>::from(httpdate::parse_http_date("Sun, 01 Mar 2026 12:00:50 GMT").unwrap());
        let date = ("date", "Sun, 01 Mar 2026 12:00:00 GMT");
        for (pairs, expected) in [
            (vec![], 30),
            (vec![("retry-after", "13")], 13),
            (vec![("retry-after", " 13 ")], 13),
            (vec![("retry-after", "0")], 1),
            (vec![("retry-after", "3601")], 3600),
            (vec![("retry-after", "99999999999999999999999999")], 3600),
            (vec![("retry-after", "-5")], 30),
            (vec![("retry-after", "1.5")], 30),
            (vec![("retry-after", "soon")], 30),
            (vec![("retry-after", "")], 30),
            (vec![("retry-after", "Sun, 01 Mar 2026 12:01:00 GMT"), date], 60),
            (vec![("retry-after", "Sun, 01 Mar 2026 12:01:00 GMT")], 10),
            (vec![("retry-after", "Sun, 01 Mar 2026 12:01:00 GMT"), ("date", "today")], 10),
            (vec![("retry-after", "Sun, 01 Mar 2026 11:00:00 GMT"), date], 1),
            (vec![("retry-after", "Mon, 01 Mar 2027 12:00:00 GMT"), date], 3600),
        ] {
            let failure = refusal(StatusCode::TOO_MANY_REQUESTS, &headers(&pairs), None, now);

            let wait = Duration::from_secs(expected);
            assert_eq!(failure.kind, FailureKind::Throttled { wait }, "{pairs:?}");
        }
    }

    #[test]
    fn only_what_looks_like_a_code_or_a_trace_id_is_kept() {
        let long = format!(r#"{{"errors":[{{"code":"{}"}}]}}"#, "a".repeat(65));
        for (body, code, trace) in [
            (
                r#"{"errors":[{"code":"OAUTH-5","status":"401"}],"traceId":"e6f7"}"#,
                Some("OAUTH-5"),
                Some("e6f7"),
            ),
            (r#"{"errors":[{"code":"A_1","status":401,"meta":[1]}]}"#, Some("A_1"), Some("b3")),
            (r#"{"errors":[{"code":"A_1","meta":{"a":{}}}],"traceId":7}"#, Some("A_1"), Some("b3")),
            (r#"{"errors":[{"code":"<b>s3cret</b>"}],"traceId":"a b"}"#, None, Some("b3")),
            (r#"{"errors":[{"code":5}]}"#, None, Some("b3")),
            (r#"{"errors":[]}"#, None, Some("b3")),
            (r#"{"errors":null}"#, None, Some("b3")),
            (r#"{"errors":"OAUTH-5"}"#, None, Some("b3")),
            (r#"["errors"]"#, None, Some("b3")),
            (long.as_str(), None, Some("b3")),
            ("<html>no</html>", None, Some("b3")),
            ("", None, Some("b3")),
        ] {
            let failure = refusal(
                StatusCode::BAD_REQUEST,
                &headers(&[("x-b3-traceid", "b3")]),
                Some(body.as_bytes()),
                || DateTime::UNIX_EPOCH,
            );

            assert_eq!(failure.kind, FailureKind::Rejected, "{body}");
            assert_eq!(
                (
                    failure.evidence.status,
                    failure.evidence.code.as_deref(),
                    failure.evidence.trace_id.as_deref()
                ),
                (Some(400), code, trace),
                "{body}"
            );
        }
    }

    #[test]
    fn an_error_in_broken_utf8_is_judged_by_its_status() {
        let failure = refusal(
            StatusCode::FORBIDDEN,
            &HeaderMap::new(),
            Some(b"{\"errors\":[{\"code\":\"\xff\"}]}"),
            || DateTime::UNIX_EPOCH,
        );

        assert_eq!(failure.kind, FailureKind::Forbidden);
        assert_eq!(failure.evidence.code, None);
    }
}
