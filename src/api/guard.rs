//! Who may come in.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::state::Api;
use crate::http::Right;

/// Lets in who may look.
pub(super) async fn looks(State(api): State<Api>, request: Request, next: Next) -> Response {
    match api.0.door.admit(request.headers(), Right::Look).await {
        Ok(_) => next.run(request).await,
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}
