//! A moment of the tour, drawn.

use super::paint::Paint;
use super::snapshot::{Requests, Snapshot};
use crate::domain::phase::Phase;

/// Cells of the bar.
const BAR: usize = 40;

/// The picture for a terminal.
pub(super) fn lines(moment: &Snapshot, paint: Paint) -> Vec<String> {
    let mut lines = vec![String::new(), headline(moment, paint), String::new()];
    lines.extend(Phase::ALL.iter().zip(moment.phases).map(|(phase, count)| phase_line(*phase, count, paint)));
    lines.extend([String::new(), format!("  {}", requests(&moment.requests))]);
    if moment.rechecks > 0 {
        lines.push(format!("  {}", rechecks(moment.rechecks)));
    }
    if moment.waiting > 0 {
        lines.push(String::new());
    }
    for tenant in &moment.named {
        let reason = paint.notice(&tenant.reason);
        lines.push(format!("  {}  {reason}  {}", tenant.external_id, paint.dim(&tenant.message)));
    }
    let others = moment.waiting.saturating_sub(moment.named.len());
    if others > 0 {
        lines.push(paint.dim(&format!("  and {others} more")));
    }
    lines
}

/// The same in one line, without the time.
pub(super) fn line(moment: &Snapshot) -> String {
    let unfinished = Phase::ALL.iter().zip(moment.phases).filter(|(phase, _)| **phase != Phase::Ready);
    let phases: Vec<String> =
        unfinished.filter(|(_, count)| *count > 0).map(|(phase, count)| format!("{phase} {count}")).collect();
    let named: Vec<String> =
        moment.named.iter().map(|tenant| format!("{} {}", tenant.external_id, tenant.reason)).collect();
    let parts = [
        vec![format!("{} of {} ready", moment.ready, moment.wanted)],
        phases,
        (!named.is_empty()).then(|| format!("waiting: {}", named.join(", "))).into_iter().collect(),
        (moment.rechecks > 0)
            .then(|| format!("to look at once more: {}", moment.rechecks))
            .into_iter()
            .collect(),
    ];
    parts.concat().join("; ")
}

fn headline(moment: &Snapshot, paint: Paint) -> String {
    let full = (BAR * moment.ready.min(moment.wanted)).checked_div(moment.wanted).unwrap_or(0);
    let bar = paint.good(&"█".repeat(full)) + &paint.dim(&"░".repeat(BAR - full));
    let ready = paint.bold(&format!("{} of {} ready", moment.ready, moment.wanted));
    format!("  {bar}  {ready}  {:>5.1} s", moment.elapsed.as_secs_f64())
}

fn phase_line(phase: Phase, count: usize, paint: Paint) -> String {
    let (meaning, mark) = (paint.dim(meaning(phase)), format!("{count:>5}"));
    let mark = if count > 0 { paint.bold(&mark) } else { paint.dim(&mark) };
    format!("  {:>9} {mark}   {meaning}", phase.as_str())
}

const fn meaning(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "nothing sent yet",
        Phase::Creating => "a client is being made, or looked for because the answer got lost",
        Phase::Created => "the client is known, its secret sealed and stored",
        Phase::Trusted => "its consent is trusted",
        Phase::Ready => "its credential got a token: the web app may use it",
        Phase::Rotating => "another secret is being minted beside the one in use",
        Phase::Proving => "the other secret is sealed, and being tried",
        Phase::Removing => "its client, tokens and bot user are being deleted",
        Phase::Removed => "nothing of it is left",
    }
}

fn requests(requests: &Requests) -> String {
    let Requests { all, unanswered, throttled, failed } = requests;
    let noun = if *all == 1 { "request" } else { "requests" };
    format!(
        "Qlik Cloud: {all} {noun}, {unanswered} left without an answer, {throttled} throttled (429), {failed} failed (5xx)"
    )
}

fn rechecks(count: i64) -> String {
    format!("{count} whose create went unanswered will be looked at once more, for a client that lands late")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::snapshot::Waiting;
    use super::*;

    fn moment() -> Snapshot {
        let waiting = Waiting {
            external_id: "customer-2".to_owned(),
            reason: "Settling".to_owned(),
            message: "a create went unanswered".to_owned(),
        };
        Snapshot {
            elapsed: Duration::from_millis(3100),
            tenants: 8,
            wanted: 8,
            ready: 4,
            phases: [1, 3, 0, 0, 4],
            waiting: 3,
            named: vec![waiting],
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_picture_tells_how_far_all_are_and_what_is_waited_for() {
        let text = lines(&moment(), Paint { is_on: false }).join("\n");

        for part in [
            "████████████████████░░░░░░░░░░░░░░░░░░░░  4 of 8 ready    3.1 s",
            "creating     3",
            "customer-2  Settling  a create went unanswered",
            "and 2 more",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn the_line_tells_the_same_in_short() {
        assert_eq!(line(&moment()), "4 of 8 ready; pending 1; creating 3; waiting: customer-2 Settling");
    }
}
