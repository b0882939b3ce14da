//! A tenant's way: its attempts, with what was tried again and again told once.
//!
//! The rule: nothing is left out but repetition: a run has one effect, and says how often it
//! failed, for how long, and what the last answer was.

use chrono::{DateTime, TimeDelta, Utc};

use crate::answers::attempts::Attempt;

/// What an attempt that did what it should says of itself.
const DONE: &str = "done";

/// Attempts at the same thing, one after the other.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// All of them failed but the last, or all failed, or none.
    pub(super) attempts: Vec<&'a Attempt>,
}

impl<'a> Run<'a> {
    pub(super) fn effect(&self) -> &'a str {
        self.last().effect.as_str()
    }

    pub(super) fn last(&self) -> &'a Attempt {
        // A run begins with one.
        self.attempts[self.attempts.len() - 1]
    }

    pub(super) fn is_done(&self) -> bool {
        self.last().outcome == DONE
    }

    /// How often it failed.
    pub(super) fn failures(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome != DONE).count()
    }

    /// What failed last.
    pub(super) fn last_failure(&self) -> Option<&'a Attempt> {
        self.attempts.iter().rev().find(|attempt| attempt.outcome != DONE).copied()
    }

    /// From the start of the first to the end of the last.
    pub(super) fn took(&self) -> TimeDelta {
        ended(self.last()) - self.attempts[0].started_at
    }

    fn takes(&self, next: &Attempt) -> bool {
        let (was_done, is_done) = (self.is_done(), next.outcome == DONE);
        // What was done after failures ends its run; what goes well again and again is one run.
        next.effect == self.effect() && (!was_done || is_done && self.failures() == 0)
    }
}

/// The attempts as runs, in the same order.
pub(super) fn runs(attempts: &[Attempt]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for attempt in attempts {
        match runs.last_mut() {
            Some(run) if run.takes(attempt) => run.attempts.push(attempt),
            Some(_) | None => runs.push(Run { attempts: vec![attempt] }),
        }
    }
    runs
}

/// Qlik's answer, where there was one.
pub(super) fn answer(attempt: &Attempt) -> Option<String> {
    let status = attempt.http_status?;
    Some(attempt.error_code.as_ref().map_or_else(|| status.to_string(), |code| format!("{status} {code}")))
}

fn ended(attempt: &Attempt) -> DateTime<Utc> {
    let took = i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX);
    let took = TimeDelta::try_milliseconds(took).unwrap_or_default();
    attempt.started_at.checked_add_signed(took).unwrap_or(attempt.started_at)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::page) fn attempt(effect: &str, outcome: &str, second: i64) -> Attempt {
        Attempt {
            started_at: DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap(),
            duration_ms: 500,
            effect: effect.to_owned(),
            outcome: outcome.to_owned(),
            phase: "creating".to_owned(),
            http_status: (outcome != DONE).then_some(503),
            error_code: None,
            trace_id: None,
            message: None,
        }
    }

    #[test]
    fn failures_are_told_once_with_what_ended_them() {
        let attempts = [
            attempt("create", "retry", 0),
            attempt("create", "retry", 10),
            attempt("create", DONE, 20),
            attempt("trust", "retry", 30),
            attempt("prove", DONE, 40),
        ];

        let runs = runs(&attempts);

        let told: Vec<_> = runs.iter().map(|run| (run.effect(), run.failures(), run.is_done())).collect();
        assert_eq!(told, [("create", 2, true), ("trust", 1, false), ("prove", 0, true)]);
        assert_eq!(runs[0].took(), TimeDelta::milliseconds(20_500));
        assert_eq!(runs[0].last_failure().and_then(answer).as_deref(), Some("503"));
    }

    #[test]
    fn what_goes_well_again_and_again_is_one_run_and_what_fails_later_another() {
        let attempts = [
            attempt("audit", DONE, 0),
            attempt("audit", DONE, 10),
            attempt("audit", "retry", 20),
            attempt("audit", DONE, 30),
            attempt("audit", DONE, 40),
        ];

        let sizes: Vec<_> = runs(&attempts).iter().map(|run| run.attempts.len()).collect();

        assert_eq!(sizes, [2, 2, 1]);
        assert_eq!(runs(&attempts).iter().map(|run| run.attempts.len()).sum::<usize>(), attempts.len());
    }
}
