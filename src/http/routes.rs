//! Which page is where.
//!
//! The rule: `GET` and `HEAD` only (axum answers 405 to the rest) but for the API and the page
//! for people, and every answer, errors included, bears the headers that keep a browser from
//! making anything of it; that page alone says for itself what a browser may.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::auth::{self, Door};
use super::readiness::Readiness;
use crate::telemetry::metrics::Metrics;

const HARMLESS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

/// Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the API is.
pub const API: &str = "/api/v1";
/// Where the status page is.
pub const STATUS: &str = "/status";
/// What people type for it.
const STATUS_WITH_SLASH: &str = "/status/";

/// What the pages show.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Pages {
    pub readiness: Readiness,
    pub metrics: Metrics,
    /// Whom `/metrics` asks for a token.
    pub door: Door,
    /// What is under [`API`]; it asks at the door by itself.
    pub api: Router,
    /// What is under [`STATUS`]; so does it.
    pub status: Router,
}

pub(super) fn router(pages: Pages) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics).with_state(pages.metrics))
        .route_layer(from_fn_with_state(pages.door, auth::require));
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readyz).with_state(pages.readiness))
        .merge(guarded)
        .nest(API, pages.api)
        .route("/", get(async || Redirect::to(STATUS)))
        .nest(STATUS, pages.status)
        .route(STATUS_WITH_SLASH, get(async || Redirect::to(STATUS)))
        .fallback(async || {
            (StatusCode::NOT_FOUND, "there are /healthz, /readyz, /metrics, /status and /api/v1\n")
        })
        .layer(map_response(harmless))
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let complaints = readiness.complaints().await;
    if complaints.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, complaints.join("\n") + "\n").into_response()
    }
}

async fn metrics(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, EXPOSITION)], metrics.render())
}

async fn harmless(mut response: Response) -> Response {
    for (name, value) in HARMLESS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
