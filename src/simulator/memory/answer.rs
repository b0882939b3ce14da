//! Faults as the failures that a client on a network would see.
//!
//! The rule: a refusal is read by [`FailureKind::of_answer`], as everywhere else.

use std::time::Duration;

use crate::domain::failure::{Evidence, Failure, FailureKind};
use crate::simulator::endpoint::Endpoint;
use crate::simulator::faults::{Reply, RetryAfter};
use crate::simulator::problem::Problem;
use crate::simulator::world::Moment;

/// Pause after a 429 without `Retry-After` (qlik.dev, rate limiting).
const UNTOLD_PAUSE: Duration = Duration::from_secs(1);

/// An answer without a body has none to be spoilt.
pub(super) fn seen_reply(endpoint: Endpoint, reply: Reply) -> Reply {
    let has_no_body = endpoint.success() == 204;
    if has_no_body && matches!(reply, Reply::Spoilt(_)) { Reply::Right } else { reply }
}

/// What the caller sees of what was done.
pub(super) fn answer<T>(
    moment: &mut Moment<'_>,
    processed: Option<Result<T, Problem>>,
    reply: &Reply,
) -> Result<T, Failure> {
    match reply {
        Reply::Right | Reply::OkInsteadOfCreated => match processed {
            Some(Ok(done)) => Ok(done),
            Some(Err(problem)) => Err(refusal(moment, &problem)),
            None => Err(Failure::unanswered(FailureKind::NoAnswer)),
        },
        Reply::Status(status) => Err(refusal(moment, &Problem::of_status(*status))),
        Reply::Throttle(wait) => Err(throttled(moment, *wait)),
        Reply::Html(status) => Err(bare(*status)),
        Reply::Redirect(_) => Err(bare(302)),
        // A refusal has nothing to be spoilt.
        Reply::Spoilt(_) => match processed {
            Some(Err(problem)) => Err(refusal(moment, &problem)),
            Some(Ok(_)) | None => Err(bare(200)),
        },
        Reply::Close | Reply::Hang => Err(Failure::unanswered(FailureKind::NoAnswer)),
    }
}

fn refusal(moment: &mut Moment<'_>, problem: &Problem) -> Failure {
    let wait = problem.retry_after.map_or(UNTOLD_PAUSE, Duration::from_secs);
    Failure {
        kind: FailureKind::of_answer(problem.status, Some(&problem.code), wait),
        evidence: Evidence {
            status: Some(problem.status),
            code: Some(problem.code.clone()),
            trace_id: Some(moment.trace_id()),
        },
    }
}

fn throttled(moment: &mut Moment<'_>, retry_after: RetryAfter) -> Failure {
    let wait = match retry_after {
        RetryAfter::Seconds(seconds) => Duration::from_secs(seconds),
        RetryAfter::Date(ahead) => ahead,
        RetryAfter::Missing => UNTOLD_PAUSE,
    };
    Failure { kind: FailureKind::Throttled { wait }, ..refusal(moment, &Problem::throttled(wait.as_secs())) }
}

/// An answer whose body says nothing.
fn bare(status: u16) -> Failure {
    Failure {
        kind: FailureKind::of_answer(status, None, UNTOLD_PAUSE),
        evidence: Evidence { status: Some(status), ..Evidence::default() },
    }
}

pub(super) fn status_of<T>(outcome: &Result<T, Failure>, endpoint: Endpoint) -> Option<u16> {
    match outcome {
        Ok(_) => Some(endpoint.success()),
        Err(failure) => failure.evidence.status,
    }
}
