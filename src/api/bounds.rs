//! How much is answered at once, and for how long.
//!
//! The rule: who comes when there is no room is told so within the time of an answer, so that
//! nobody waits without a word.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::problem::{Kind, Problem};

/// Longest time of an answer, the wait for room included. The statement below it may take less.
const WITHIN: Duration = Duration::from_secs(10);

/// How many are answered at once: no more than there are connections.
const AT_ONCE: usize = 4;

/// Room for answers.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Answers when there is room, and in time.
pub(super) async fn bounded(State(room): State<Room>, request: Request, next: Next) -> Response {
    let answer = async {
        // Nobody closes it.
        let _place = room.0.acquire().await.ok();
        next.run(request).await
    };
    tokio::time::timeout(WITHIN, answer).await.unwrap_or_else(|_| {
        let detail = format!("there was no answer within {} s: ask again, for less", WITHIN.as_secs());
        Problem::new(Kind::Busy, detail).into_response()
    })
}
