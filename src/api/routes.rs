//! Which page is where, and how it is guarded.
//!
//! The rule: what is not in [`ROUTES`] is not there, and what is there is in the document.

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::bounds::{self, Late};
use super::kind::Kind;
use super::problem::Problem;
use super::state::Api;
use super::{document, fleet, guard, tenants, verbs};

/// Every page below `/api/v1`, with its method.
pub const ROUTES: [(&str, Method); 8] = [
    ("/fleet", Method::GET),
    ("/openapi.json", Method::GET),
    ("/regions", Method::GET),
    ("/tenants", Method::GET),
    ("/tenants/{external_id}", Method::GET),
    ("/tenants/{external_id}/{verb}", Method::POST),
    ("/verbs/{verb}", Method::POST),
    ("/workers", Method::GET),
];

/// The pages, to be put under `/api/v1`.
pub fn router(api: Api) -> Router {
    let bounded = from_fn_with_state((api.1.clone(), bounds::late as Late), bounds::bounded);
    let looking = Router::new()
        .route("/fleet", get(fleet::fleet))
        .route("/openapi.json", get(document::page))
        .route("/regions", get(fleet::regions))
        .route("/tenants", get(tenants::list))
        .route("/tenants/{external_id}", get(tenants::one))
        .route("/workers", get(fleet::workers))
        .route_layer(bounded.clone());
    // Who may not act is told so before he takes the room of those who do.
    let acting = Router::new()
        .route("/tenants/{external_id}/{verb}", post(verbs::act))
        .route("/verbs/{verb}", post(verbs::act_on_all))
        .route_layer(bounded)
        .route_layer(from_fn_with_state(api.clone(), guard::acts));
    looking
        .merge(acting)
        .fallback(nowhere)
        .method_not_allowed_fallback(async |method: Method| {
            Problem::new(Kind::MethodNotAllowed, format!("this page does not take {method}"))
        })
        .layer(from_fn_with_state(api.clone(), guard::looks))
        .with_state(api)
}

async fn nowhere(uri: Uri) -> Problem {
    let pages = ROUTES.map(|(path, _)| path);
    Problem::new(Kind::NotFound, format!("there is no page {}", uri.path()))
        .at("path", format!("below /api/v1: {}", pages.join(", ")))
}
