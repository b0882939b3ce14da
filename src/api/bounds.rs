//! How much is answered at once, and for how long.
//!
//! The rules: who comes when there is no room is told so within the time of an answer, so that
//! nobody waits without a word; **whoever hangs up frees no room while the database still works
//! for him**; those who look take no room from those who act.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::kind::Kind;
use super::problem::Problem;

/// Longest time of an answer, the wait for room included. The statement below it may take less.
const WITHIN: Duration = Duration::from_secs(10);
/// When what was begun is given up, whoever still waits for it: no statement takes as long.
const AT_LAST: Duration = Duration::from_secs(20);

/// How many look, and how many act, at once: together no more than there are connections.
const LOOKING: usize = 3;
const ACTING: usize = 1;

/// Room for answers.
#[derive(Debug, Clone)]
pub struct Room {
    looking: Arc<Semaphore>,
    acting: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { looking: Arc::new(Semaphore::new(LOOKING)), acting: Arc::new(Semaphore::new(ACTING)) }
    }
}

/// What is said to whoever had no answer, of the seconds that he waited.
pub type Late = fn(u64) -> Response;

/// Answers when there is room, and in time.
pub async fn bounded(State((room, late)): State<(Room, Late)>, request: Request, next: Next) -> Response {
    let late = move || late(WITHIN.as_secs());
    let places = if request.method() == Method::POST { room.acting } else { room.looking };
    let answer = async {
        // Nobody closes it.
        let place = places.acquire_owned().await.ok();
        let answering = async move {
            let answer = tokio::time::timeout(AT_LAST, next.run(request)).await;
            drop(place);
            answer.unwrap_or_else(|_| late())
        };
        tokio::spawn(answering).await
    };
    match tokio::time::timeout(WITHIN, answer).await {
        Ok(Ok(answer)) => answer,
        // A defect of ours ends this connection, as it would without a task.
        Ok(Err(ended)) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Ok(Err(_)) | Err(_) => late(),
    }
}

/// In the words of the API.
pub(super) fn late(seconds: u64) -> Response {
    let detail = format!(
        "there was no answer within {seconds} s: whoever looks asks again, for less; whether a verb was done is told to whoever asks again with the same key"
    );
    Problem::new(Kind::Busy, detail).into_response()
}
