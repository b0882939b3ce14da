//! How much is answered at once, and for how long.
//!
//! The rules: who comes when there is no room is told so within the time of an answer, so that
//! nobody waits without a word; **whoever sends slowly has no place yet, and whoever hangs up frees no room while the database still works
//! for him**; those who look take no room from those who act.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::kind::Kind;
use super::problem::Problem;

/// Longest time of an answer, the wait for room included. The statement below it may take less.
const WITHIN: Duration = Duration::from_secs(10);
/// When what was begun is given up, whoever still waits for it: no statement takes as long.
const AT_LAST: Duration = Duration::from_secs(20);

/// Largest body that is waited for: whoever reads one takes less.
const MOST_BYTES: usize = 32 * 1024;

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

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// What was sent did not arrive, or there was no room: nothing was done.
    Nothing,
    /// It was begun, and may be done.
    Something,
}

/// What is said to whoever had no answer, of the seconds that he waited.
pub type Late = fn(u64, Begun) -> Response;

/// Answers when there is room, and in time.
pub async fn bounded(State((room, late)): State<(Room, Late)>, request: Request, next: Next) -> Response {
    let late = move |begun| late(WITHIN.as_secs(), begun);
    let has_begun = AtomicBool::new(false);
    let is_act = request.method() == Method::POST;
    let places = if is_act { room.acting } else { room.looking };
    let answer = async {
        let request = if is_act { arrived(request).await } else { request };
        // Nobody closes it.
        let place = places.acquire_owned().await.ok();
        has_begun.store(true, Ordering::Relaxed);
        let answering = async move {
            let answer = tokio::time::timeout(AT_LAST, next.run(request)).await;
            drop(place);
            answer.unwrap_or_else(|_| late(Begun::Something))
        };
        tokio::spawn(answering).await
    };
    match tokio::time::timeout(WITHIN, answer).await {
        Ok(Ok(answer)) => answer,
        // A defect of ours ends this connection, as it would without a task.
        Ok(Err(ended)) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Ok(Err(_)) | Err(_) => {
            late(if has_begun.load(Ordering::Relaxed) { Begun::Something } else { Begun::Nothing })
        }
    }
}

/// The request with its whole body, or with enough of it to be too much for whoever reads it.
async fn arrived(request: Request) -> Request {
    let (parts, body) = request.into_parts();
    let mut coming = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(part) = coming.next().await {
        match part {
            Ok(part) => whole.extend_from_slice(&part),
            // Whoever reads it says what that means.
            Err(broken) => {
                let body = Body::from_stream(stream::iter([Err::<Bytes, _>(broken)]));
                return Request::from_parts(parts, body);
            }
        }
        if whole.len() > MOST_BYTES {
            break;
        }
    }
    Request::from_parts(parts, Body::from(whole))
}

/// In the words of the API.
pub(super) fn late(seconds: u64, begun: Begun) -> Response {
    let detail = match begun {
        Begun::Nothing => format!(
            "nothing was begun within {seconds} s, because the request did not arrive or there was no room: nothing was done"
        ),
        Begun::Something => format!(
            "there was no answer within {seconds} s: whoever looks asks again, for less; whether a verb was done is told to whoever asks again with the same key"
        ),
    };
    Problem::new(Kind::Busy, detail).into_response()
}
