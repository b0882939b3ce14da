//! The collector of traces, over OTLP/HTTP.
//!
//! The rules: nobody waits for it, no request to it is without an end, and what it does not take
//! is **counted, and said once** until it takes some again. It is spoken to by its configured
//! address alone: no proxy, no redirect, no variable of the environment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::span::Span;
use super::wire;
use crate::domain::ids::Holder;
use crate::telemetry::metrics::{DROPPED, SENT, TRACE_SPANS_TOTAL};

/// Most spans of one request: some hundred kilobytes.
const BATCH: usize = 512;
/// So long spans wait for company.
const GATHER: Duration = Duration::from_secs(1);
/// The end of one request.
const ANSWER: Duration = Duration::from_secs(10);
/// Its first part.
const CONNECT: Duration = Duration::from_secs(3);
/// The first pause before a batch is sent again, and the longest; each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(16));
/// The longest pause that it may ask for itself.
const LONGEST: Duration = Duration::from_mins(1);
/// Most of an answer that is read: it says how many spans were not taken.
const MOST_BYTES: usize = 64 * 1024;

/// Why no collector can be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCollector {
    /// A header that no request can bear.
    #[error("traces.headers holds what fits into no HTTP header")]
    Header,
    /// TLS was not set up.
    #[error("no provider of TLS is installed")]
    NoCryptoProvider,
    /// The client cannot be built.
    #[error("the client for traces.endpoint cannot be built: {0}")]
    Client(reqwest::Error),
}

/// Where spans go.
#[derive(Debug)]
pub struct Collector {
    client: Client,
    endpoint: String,
}

/// What became of a batch.
enum Answer {
    Taken {
        rejected: u64,
    },
    /// It may take it later: after so long, where it says so.
    NotNow(String, Option<Duration>),
    /// It never will.
    Refused(String),
}

impl Collector {
    /// The collector at this address, with these headers on each request.
    pub fn new(endpoint: &str, headers: &[(String, SecretString)]) -> Result<Self, InvalidCollector> {
        // reqwest panics without a provider, so it is not asked.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(InvalidCollector::NoCryptoProvider);
        }
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(name).map_err(|_| InvalidCollector::Header)?;
            let mut value =
                HeaderValue::from_str(value.expose_secret()).map_err(|_| InvalidCollector::Header)?;
            value.set_sensitive(true);
            all.insert(name, value);
        }
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        #[expect(clippy::disallowed_methods, reason = "it sends nothing to Qlik, and has limits of its own")]
        let client = Client::builder()
            .user_agent(concat!("tenantd/", env!("CARGO_PKG_VERSION")))
            .default_headers(all)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| InvalidCollector::Client(error.without_url()))?;
        Ok(Self { client, endpoint: endpoint.to_owned() })
    }

    /// Sends what comes, until told to stop; then what is there, without trying again. What has
    /// become of a span is known when it is taken off `waiting`.
    pub(super) async fn serve(
        self,
        holder: Holder,
        mut spans: Receiver<Span>,
        waiting: Arc<AtomicU64>,
        stop: CancellationToken,
    ) {
        let mut is_told = false;
        while let Some(batch) = gather(&mut spans, &stop).await {
            self.deliver(holder, &batch, &stop, &mut is_told).await;
            waiting.fetch_sub(batch.len() as u64, Ordering::Relaxed);
        }
    }

    async fn deliver(&self, holder: Holder, batch: &[Span], stop: &CancellationToken, is_told: &mut bool) {
        let all = batch.len() as u64;
        let body = wire::request(holder, batch);
        let mut pause = PAUSES.0;
        loop {
            let problem = match self.post(body.clone()).await {
                Answer::Taken { rejected } => {
                    let rejected = rejected.min(all);
                    count(SENT, all - rejected);
                    count(DROPPED, rejected);
                    if rejected > 0 {
                        tell(is_told, "it rejects some of what it is sent");
                    } else if std::mem::take(is_told) {
                        tracing::info!("the collector of traces takes spans again");
                    }
                    return;
                }
                Answer::NotNow(_, after) if pause <= PAUSES.1 && !stop.is_cancelled() => {
                    let wait = after.map_or(pause, |after| after.clamp(pause, LONGEST));
                    stop.run_until_cancelled(tokio::time::sleep(wait)).await;
                    pause *= 2;
                    continue;
                }
                Answer::NotNow(problem, _) | Answer::Refused(problem) => problem,
            };
            tell(is_told, &problem);
            count(DROPPED, all);
            return;
        }
    }

    async fn post(&self, body: Vec<u8>) -> Answer {
        #[expect(clippy::disallowed_methods, reason = "it sends nothing to Qlik, and has limits of its own")]
        let sent = self.client.post(&self.endpoint).body(body).send().await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return Answer::NotNow(unanswered(&error).to_owned(), None),
        };
        match response.status() {
            status if status.is_success() => {
                let mut body = Vec::new();
                while let Ok(Some(part)) = response.chunk().await
                    && body.len() + part.len() <= MOST_BYTES
                {
                    body.extend_from_slice(&part);
                }
                Answer::Taken { rejected: wire::rejected(&body) }
            }
            status @ (StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT) => {
                let after = after(response.headers());
                Answer::NotNow(format!("it answers {}", status.as_u16()), after)
            }
            status => Answer::Refused(format!("it answers {}", status.as_u16())),
        }
    }
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date that is compared with the answer's own.
fn after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let wanted = text(RETRY_AFTER)?;
    if !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are still a number, only a very long one.
        return Some(wanted.parse().map_or(LONGEST, Duration::from_secs));
    }
    let until: SystemTime = date(wanted)?;
    until.duration_since(text(DATE).and_then(date)?).ok()
}

/// The library's own text quotes the address.
fn unanswered(error: &reqwest::Error) -> &'static str {
    if error.is_connect() { "it cannot be reached" } else { "it does not answer" }
}

fn tell(is_told: &mut bool, problem: &str) {
    if !std::mem::replace(is_told, true) {
        tracing::warn!(
            "the collector of traces (traces.endpoint) takes no spans: {problem}; they are dropped, and nothing waits for it"
        );
    }
}

pub(super) fn count(outcome: &'static str, spans: u64) {
    metrics::counter!(TRACE_SPANS_TOTAL, "outcome" => outcome).increment(spans);
}

/// The next batch, which waits for company until it is full; `None` once stopped and drained.
async fn gather(spans: &mut Receiver<Span>, stop: &CancellationToken) -> Option<Vec<Span>> {
    let mut batch = Vec::new();
    if stop.run_until_cancelled(spans.recv_many(&mut batch, BATCH)).await.is_some() {
        let filled = async {
            while batch.len() < BATCH {
                let places = BATCH - batch.len();
                if spans.recv_many(&mut batch, places).await == 0 {
                    break;
                }
            }
        };
        stop.run_until_cancelled(tokio::time::timeout(GATHER, filled)).await;
    } else {
        spans.close();
    }
    while batch.len() < BATCH
        && let Ok(span) = spans.try_recv()
    {
        batch.push(span);
    }
    (!batch.is_empty()).then_some(batch)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::span::Parent;
    use super::*;
    use crate::domain::trace::TraceParent;

    fn spans(number: usize) -> Vec<Span> {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let owner = TraceParent::parse(text).unwrap();
        let span = Span {
            trace: owner.trace,
            id: owner.span,
            parent: Parent::None,
            link: None,
            name: "visit",
            is_call: false,
            began: DateTime::UNIX_EPOCH,
            ended: DateTime::UNIX_EPOCH,
            attributes: vec![],
            failure: None,
        };
        vec![span; number]
    }

    #[test]
    fn every_spelling_of_retry_after_gives_a_pause() {
        let of = |pairs: &[(HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            after(&pairs.collect())
        };
        let (until, sent) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:30 GMT");

        assert_eq!(of(&[(RETRY_AFTER, "7")]), Some(Duration::from_secs(7)));
        assert_eq!(of(&[(RETRY_AFTER, "99999999999999999999")]), Some(LONGEST));
        assert_eq!(of(&[(RETRY_AFTER, until), (DATE, sent)]), Some(Duration::from_secs(7)));
        for none in [&[(RETRY_AFTER, until)][..], &[(RETRY_AFTER, "soon")], &[(RETRY_AFTER, "-1")], &[]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    /// Time stands still but for whoever waits for it.
    #[tokio::test(start_paused = true)]
    async fn a_full_batch_waits_for_nothing_and_another_for_company() {
        let (give, mut taken) = tokio::sync::mpsc::channel(2 * BATCH);
        for span in spans(BATCH + 2) {
            give.send(span).await.unwrap();
        }
        let stop = CancellationToken::new();
        let soon = Duration::from_millis(1);

        let full = tokio::time::timeout(soon, gather(&mut taken, &stop)).await;
        assert_eq!(full.unwrap().unwrap().len(), BATCH);
        let two = gather(&mut taken, &stop).await;
        assert_eq!(two.unwrap().len(), 2);
    }
}
