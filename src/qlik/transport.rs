//! The one place that builds an HTTP client and sends with it.
//!
//! The rules: HTTPS only; a redirect is an answer and is never followed; no
//! proxy but the configured one; the library repeats nothing that was written to
//! a connection; every request has an end. HTTP/1.1 alone, since one tenant is
//! worked on by one worker, so that there is nothing to multiplex.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::SharedString;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, Proxy, Request, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::timeout;
use tracing::{Instrument, Span, field};
use zeroize::Zeroizing;

use super::body::BodyFault;
use super::endpoint::{Call, Endpoint, unsendable};
use super::options::{CloudOptions, InvalidOptions};
use super::pacing::Pacing;
use super::{body, error};
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::host::Host;
use crate::ports::Clock;
use crate::telemetry;

/// How long an unused connection is kept. Short, because a create that is
/// written to a connection which the other side is just closing has an unknown
/// outcome; long enough for the steps of one tenant.
const IDLE: Duration = Duration::from_secs(10);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CONFIRM_DELETE: HeaderName = HeaderName::from_static("qlik-confirm-delete");

/// Sends requests, paced, measured and classified.
pub(super) struct Transport {
    client: Client,
    request_timeout: Duration,
    read_timeout: Duration,
    pacing: Pacing,
    clock: Arc<dyn Clock>,
}

/// A success. No `Debug`: the body may hold a secret.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Reads the body.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unreadable`]. The parser's own message is dropped: it quotes.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| self.unreadable())
    }

    /// The failure of an answer that parses but cannot be right.
    pub(super) fn unreadable(&self) -> Failure {
        error::unreadable(self.status, &self.headers)
    }

    /// The failure of an answer that parses and means something else than a success.
    pub(super) fn meaning(&self, kind: FailureKind) -> Failure {
        Failure { kind, ..self.unreadable() }
    }
}

impl Transport {
    /// Builds the client.
    pub(super) fn new(options: &CloudOptions, clock: Arc<dyn Clock>) -> Result<Self, InvalidOptions> {
        Ok(Self {
            client: client(options)?,
            request_timeout: options.request_timeout,
            read_timeout: options.read_timeout,
            pacing: Pacing::new(),
            clock,
        })
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    ///
    /// A [`Failure`] that says what it proves. Where the host's tier is not due
    /// yet, [`FailureKind::Throttled`], and nothing is sent.
    pub(super) async fn send(
        &self,
        host: &Host,
        call: &Call,
        bearer: Option<&SecretString>,
    ) -> Result<Answer, Failure> {
        let endpoint = call.endpoint;
        let request = request(host, call, bearer)?;
        let started = self.clock.elapsed();
        self.pacing.take(host, endpoint.tier, started)?;

        let span = span(host, endpoint);
        let result = self.exchange(request, endpoint, started).instrument(span.clone()).await;
        let ended = self.clock.elapsed();
        observe(endpoint, &span, status(&result), ended.saturating_sub(started));

        if let Err(Failure { kind: FailureKind::Throttled { wait }, .. }) = &result {
            self.pacing.close(host, endpoint.tier, ended, ended + *wait);
        }
        result
    }

    async fn exchange(
        &self,
        request: Request,
        endpoint: &Endpoint,
        started: Duration,
    ) -> Result<Answer, Failure> {
        let mut response = self.answer_to(request).await?;
        let status = response.status();
        let body = if endpoint.has_answer || !status.is_success() {
            let left = self.request_timeout.saturating_sub(self.clock.elapsed().saturating_sub(started));
            let whole = timeout(left, body::read(&mut response, self.read_timeout)).await;
            whole.unwrap_or(Err(BodyFault::BrokenOff))
        } else {
            Ok(Zeroizing::default())
        };
        let headers = std::mem::take(response.headers_mut());
        match body {
            Ok(body) if status.is_success() => Ok(Answer { status, headers, body }),
            Err(fault) if status.is_success() => Err(error::without_body(fault, status, &headers)),
            body => {
                let body = body.ok();
                Err(error::refusal(status, &headers, body.as_deref().map(Vec::as_slice), || self.clock.now()))
            }
        }
    }

    /// Sends the request, and waits for the head of its answer.
    ///
    /// The end is not the library's, which looks at its own before it looks at the
    /// connection: after a stall longer than both, a connection that was never made would
    /// pass for a request that may have been read. Here the connection is asked first, and
    /// its own, shorter end proves that nothing was sent.
    async fn answer_to(&self, request: Request) -> Result<Response, Failure> {
        let within = self.request_timeout.min(self.read_timeout);
        #[expect(clippy::disallowed_methods, reason = "this is the transport")]
        let sent = timeout(within, self.client.execute(request)).await;
        match sent {
            Ok(answered) => answered.map_err(|error| error::unanswered(&error)),
            Err(_) => Err(Failure::unanswered(FailureKind::NoAnswer)),
        }
    }
}

fn client(options: &CloudOptions) -> Result<Client, InvalidOptions> {
    // reqwest panics without a provider, so it is not asked.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(InvalidOptions::NoCryptoProvider);
    }
    #[expect(clippy::disallowed_methods, reason = "this is the transport")]
    let mut builder = Client::builder()
        .user_agent(concat!("tenantd/", env!("CARGO_PKG_VERSION")))
        .default_headers(default_headers())
        .https_only(true)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(options.effective_connect_timeout())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1);
    if let Some(pem) = &options.ca_pem {
        builder = builder.tls_certs_merge(certificates(pem)?);
    }
    builder = match (&options.proxy, options.connect_to) {
        (Some(_), Some(_)) => return Err(InvalidOptions::ProxyAndConnectTo),
        (Some(proxy), None) => builder.proxy(Proxy::all(proxy).map_err(|_| InvalidOptions::BadProxy)?),
        (None, Some(address)) => builder.dns_resolver(Everywhere(address)),
        (None, None) => builder,
    };
    builder.build().map_err(|e| InvalidOptions::Client(e.without_url()))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, InvalidOptions> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(InvalidOptions::BadCa),
    }
}

fn default_headers() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, JSON), (ACCEPT_ENCODING, HeaderValue::from_static("identity"))])
}

/// Resolves every name to one address, whose port counts where the URL has none.
struct Everywhere(SocketAddr);

impl Resolve for Everywhere {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

fn request(host: &Host, call: &Call, bearer: Option<&SecretString>) -> Result<Request, Failure> {
    let mut request = Request::new(call.endpoint.method.clone(), url(host, &call.target)?);
    let headers = request.headers_mut();
    if let Some(bearer) = bearer {
        let mut value = HeaderValue::from_str(bearer.expose_secret()).map_err(|_| unsendable())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(confirmation) = &call.confirmation {
        headers.insert(CONFIRM_DELETE, confirmation.clone());
    }
    if let Some(body) = &call.body {
        headers.insert(CONTENT_TYPE, JSON);
        *request.body_mut() = Some(body.clone().into());
    } else if call.endpoint.method == Method::POST {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(request)
}

/// The address of a request. The parser must have read the same host as we: it
/// takes some names for an IP address. [`Host`] knows of them all; this is the second lock.
fn url(host: &Host, target: &str) -> Result<Url, Failure> {
    Url::parse(&format!("https://{host}{target}"))
        .ok()
        .filter(|url| url.host_str() == Some(host.as_str()))
        .ok_or_else(unsendable)
}

fn span(host: &Host, endpoint: &Endpoint) -> Span {
    tracing::debug_span!(
        "qlik.request",
        http.method = endpoint.method.as_str(),
        http.path = endpoint.path,
        tenant.host = host.as_str(),
        http.status = field::Empty,
        duration_ms = field::Empty,
    )
}

fn status(result: &Result<Answer, Failure>) -> Option<u16> {
    match result {
        Ok(answer) => Some(answer.status.as_u16()),
        Err(failure) => failure.evidence.status,
    }
}

fn observe(endpoint: &Endpoint, span: &Span, status: Option<u16>, duration: Duration) {
    if let Some(status) = status {
        span.record("http.status", status);
    }
    span.record("duration_ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    let status = status.map_or(SharedString::const_str("none"), |status| status.to_string().into());
    metrics::counter!(telemetry::QLIK_REQUESTS_TOTAL, "endpoint" => endpoint.name, "status" => status)
        .increment(1);
    metrics::histogram!(telemetry::QLIK_REQUEST_DURATION_SECONDS, "endpoint" => endpoint.name)
        .record(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_parser_reads_a_host_as_we_do_even_where_it_looks_like_an_address() {
        for text in ["acme.us.qlikcloud.com", "1.2.3.0xg", "0x7f.1.a", "1.2.3.4a"] {
            let host = Host::parse(text).unwrap();

            assert_eq!(url(&host, "/").unwrap().host_str(), Some(text));
        }
        assert!(Host::parse("1.2.3.0x7f").is_err(), "that one would be read as 1.2.3.127");
    }
}
