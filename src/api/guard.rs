//! Who may come in, and who it is.
//!
//! The rule: whoever looks is asked before anything else, also for what is not there.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::state::Api;
use crate::http::Right;

/// Lets in who may look.
pub(super) async fn looks(State(api): State<Api>, request: Request, next: Next) -> Response {
    admit(&api, Right::Look, request, next).await
}

/// Lets in who may act.
pub(super) async fn acts(State(api): State<Api>, request: Request, next: Next) -> Response {
    admit(&api, Right::Act, request, next).await
}

async fn admit(api: &Api, right: Right, mut request: Request, next: Next) -> Response {
    match api.0.door.admit(request.headers(), right).await {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}
