//! What goes back on the wire: the right answer, or what a fault makes of it.
//!
//! The rule: a fault changes bytes here and nowhere else; the world has already
//! done, or not done, what was asked.

use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::answers;
use super::gzip;
use super::perform::Answer;
use crate::simulator::endpoint::Endpoint;
use crate::simulator::faults::{Reply, RetryAfter, Spoil};
use crate::simulator::problem::Problem;

/// What becomes of a request on the wire.
pub(super) enum Outgoing {
    Answer(Response<Payload>),
    Close,
    Hang,
}

/// A body in one piece, that may break off.
pub(super) struct Payload {
    bytes: Option<Bytes>,
    breaks_off: bool,
    flushed: bool,
}

/// Size of [`Spoil::Huge`] in bytes.
const HUGE: usize = 10_000_000;

impl Payload {
    fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: Some(bytes.into()), breaks_off: false, flushed: false }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.bytes.take().filter(|bytes| !bytes.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.breaks_off {
            return Poll::Ready(None);
        }
        if !self.flushed {
            // Pending makes hyper send what it has before it hears of the break.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())))
    }

    fn is_end_stream(&self) -> bool {
        !self.breaks_off && self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.bytes {
            Some(bytes) if !self.breaks_off => SizeHint::with_exact(bytes.len() as u64),
            Some(_) | None => SizeHint::default(),
        }
    }
}

/// Turns what was done into what is sent. `processed` is `None` where nothing was.
pub(super) fn outgoing(
    processed: Option<Result<Answer, Problem>>,
    reply: &Reply,
    endpoint: Endpoint,
    trace_id: &str,
    now: DateTime<Utc>,
) -> Outgoing {
    let response = match (reply, processed) {
        (Reply::Close, _) => return Outgoing::Close,
        (Reply::Hang, _) | (Reply::Right | Reply::OkInsteadOfCreated | Reply::Spoilt(_), None) => {
            return Outgoing::Hang;
        }
        (Reply::Status(status), _) => refusal(&Problem::of_status(*status), trace_id),
        (Reply::Throttle(wait), _) => throttle(*wait, trace_id, now),
        (Reply::Html(status), _) => html(*status),
        (Reply::Redirect(location), _) => redirect(location),
        (Reply::OkInsteadOfCreated, Some(outcome)) => {
            let mut response = right(outcome, trace_id);
            if response.status() == StatusCode::CREATED {
                *response.status_mut() = StatusCode::OK;
            }
            response
        }
        (Reply::Spoilt(spoil), Some(Ok(Answer { status, body: Some(body) }))) => {
            spoilt(*spoil, status, body, endpoint)
        }
        // An answer without a body, and a refusal, have nothing to be spoilt.
        (Reply::Right | Reply::Spoilt(_), Some(outcome)) => right(outcome, trace_id),
    };
    Outgoing::Answer(dated(response, now))
}

fn right(outcome: Result<Answer, Problem>, trace_id: &str) -> Response<Payload> {
    match outcome {
        Ok(Answer { status, body: Some(body) }) => json(status, body.to_string()),
        Ok(Answer { status, body: None }) => respond(status, Payload::whole(Bytes::new())),
        Err(problem) => refusal(&problem, trace_id),
    }
}

/// A refusal in Qlik's envelope.
pub(super) fn refusal(problem: &Problem, trace_id: &str) -> Response<Payload> {
    let mut response = json(problem.status, answers::problem(problem, trace_id).to_string());
    if let Some(seconds) = problem.retry_after {
        set(&mut response, RETRY_AFTER, &seconds.to_string());
    }
    response
}

fn throttle(wait: RetryAfter, trace_id: &str, now: DateTime<Utc>) -> Response<Payload> {
    let seconds = match wait {
        RetryAfter::Seconds(seconds) => seconds,
        RetryAfter::Date(ahead) => ahead.as_secs(),
        RetryAfter::Missing => 1,
    };
    let mut response = refusal(&Problem::throttled(seconds), trace_id);
    match wait {
        RetryAfter::Seconds(_) => {}
        RetryAfter::Date(ahead) => set(&mut response, RETRY_AFTER, &http_date(now, ahead)),
        RetryAfter::Missing => drop(response.headers_mut().remove(RETRY_AFTER)),
    }
    response
}

fn html(status: u16) -> Response<Payload> {
    let page = format!("<html><body><h1>{status}</h1><p>The gateway is having a bad day.</p></body></html>");
    let mut response = respond(status, Payload::whole(page));
    set(&mut response, CONTENT_TYPE, "text/html");
    response
}

fn redirect(location: &str) -> Response<Payload> {
    let mut response = respond(302, Payload::whole(Bytes::new()));
    set(&mut response, LOCATION, location);
    response
}

fn spoilt(spoil: Spoil, status: u16, mut body: Value, endpoint: Endpoint) -> Response<Payload> {
    let field = key_field(endpoint);
    let text = body.to_string();
    let bytes: Vec<u8> = match spoil {
        Spoil::Truncated => return truncated(status, text),
        Spoil::InvalidJson => text.trim_end_matches('}').as_bytes().to_vec(),
        Spoil::InvalidUtf8 => with_bad_byte(text.into_bytes()),
        Spoil::WrongType => {
            body[field] = 42.into();
            body.to_string().into_bytes()
        }
        Spoil::NullField => {
            body[field] = Value::Null;
            body.to_string().into_bytes()
        }
        Spoil::MissingField => {
            if let Value::Object(fields) = &mut body {
                fields.remove(field);
            }
            body.to_string().into_bytes()
        }
        Spoil::Empty => Vec::new(),
        Spoil::DuplicateKeys => text.replacen('{', &format!("{{\"{field}\":\"another\","), 1).into_bytes(),
        Spoil::Huge => {
            text.replacen('{', &format!("{{\"padding\":\"{}\",", "x".repeat(HUGE)), 1).into_bytes()
        }
        Spoil::GzipBomb => return gzip_bomb(status),
    };
    json(status, bytes)
}

/// The field a reader cannot do without.
fn key_field(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::RegionToken | Endpoint::ClientToken => "access_token",
        Endpoint::ListClients | Endpoint::ListUsers | Endpoint::ListTokens => "data",
        Endpoint::GetConsent => "consentMethod",
        Endpoint::Me | Endpoint::CreateUser => "id",
        Endpoint::ProductInfo => "composition",
        Endpoint::CreateClient
        | Endpoint::GetClient
        | Endpoint::PatchClient
        | Endpoint::DeleteClient
        | Endpoint::MintSecret
        | Endpoint::DeleteSecret
        | Endpoint::SetConsent
        | Endpoint::DeleteUser
        | Endpoint::DeleteToken
        | Endpoint::DeleteTokensByFilter
        | Endpoint::Unknown => "clientId",
    }
}

fn with_bad_byte(mut bytes: Vec<u8>) -> Vec<u8> {
    let inside = bytes.iter().rposition(|byte| *byte == b'"').unwrap_or(0);
    bytes.insert(inside, 0xff);
    bytes
}

fn truncated(status: u16, text: String) -> Response<Payload> {
    let (whole, mut bytes) = (text.len(), text.into_bytes());
    bytes.truncate(whole / 2);
    let mut response = json(status, bytes);
    set(&mut response, CONTENT_LENGTH, &whole.to_string());
    response.body_mut().breaks_off = true;
    response
}

fn gzip_bomb(status: u16) -> Response<Payload> {
    static BOMB: OnceLock<Bytes> = OnceLock::new();
    let mut response = json(status, BOMB.get_or_init(|| gzip::bomb().into()).clone());
    set(&mut response, CONTENT_ENCODING, "gzip");
    response
}

pub(super) fn json(status: u16, bytes: impl Into<Bytes>) -> Response<Payload> {
    let mut response = respond(status, Payload::whole(bytes));
    set(&mut response, CONTENT_TYPE, "application/json");
    response
}

fn respond(status: u16, payload: Payload) -> Response<Payload> {
    let mut response = Response::new(payload);
    // A fault may be planned with any number; one that is no status reads as 500.
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// The answer's `Date` is the world's, against which HTTP dates are read.
fn dated(mut response: Response<Payload>, now: DateTime<Utc>) -> Response<Payload> {
    set(&mut response, DATE, &http_date(now, Duration::ZERO));
    response
}

fn http_date(now: DateTime<Utc>, ahead: Duration) -> String {
    httpdate::fmt_http_date((now + ahead).into())
}

fn set(response: &mut Response<Payload>, name: HeaderName, value: &str) {
    // A planned `Location` may hold anything; what is no header value is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
