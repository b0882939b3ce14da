//! Which page is where, and what a browser may do with it.
//!
//! The rule: nothing comes from elsewhere, nothing is inline, no page stands in a frame, and a
//! form goes nowhere but here.

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};

use super::form::only;
use super::state::Page;
use super::{assets, guard, retries, serve, sessions, trouble};
use crate::api::{Late, bounded};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The parameters that a page takes.
type Known = &'static [&'static str];
const NONE: Known = &[];
const OF_A_LIST: Known = &["filter", "after"];
/// Behind a retry, which is told there.
const OF_A_DEED: Known = &["retried", "left", "told"];
const OF_A_SIGN_IN: Known = &["next", "act"];

/// The pages, to be put under `/status`.
pub fn router(page: Page) -> Router {
    let room = page.room();
    let knows = |known: Known| from_fn_with_state(known, only);
    let looking = Router::new()
        .route("/", get(serve::overview).route_layer(knows(NONE)))
        .route("/attention", get(serve::attention).route_layer(knows(OF_A_DEED)))
        .route("/attention/{reason}/retry", get(retries::confirm_retry).route_layer(knows(NONE)))
        .route("/calendar", get(serve::calendar).route_layer(knows(NONE)))
        .route("/tenants", get(serve::tenants).route_layer(knows(OF_A_LIST)))
        .route("/tenants/{external_id}", get(serve::tenant).route_layer(knows(NONE)))
        .fallback(serve::nowhere)
        .method_not_allowed_fallback(async || trouble::method_not_allowed())
        .layer(from_fn_with_state((room.clone(), trouble::late as Late), bounded));
    // Who may not act is told so before he takes the room of those who do.
    let acting = Router::new()
        .route("/attention/{reason}/retry", post(retries::retry))
        .layer(from_fn_with_state((room, trouble::late_to_act as Late), bounded))
        .layer(from_fn(guard::acts));
    let asking = looking.merge(acting).layer(from_fn_with_state(page.clone(), guard::looks));
    Router::new()
        .merge(asking)
        .route(
            "/sign-in",
            get(sessions::sign_in).post(sessions::open_session).route_layer(knows(OF_A_SIGN_IN)),
        )
        .route("/sign-out", post(sessions::close_session))
        .route("/page.css", get(async || assets::kept("text/css; charset=utf-8", assets::STYLE)))
        .route("/page.js", get(async || assets::kept("text/javascript; charset=utf-8", assets::SCRIPT)))
        .route("/icon.svg", get(async || assets::kept("image/svg+xml", assets::ICON)))
        .layer(map_response(guarded))
        .with_state(page)
}

async fn guarded(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Of this origin alone: without it a browser would not say where a form comes from.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
