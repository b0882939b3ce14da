//! One tenant: where it stands and why, what is next, its way, and whose the time was.

use std::time::Duration;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::blame::blame;
use super::needs::to_resume;
use super::pieces::{
    Table, argument, chip, command, count, length, marked, number, sentence, text, time, time_or,
};
use super::tenants::standing;
use super::way::{Run, answer, runs};
use crate::answers::attempts::Attempt;
use crate::answers::explanation::Explanation;
use crate::domain::blame::Blame;
use crate::domain::waiting::BlockerKind;
use crate::postgres::operator::pauses::FLEET;
use crate::postgres::operator::tenants::Status;

/// All that is known of a tenant.
#[derive(Debug)]
pub(super) struct Known {
    /// By the database's clock.
    pub(super) read_at: DateTime<Utc>,
    pub(super) status: Status,
    pub(super) explanation: Explanation,
    /// Whose the time was until it was ready.
    pub(super) blame: Option<[(Blame, Duration); 6]>,
    /// The oldest first.
    pub(super) attempts: Vec<Attempt>,
    /// There are older ones.
    pub(super) is_cut: bool,
}

impl Known {
    pub(super) fn content(&self, now: DateTime<Utc>) -> Markup {
        html! {
            div .live id="live" {
                (self.head(now))
                div .stack {
                    (self.why(now))
                    div .two { (self.facts(now)) (self.spent()) }
                    (self.way(now))
                }
            }
        }
    }

    fn head(&self, now: DateTime<Utc>) -> Markup {
        let status = &self.status;
        html! {
            section .verdict {
                p .quiet { a href="/status/tenants" { "Tenants" } }
                h1 { (text(&status.external_id)) }
                p .standing {
                    (standing(status))
                    @if status.reason.is_some() { " " (chip("plain", &status.phase)) }
                    @if let Some(since) = status.since { " " span .quiet { "since " (time(since, now)) } }
                    @if status.failures > 0 { " " span .quiet { (count(status.failures.into(), "failure")) } }
                }
                @if let Some(message) = &status.message { p { (sentence(message)) } }
                p {
                    strong { "Next: " } (text(&self.explanation.next)) ", "
                    @match self.explanation.next_at {
                        Some(at) => (time(at, now)),
                        None => "when somebody ends what stands in its way",
                    }
                    "."
                }
                (self.to_type())
            }
        }
    }

    /// The command that fits, then the others.
    fn to_type(&self) -> Markup {
        let status = &self.status;
        let Some(key) = argument(&status.external_id) else {
            return html! { p .quiet { "Its key cannot be typed as it is shown." } };
        };
        let first = match status.reason.as_deref() {
            Some("ClientMissing") if status.parked => format!("tenantd tenant retry --recreate {key}"),
            Some(_) if status.parked => format!("tenantd tenant retry {key}"),
            Some("Paused") => self.to_resume(&key),
            Some(_) => format!("tenantd tenant explain {key}"),
            None => format!("tenantd tenant show {key}"),
        };
        let others = ["explain", "history", "retry", "pause --reason TEXT", "rotate"];
        let others = others.map(|verb| format!("tenantd tenant {verb} {key}"));
        html! {
            (command(&first))
            details {
                summary { "Other commands" }
                @for other in others.iter().filter(|other| **other != first) { (command(other)) }
            }
        }
    }

    /// What ends its pause: its own first, then that of its region, then that of the fleet.
    fn to_resume(&self, key: &str) -> String {
        let blockers = &self.explanation.blockers;
        let is_there = |kind: BlockerKind| blockers.iter().any(|blocker| blocker.blocker == kind.as_str());
        let region = blockers.iter().find_map(|blocker| blocker.region.as_deref());
        match region {
            _ if is_there(BlockerKind::Paused) => format!("tenantd tenant resume {key}"),
            Some(region) => to_resume(region),
            None if is_there(BlockerKind::FleetPaused) => to_resume(FLEET),
            // It ended while this was read.
            None => format!("tenantd tenant explain {key}"),
        }
    }

    fn why(&self, now: DateTime<Utc>) -> Markup {
        let blockers = &self.explanation.blockers;
        let rows = blockers.iter().map(|blocker| {
            vec![
                html! { strong { (blocker.blocker) } },
                time_or(blocker.since, now, "–"),
                time_or(blocker.until, now, "not by itself"),
                marked(&blocker.message),
            ]
        });
        let head = ["Blocker", "Since", "Ends", "What"];
        let table = Table { caption: "What keeps a daemon from it", head: &head, rows: rows.collect() };
        html! {
            section .panel aria-labelledby="why" {
                h2 #why { @if self.explanation.ready { "What it rests for" } @else { "Why it is not ready" } }
                @if blockers.is_empty() { p { "Nothing keeps a daemon from it." } } @else { (table.markup()) }
            }
        }
    }

    fn spent(&self) -> Markup {
        let Some(parts) = &self.blame else { return html! {} };
        let whole = parts.iter().map(|(_, part)| *part).sum();
        html! {
            section .panel aria-labelledby="time-to-ready" {
                h2 #time-to-ready { "Time to ready: " (length(whole)) }
                (blame(parts, whole))
            }
        }
    }

    fn facts(&self, now: DateTime<Utc>) -> Markup {
        let status = &self.status;
        html! {
            section .panel aria-labelledby="facts" {
                h2 #facts { "What is known" }
                dl .facts {
                    dt { "Host" } dd { (text(&status.host)) }
                    dt { "Client" } dd { (status.client_id.as_deref().map_or_else(|| text("none yet"), text)) }
                    dt { "Version" } dd { @if let Some(version) = status.version { (version) } @else { "none yet" } }
                    dt { "Inserted" } dd { (time(status.created_at, now)) }
                    dt { "First ready" } dd { (time_or(status.ready_at, now, "not yet")) }
                    dt { "Last written" } dd { (time(status.updated_at, now)) }
                    dt { "Compared with Qlik" } dd { (time_or(status.audited_at, now, "not yet")) }
                    @if !status.drift.is_empty() {
                        dt { "Drift" } dd { (text(&status.drift.join(", "))) }
                    }
                    @for (key, value) in labels(&status.labels) {
                        dt { (text(&key)) span .quiet { " label" } } dd { (text(&value)) }
                    }
                    @if let Some(more) = more_labels(&status.labels) { dt { "Labels" } dd { "and " (number(more)) " more" } }
                }
            }
        }
    }

    fn way(&self, now: DateTime<Utc>) -> Markup {
        html! {
            section .panel aria-labelledby="way" {
                h2 #way { "Its way" }
                ol .way {
                    @if self.is_cut {
                        li .quiet { "The last " (count(i64::try_from(self.attempts.len()).unwrap_or(i64::MAX), "attempt")) ". What was before is told by " code { "tenantd tenant history --limit" } "." }
                    }
                    @else { li { p { strong { "inserted" } " " (time(self.status.created_at, now)) } } }
                    @for run in runs(&self.attempts) { (told(&run, now)) }
                }
            }
        }
    }
}

/// Most labels that are shown, of which there may be thousands.
const MOST_LABELS: usize = 20;

fn more_labels(labels: &serde_json::Value) -> Option<i64> {
    let more = labels.as_object().map_or(0, serde_json::Map::len).saturating_sub(MOST_LABELS);
    i64::try_from(more).ok().filter(|more| *more > 0)
}

fn labels(labels: &serde_json::Value) -> Vec<(String, String)> {
    let pairs = labels.as_object().into_iter().flatten().take(MOST_LABELS);
    let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs.map(|(key, value)| (key.clone(), shown(value))).collect()
}

/// A run in one line, and what it said last.
fn told(run: &Run<'_>, now: DateTime<Utc>) -> Markup {
    let last = run.last();
    let took = run.took().to_std().unwrap_or_default();
    let class = if run.is_done() { "good" } else { "warn" };
    let trace = run.last_failure().and_then(|failure| failure.trace_id.as_deref());
    html! {
        li class=(class) {
            p {
                strong { (text(run.effect())) } ": " (outcome(run, took)) ", " (time(last.started_at, now))
            }
            @if let Some(message) = &last.message { p .sub { (marked(message)) } }
            @if let Some(trace) = trace { p .sub { "Qlik's trace id " code { (text(trace)) } } }
        }
    }
}

fn outcome(run: &Run<'_>, took: Duration) -> String {
    let failures = i64::try_from(run.failures()).unwrap_or(i64::MAX);
    let times = i64::try_from(run.attempts.len()).unwrap_or(i64::MAX);
    let last = run.last_failure().map(|failure| match answer(failure) {
        Some(answer) => format!("last answer {answer}"),
        None => format!("last {}", failure.outcome),
    });
    let (took, failed) = (length(took), count(failures, "failure"));
    match (run.is_done(), last) {
        (true, None) if times == 1 => format!("done in {took}"),
        (true, None) => format!("done {}", count(times, "time")),
        (true, Some(last)) => format!("done after {failed} in {took}, {last}"),
        (false, last) => format!("{failed} in {took}, {}", last.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::way::tests::attempt;
    use super::*;
    use crate::answers::explanation::BlockerShown;

    fn said(attempts: &[Attempt]) -> Vec<String> {
        runs(attempts).iter().map(|run| outcome(run, run.took().to_std().unwrap())).collect()
    }

    #[test]
    fn what_was_tried_again_and_again_is_told_in_one_line() {
        let mut silent = attempt("trust", "transient", 900);
        silent.http_status = None;
        let attempts = [
            attempt("create", "transient", 0),
            attempt("create", "transient", 120),
            attempt("create", "done", 754),
            silent,
            attempt("audit", "done", 1_000),
            attempt("audit", "done", 1_001),
        ];

        assert_eq!(
            said(&attempts),
            [
                "done after 2 failures in 12 min 34 s, last answer 503",
                "1 failure in 500 ms, last transient",
                "done 2 times"
            ]
        );
    }

    #[test]
    fn that_attempts_are_cut_off_is_said_and_how_many_are_told() {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let known = |is_cut| Known { attempts: vec![attempt("audit", "done", 0)], is_cut, ..paused(&[]) };
        let shown = |is_cut| known(is_cut).way(now).into_string();

        assert!(shown(true).contains("The last 1 attempt. What was before"), "{}", shown(true));
        assert!(!shown(true).contains("inserted") && shown(false).contains("inserted"));
        assert!(!shown(false).contains("What was before"), "{}", shown(false));
    }

    fn paused(blockers: &[(BlockerKind, Option<&str>)]) -> Known {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let shown = |(kind, region): &(BlockerKind, Option<&str>)| BlockerShown {
            blocker: kind.as_str(),
            since: Some(now),
            until: None,
            message: "paused by an operator".to_owned(),
            region: region.map(str::to_owned),
        };
        let status = Status {
            tenant_id: uuid::Uuid::from_u128(1),
            external_id: "a b".to_owned(),
            host: "a.us.qlikcloud.com".to_owned(),
            phase: "pending".to_owned(),
            ready: false,
            parked: false,
            reason: Some("Paused".to_owned()),
            message: None,
            since: Some(now),
            next_attempt_at: None,
            failures: 0,
            client_id: None,
            created_at: now,
            ready_at: None,
            updated_at: now,
            labels: serde_json::json!({}),
            version: None,
            paused: true,
            drift: vec![],
            audited_at: None,
        };
        let explanation = Explanation {
            external_id: "a b".to_owned(),
            phase: "pending".to_owned(),
            ready: false,
            reason: None,
            message: None,
            next: "looks for a client".to_owned(),
            next_at: None,
            blockers: blockers.iter().map(shown).collect(),
        };
        Known { read_at: now, status, explanation, blame: None, attempts: vec![], is_cut: false }
    }

    #[test]
    fn the_command_that_fits_ends_the_pause_that_there_is() {
        let (own, region, fleet) = (
            (BlockerKind::Paused, None),
            (BlockerKind::RegionPaused, Some("us")),
            (BlockerKind::FleetPaused, None),
        );
        for (blockers, command) in [
            (&[own][..], "tenantd tenant resume 'a b'"),
            (&[region], "tenantd fleet resume --region us"),
            (&[fleet], "tenantd fleet resume"),
            (&[own, region, fleet], "tenantd tenant resume 'a b'"),
            (&[region, fleet], "tenantd fleet resume --region us"),
            (&[], "tenantd tenant explain 'a b'"),
        ] {
            let known = paused(blockers);

            let shown = known.to_type().into_string();

            let first = format!("<div class=\"command\"><code>{command}</code>");
            assert!(shown.starts_with(&first), "{blockers:?}: {shown}");
        }
    }

    #[test]
    fn labels_are_told_as_they_are_and_not_by_the_thousand() {
        let labels_of = |value| labels(&value);
        let many: serde_json::Map<_, _> = (0..1_000).map(|n| (n.to_string(), n.into())).collect();

        let told = labels_of(serde_json::json!({"tier": "gold", "seats": 5}));

        assert_eq!(told, [("seats".to_owned(), "5".to_owned()), ("tier".to_owned(), "gold".to_owned())]);
        let many = many.into();
        assert_eq!((labels(&many).len(), more_labels(&many)), (20, Some(980)));
        assert_eq!(more_labels(&serde_json::json!({"tier": "gold"})), None);
    }
}
