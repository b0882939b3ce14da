//! The overview: what needs somebody first, then where the fleet stands.

use std::time::Duration;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::blame::blame;
use super::needs::{Brakes, Need, to_resume};
use super::pieces::{
    Part, Table, are, bar, chip, count, counted, filter_path, length, marked, number, text, time, time_or,
};
use super::reload::{brought, unread};
use super::words;
use crate::answers::fleet::HourlyBudget;
use crate::answers::overview::Overview;
use crate::api::Reload;
use crate::domain::phase::Phase;
use crate::postgres::operator::fleet::Held;
use crate::postgres::operator::lately::Lately;
use crate::postgres::operator::pauses::FLEET;

/// All of it.
pub(super) fn content(overview: &Overview, reload: Option<&Reload>, now: DateTime<Utc>) -> Markup {
    html! {
        div .live id="live" {
            (verdict(overview, reload, now))
            div .panels {
                (phases(overview))
                (waiting(overview))
                (lately(overview.lately.as_ref(), now))
                (work(overview, reload, now))
                (regions(overview, now))
                (bounded(overview, now))
            }
        }
    }
}

/// What waits for somebody, or that nothing does.
fn verdict(overview: &Overview, reload: Option<&Reload>, now: DateTime<Utc>) -> Markup {
    let mut needs = Brakes::from(overview).needs(now);
    needs.extend(reload.and_then(unread));
    let parked: i64 = overview.parked.iter().map(|parked| parked.tenants).sum();
    let ready = overview.in_phase(Phase::Ready.as_str());
    html! {
        section .verdict {
            @if needs.is_empty() && overview.parked.is_empty() {
                h1 .calm { span .mark aria-hidden="true" {} (calm(overview, ready)) }
            } @else {
                h1 { (sentence(needs.len(), parked)) }
                ul .needs {
                    @for need in &needs { (need.markup(now)) }
                    @for parked in &overview.parked {
                        (Need {
                            what: format!("{} parked as {}", count(parked.tenants, "tenant"), parked.reason),
                            since: None,
                            meaning: words::parked(&parked.reason).to_owned(),
                            remedy: words::remedy(&parked.reason).to_owned(),
                            at: Some((format!("/status/attention#{}", parked.reason), "See them")),
                        }.markup(now))
                    }
                }
            }
        }
    }
}

/// One sentence that says that all is well.
fn calm(overview: &Overview, ready: i64) -> String {
    let all: i64 = overview.fleet.phases.values().sum();
    let removed = overview.in_phase(Phase::Removed.as_str());
    let under_way = all - ready - removed;
    if all == 0 {
        return "All is well: there are no tenants yet.".to_owned();
    }
    if under_way == 0 {
        return format!("All is well: {} ready, and nothing waits for you.", are(ready));
    }
    format!("All is well: {} ready, {} under way, and nothing waits for you.", are(ready), number(under_way))
}

fn sentence(needs: usize, parked: i64) -> String {
    let things = len(needs);
    let waits = ["waits", "wait"];
    match (things, parked) {
        (things, 0) => format!("{} for you", counted(things, "thing", waits)),
        (0, parked) => format!("{} for you", counted(parked, "tenant", waits)),
        (things, parked) => {
            format!("{} and {} wait for you", count(things, "thing"), count(parked, "tenant"))
        }
    }
}

fn phases(overview: &Overview) -> Markup {
    let known = Phase::ALL.map(|phase| (phase.as_str(), overview.in_phase(phase.as_str())));
    let there = known.into_iter().filter(|(_, tenants)| *tenants > 0);
    let classes: Vec<_> = there.map(|(phase, tenants)| (phase, tenants, format!("phase-{phase}"))).collect();
    let whole: i64 = classes.iter().map(|(_, tenants, _)| tenants).sum();
    let parts: Vec<_> =
        classes.iter().map(|(_, tenants, class)| Part { class, size: share(*tenants) }).collect();
    html! {
        section .panel aria-labelledby="by-phase" {
            h2 #by-phase { "By phase" }
            @if classes.is_empty() { p .quiet { "No tenants yet." } } @else {
                (bar(&parts, share(whole)))
                ul .figures {
                    @for (phase, tenants, class) in &classes {
                        li {
                            span class={ "swatch " (class) } aria-hidden="true" {}
                            a href=(filter_path(&format!("phase:{phase}"))) { (phase) }
                            span .figure { (number(*tenants)) }
                        }
                    }
                }
            }
        }
    }
}

fn waiting(overview: &Overview) -> Markup {
    html! {
        section .panel aria-labelledby="by-reason" {
            h2 #by-reason { "Not ready, by reason" }
            @if overview.waiting.is_empty() && overview.parked.is_empty() {
                p .quiet { (nobody_waits(overview)) }
            } @else {
                ul .figures {
                    @for parked in &overview.parked {
                        li title=(words::parked(&parked.reason)) {
                            span .swatch .bad aria-hidden="true" {}
                            a href=(filter_path(&format!("reason:{} parked:yes", parked.reason))) { (text(&parked.reason)) }
                            span .quiet { "parked" }
                            span .figure { (number(parked.tenants)) }
                        }
                    }
                    @for waiting in &overview.waiting {
                        li title=(words::waiting(&waiting.reason)) {
                            span .swatch .track aria-hidden="true" {}
                            a href=(filter_path(&format!("reason:{} parked:no", waiting.reason))) { (text(&waiting.reason)) }
                            span .figure { @if waiting.is_estimate { "about " } (number(waiting.tenants)) }
                        }
                    }
                }
            }
        }
    }
}

/// Reasons are looked for among 1,000 tenants, which may all be at what keeps them ready.
fn nobody_waits(overview: &Overview) -> &'static str {
    let before = [Phase::Pending, Phase::Creating, Phase::Created, Phase::Trusted, Phase::Removing];
    if overview.is_empty() {
        "Nobody is to be ready."
    } else if before.iter().all(|phase| overview.in_phase(phase.as_str()) == 0) {
        "Every tenant is ready."
    } else {
        "None of a sample waits."
    }
}

fn lately(lately: Option<&Lately>, now: DateTime<Utc>) -> Markup {
    html! {
        section .panel aria-labelledby="time-to-ready" {
            h2 #time-to-ready { "Time to ready" }
            @if let Some(lately) = lately {
                dl .large {
                    div { dt { "p50" } dd { (length(lately.p50)) } }
                    div { dt { "p95" } dd { (length(lately.p95)) } }
                }
                (blame(&lately.spent.of(lately.whole), lately.whole))
                p .quiet { "Of the last " (count(lately.tenants, "tenant")) ", since " (time(lately.since, now)) "." }
            } @else {
                p .quiet { "Nobody became ready lately." }
            }
        }
    }
}

fn work(overview: &Overview, reload: Option<&Reload>, now: DateTime<Utc>) -> Markup {
    let holding: i64 = overview.workers.iter().map(|worker| worker.tenants).sum();
    html! {
        section .panel aria-labelledby="work" {
            h2 #work { "Work" }
            dl .facts {
                dt { "Oldest due" }
                dd {
                    @if overview.oldest_due < Duration::from_secs(1) { "nobody waits" }
                    @else { (length(overview.oldest_due)) " ago" }
                }
                dt { "In hand" }
                dd {
                    @if holding == 0 { "nothing" }
                    @else { (count(holding, "tenant")) ", by " (count(len(overview.workers.len()), "worker")) }
                }
                @if let Some(reload) = reload {
                    dt { "Configuration" }
                    dd { (brought(reload, now)) }
                }
                @for pause in &overview.fleet.pauses {
                    dt { "Paused" }
                    dd {
                        @if pause.region == FLEET { "the fleet" } @else { (text(&pause.region)) }
                        ": " (text(&pause.reason)) ", since " (time(pause.since, now))
                        @if let Some(until) = pause.until {
                            ", ends " (time(until, now)) "; "
                            code { (text(&to_resume(&pause.region))) } " ends it earlier"
                        }
                    }
                }
                @if !overview.drifted.is_empty() {
                    dt { "Drift" }
                    dd {
                        @for (place, (kind, tenants)) in overview.drifted.iter().enumerate() {
                            @if place > 0 { ", " }
                            (text(kind)) " " (number(*tenants))
                        }
                    }
                }
            }
        }
    }
}

fn regions(overview: &Overview, now: DateTime<Utc>) -> Markup {
    let rows = overview.regions.iter().map(|region| {
        vec![
            html! { a href=(filter_path(&format!("region:{}", region.region))) { (text(&region.region)) } },
            match region.opened_at {
                Some(opened_at) => html! { (chip("bad", "open")) " since " (time(opened_at, now)) },
                None => chip("good", "closed"),
            },
            time_or(region.token_at, now, "none yet"),
        ]
    });
    let table =
        Table { caption: "Regions", head: &["Region", "Breaker", "Last token"], rows: rows.collect() };
    html! {
        section .panel aria-labelledby="regions" {
            h2 #regions { "Regions" }
            @if table.rows.is_empty() { p .quiet { "No region was used yet." } } @else { (table.markup()) }
        }
    }
}

/// Budgets, rollouts, and removals that wait.
fn bounded(overview: &Overview, now: DateTime<Utc>) -> Markup {
    let rows = overview.fleet.rollouts.iter().map(|rollout| {
        let class = if rollout.stage == "halted" { "bad" } else { "plain" };
        vec![
            text(&rollout.kind),
            html! { (chip(class, &rollout.stage)) " since " (time(rollout.since, now)) },
            html! { (number(rollout.spent)) },
        ]
    });
    let rollouts =
        Table { caption: "Rollouts", head: &["Rollout", "Stage", "Last hour"], rows: rows.collect() };
    html! {
        section .panel .wide aria-labelledby="bounded" {
            h2 #bounded { "Budgets and rollouts" }
            div .two {
                ul .budgets { @for budget in &overview.fleet.budgets { (hourly(budget, overview.fleet.deletions_held.as_ref())) } }
                (rollouts.markup())
            }
            @if let Some(held) = &overview.fleet.deletions_held {
                p { "Nothing is " (if held.changes { "changed" } else { "deleted" }) " at Qlik since " (time(held.since, now)) ": " (marked(&held.reason)) }
            }
        }
    }
}

fn hourly(budget: &HourlyBudget, held: Option<&Held>) -> Markup {
    // As the view tells of them.
    let reason = match held {
        None => "AwaitingBudget",
        Some(held) if held.changes => "ChangesHeld",
        Some(_) => "DeletionsHeld",
    };
    let is_spent = budget.spent >= budget.limit;
    let class = if is_spent { "warn" } else { "spent" };
    html! {
        li {
            div .line {
                span { (budget.name.replace('_', " ").replace("per", "an")) }
                span .figure { (number(budget.spent)) " of " (number(budget.limit)) }
            }
            (bar(&[Part { class, size: share(budget.spent) }], share(budget.limit)))
            @if let Some(waiting) = budget.waiting {
                p .quiet {
                    @if waiting == 0 { "No removal waits." }
                    @else {
                        a href=(filter_path(&format!("reason:{reason} parked:no"))) {
                            (counted(waiting, "removal", ["waits", "wait"]))
                        }
                    }
                }
            }
        }
    }
}

/// Exact for all that is drawn.
fn share(tenants: i64) -> f64 {
    u32::try_from(tenants).map_or(f64::from(u32::MAX), f64::from)
}

fn len(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::answers::fleet::FleetStatus;
    use crate::answers::regions::RegionStatus;
    use crate::domain::blame::{Blame, Spent};
    use crate::postgres::fleet::counts::{Parked, Paused, Waiting};
    use crate::postgres::operator::fleet::RolloutStatus;
    use crate::postgres::operator::pauses::Pause;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn overview(phases: &[(&str, i64)]) -> Overview {
        let budget = HourlyBudget { name: "removals_per_hour", spent: 0, limit: 5, waiting: Some(0) };
        Overview {
            read_at: now(),
            fleet: FleetStatus {
                deletions_held: None,
                rights_missing: vec![],
                pauses: vec![],
                rollouts: vec![],
                budgets: vec![budget],
                phases: phases.iter().map(|(phase, tenants)| ((*phase).to_owned(), *tenants)).collect(),
            },
            regions: vec![],
            parked: vec![],
            waiting: vec![],
            paused: Paused::default(),
            lately: None,
            oldest_due: Duration::ZERO,
            drifted: vec![],
            workers: vec![],
        }
    }

    fn shown(overview: &Overview) -> String {
        content(overview, None, now()).into_string()
    }

    #[test]
    fn when_all_is_well_one_sentence_says_so() {
        for (phases, said) in [
            (&[][..], "All is well: there are no tenants yet."),
            (&[("ready", 1)], "All is well: 1 tenant is ready, and nothing waits for you."),
            (
                &[("ready", 1_204), ("creating", 3), ("removed", 9)],
                "All is well: 1,204 tenants are ready, 3 under way, and nothing waits for you.",
            ),
        ] {
            let shown = shown(&overview(phases));

            assert!(shown.contains(said) && !shown.contains("class=\"needs\""), "{shown}");
        }
    }

    #[test]
    fn what_waits_for_somebody_comes_first_with_its_remedy() {
        let mut overview = overview(&[("ready", 10), ("pending", 7)]);
        overview.parked = vec![Parked { reason: "NameTaken".to_owned(), tenants: 7 }];
        overview.waiting = vec![Waiting { reason: "Retrying".to_owned(), tenants: 2, is_estimate: false }];
        overview.fleet.deletions_held = Some(Held {
            changes: false,
            since: now() - TimeDelta::hours(2),
            reason: "a <restore>".to_owned(),
        });
        overview.regions = vec![RegionStatus {
            region: "us".to_owned(),
            opened_at: Some(now() - TimeDelta::minutes(3)),
            token_at: None,
            pause: None,
            rights_missing: vec![],
        }];
        overview.fleet.rollouts = vec![RolloutStatus {
            kind: "rotation".to_owned(),
            stage: "halted".to_owned(),
            since: now(),
            message: Some("run `tenantd fleet resume --rollout rotation`".to_owned()),
            spent: 4,
        }];

        let shown = shown(&overview);

        let places = [
            "3 things and 7 tenants wait for you",
            "Deletions are held",
            "A &lt;restore&gt;. Read <code>tenantd rejoin --status</code>",
            "The credential of region us is refused",
            "3m ago",
            "Run <code>tenantd fleet resume --rollout rotation</code>",
            "7 tenants parked as NameTaken",
            "Set another client_name on the row",
            "By phase",
            "/status/tenants?filter=reason%3ANameTaken+parked%3Ayes",
            "/status/tenants?filter=reason%3ARetrying+parked%3Ano",
        ]
        .map(|part| shown.find(part).unwrap_or_else(|| panic!("{part} is missing in {shown}")));
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn all_is_not_well_while_the_fleet_is_paused_without_end_or_nobody_comes_to_what_is_due() {
        let mut paused = overview(&[("ready", 1)]);
        paused.fleet.pauses =
            vec![Pause { region: FLEET.to_owned(), reason: "x".to_owned(), since: now(), until: None }];
        let mut alone = overview(&[("ready", 1), ("creating", 2)]);
        alone.paused = Paused { tenants: 2, are_more: false, since: Some(now()) };
        let mut behind = overview(&[("ready", 1)]);
        behind.oldest_due = Duration::from_secs(301);

        for (overview, said) in [
            (paused, "The fleet is paused"),
            (alone, "2 tenants that are not ready are paused"),
            (behind, "has been due for 5 min 1 s"),
        ] {
            let shown = shown(&overview);

            assert!(shown.contains("1 thing waits for you") && shown.contains(said), "{shown}");
            assert!(!shown.contains("All is well"), "{shown}");
        }
    }

    #[test]
    fn what_is_estimated_says_so_and_nobody_is_called_ready_who_is_not_there() {
        let waiting = |is_estimate| {
            let mut overview = overview(&[("creating", 9_000)]);
            overview.waiting = vec![Waiting { reason: "Queued".to_owned(), tenants: 8_000, is_estimate }];
            shown(&overview)
        };
        let figure = |words: &str| format!("<span class=\"figure\">{words}</span>");

        assert!(waiting(true).contains(&figure("about 8,000")), "{}", waiting(true));
        assert!(waiting(false).contains(&figure("8,000")), "{}", waiting(false));
        for (phases, is_said) in [(&[][..], false), (&[("removed", 3)], false), (&[("ready", 3)], true)] {
            assert_eq!(shown(&overview(phases)).contains("Every tenant is ready."), is_said, "{phases:?}");
        }
    }

    #[test]
    fn whose_the_time_was_is_said_in_figures_and_drawn() {
        let mut spent = Spent::default();
        spent.add(Blame::Remote, Duration::from_secs(3));
        let mut overview = overview(&[("ready", 1)]);
        let (p50, p95, whole) =
            (Duration::from_millis(1_500), Duration::from_secs(75), Duration::from_secs(4));
        overview.lately = Some(Lately { tenants: 2, since: now(), p50, p95, whole, spent });

        let shown = shown(&overview);

        for part in [
            "<dd>1.5 s</dd>",
            "<dd>1 min 15 s</dd>",
            "75 %",
            "25 %",
            r#"class="blame-remote" x="0.0" width="750.0""#,
        ] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
    }
}
