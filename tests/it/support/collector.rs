//! A collector of traces on loopback, which reads what it gets with OpenTelemetry's own types.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tenantd::ports::Clock as _;
use tenantd::system::SystemClock;

/// A span as it was heard.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where it has none.
    pub(crate) parent: String,
    pub(crate) is_parent_remote: bool,
    pub(crate) links: Vec<(String, String)>,
    /// In microseconds since 1970.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) has_failed: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    /// `service.instance.id` of its sender.
    pub(crate) sender: String,
}

impl Heard {
    pub(crate) fn get(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }
}

struct Ear {
    clock: SystemClock,
    /// When it was asked.
    times: Mutex<Vec<Duration>>,
    /// What it says of that, in seconds; 0 for nothing.
    wait: AtomicU16,
    spans: Mutex<Vec<Heard>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    authorization: Mutex<Option<String>>,
    /// What it answers; 0 for nothing at all.
    answer: AtomicU16,
    asked: AtomicU64,
}

impl Default for Ear {
    fn default() -> Self {
        Self {
            clock: SystemClock::start(),
            times: Mutex::default(),
            wait: AtomicU16::default(),
            spans: Mutex::default(),
            bodies: Mutex::default(),
            authorization: Mutex::default(),
            answer: AtomicU16::default(),
            asked: AtomicU64::default(),
        }
    }
}

pub(crate) struct Collector {
    ear: Arc<Ear>,
    pub(crate) endpoint: String,
}

impl Collector {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        let ear = Arc::new(Ear::default());
        ear.answer.store(200, Ordering::SeqCst);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let routes = axum::Router::new().route("/v1/traces", post(hear)).with_state(Arc::clone(&ear));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { ear, endpoint }
    }

    /// One that was there and is no more.
    pub(crate) async fn gone() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        Self { ear: Arc::default(), endpoint }
    }

    /// From now on it answers so; 0 for nothing at all.
    pub(crate) fn answers(&self, status: u16) {
        self.ear.answer.store(status, Ordering::SeqCst);
    }

    /// From now on it asks to be asked again after so many seconds.
    pub(crate) fn asks_to_wait(&self, seconds: u16) {
        self.ear.wait.store(seconds, Ordering::SeqCst);
    }

    /// Between the first two times that it was asked.
    pub(crate) fn first_pause(&self) -> Duration {
        let times = self.ear.times.lock().unwrap();
        times[1].saturating_sub(times[0])
    }

    /// So often it was asked, whatever it answered.
    pub(crate) fn asked(&self) -> u64 {
        self.ear.asked.load(Ordering::SeqCst)
    }

    /// What it took, in the order of their beginning.
    pub(crate) fn spans(&self) -> Vec<Heard> {
        let mut spans = self.ear.spans.lock().unwrap().clone();
        spans.sort_by_key(|span| (span.began, span.ended));
        spans
    }

    /// The bodies that it took, as they came.
    pub(crate) fn bodies(&self) -> Vec<u8> {
        self.ear.bodies.lock().unwrap().concat()
    }

    pub(crate) fn authorization(&self) -> Option<String> {
        self.ear.authorization.lock().unwrap().clone()
    }
}

async fn hear(State(ear): State<Arc<Ear>>, headers: HeaderMap, body: Bytes) -> Response {
    ear.times.lock().unwrap().push(ear.clock.elapsed());
    ear.asked.fetch_add(1, Ordering::SeqCst);
    let status = ear.answer.load(Ordering::SeqCst);
    if status == 0 {
        return std::future::pending().await;
    }
    if status == 200 {
        let request = ExportTraceServiceRequest::decode(body.as_ref()).unwrap();
        let heard = request.resource_spans.into_iter().flat_map(|resource| {
            let of_sender = attributes(&resource.resource.unwrap().attributes);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| heard(&span, &of_sender["service.instance.id"])).collect::<Vec<_>>()
        });
        ear.spans.lock().unwrap().extend(heard);
        ear.bodies.lock().unwrap().push(body.to_vec());
        let authorization = headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
        *ear.authorization.lock().unwrap() = authorization;
    }
    let answer = StatusCode::from_u16(status).unwrap();
    match ear.wait.load(Ordering::SeqCst) {
        0 => answer.into_response(),
        seconds => (answer, [("retry-after", seconds.to_string())]).into_response(),
    }
}

fn heard(span: &Span, sender: &str) -> Heard {
    Heard {
        name: span.name.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        is_parent_remote: span.flags & 0x200 != 0,
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        began: span.start_time_unix_nano / 1000,
        ended: span.end_time_unix_nano / 1000,
        has_failed: span.status.as_ref().is_some_and(|status| status.code == 2),
        attributes: attributes(&span.attributes),
        sender: sender.to_owned(),
    }
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| {
        let value = value.value.as_ref()?.value.as_ref()?;
        if let any_value::Value::IntValue(number) = value {
            return Some(number.to_string());
        }
        if let any_value::Value::StringValue(text) = value { Some(text.clone()) } else { None }
    };
    all.iter().map(|it| (it.key.clone(), text(it).unwrap())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
