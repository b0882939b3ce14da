//! The calendar of rotations: four weeks that were, and four that come.

use chrono::{DateTime, Datelike, NaiveDate, Utc, Weekday};
use maud::{Markup, html};

use super::pieces::{chip, command, counted, length, marked, number, time};
use crate::answers::calendar::{Calendar, Day};

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// All of it.
pub(super) fn content(calendar: &Calendar, now: DateTime<Utc>) -> Markup {
    html! {
        h1 { "Calendar of rotations" }
        div .live id="live" {
            (policy(calendar, now))
            table .calendar role="table" {
                caption .unseen { "Rotations by day, in UTC" }
                thead role="rowgroup" {
                    tr role="row" { @for name in WEEKDAYS { th role="columnheader" scope="col" { (name) } } }
                }
                tbody role="rowgroup" {
                    @for week in weeks(&calendar.days) {
                        tr role="row" { @for day in week { (cell(day, now.date_naive(), calendar.days.first())) } }
                    }
                }
            }
            p .quiet {
                "Days are UTC. " b { "new" } ": secrets that serve since then, first and renewed ones; "
                b { "renewed" } ": rotations by age that ended well; " b { "failed" } ": those that did not; " b { "due" } ": secrets that come of that age, and are renewed up to a tenth of it earlier."
                @if calendar.later > 0 { " Later than this: " (number(calendar.later)) "." }
            }
            p { "One tenant's secret is rotated on demand:" }
            (command("tenantd tenant rotate EXTERNAL_ID"))
        }
    }
}

fn policy(calendar: &Calendar, now: DateTime<Utc>) -> Markup {
    let a_day = i64::from(calendar.changes_per_hour).saturating_mul(24);
    let busiest = calendar.days.iter().filter(|day| day.date >= now.date_naive()).max_by_key(|day| day.due);
    html! {
        @match calendar.every {
            None => p { (marked("`rotation.every` is not set: a secret is renewed when somebody asks, and not by age.")) },
            Some(every) => {
                p {
                    "A secret is renewed at the age of " (length(every)) ", or up to a tenth of it earlier, within "
                    code { "budget.changes_per_hour" } " (" (number(calendar.changes_per_hour.into())) ")."
                    @if calendar.overdue > 0 {
                        " " strong { (counted(calendar.overdue, "secret", ["is", "are"])) " of age" } " and not renewed yet."
                    }
                }
                @if let Some(busiest) = busiest.filter(|day| day.due > a_day) {
                    p .fault {
                        (busiest.date) " has more due (" (number(busiest.due)) ") than the budget lets through in a day ("
                        (number(a_day)) "): the rest follows later."
                    }
                }
            }
        }
        @if let Some(rollout) = &calendar.rollout {
            p {
                "The rollout is " (chip(if rollout.stage == "halted" { "bad" } else { "plain" }, &rollout.stage))
                " since " (time(rollout.since, now)) "."
                @if let Some(message) = &rollout.message { " " (marked(message)) }
            }
        }
    }
}

/// Weeks from Monday to Sunday; `None` where a day is out of the calendar.
fn weeks(days: &[Day]) -> Vec<Vec<Option<&Day>>> {
    let Some(first) = days.first() else { return Vec::new() };
    let before = first.date.weekday().days_since(Weekday::Mon);
    let padding = (0..before).map(|_| None);
    let padded: Vec<_> = padding.chain(days.iter().map(Some)).collect();
    let mut weeks: Vec<Vec<_>> = padded.chunks(7).map(<[_]>::to_vec).collect();
    if let Some(last) = weeks.last_mut() {
        last.resize(7, None);
    }
    weeks
}

fn cell(day: Option<&Day>, today: NaiveDate, first: Option<&Day>) -> Markup {
    let Some(day) = day else { return html! { td role="cell" .out {} } };
    let figures = [("new", day.served), ("renewed", day.renewed), ("failed", day.failed), ("due", day.due)];
    let is_empty = figures.iter().all(|(_, figure)| *figure == 0);
    let is_named = day.date.day() == 1 || day.date == today || Some(day) == first;
    html! {
        td role="cell" .past[day.date < today] .none[is_empty && day.date != today]
            aria-current=[(day.date == today).then_some("date")] {
            time .day datetime=(day.date) title=(day.date) {
                (day.date.day()) span .month[!is_named] { (day.date.format(" %b")) }
            }
            @for (what, figure) in figures.iter().filter(|(_, figure)| *figure > 0) {
                span class=(what) { b { (number(*figure)) } " " (what) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Days;

    use crate::answers::calendar::DAYS;

    use super::*;

    #[test]
    fn how_many_are_of_age_is_said_of_one_and_of_several() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let shown = |overdue| {
            let every = Some(std::time::Duration::from_hours(24));
            let calendar = Calendar {
                read_at: now,
                every,
                changes_per_hour: 5,
                rollout: None,
                days: vec![],
                overdue,
                later: 0,
            };
            content(&calendar, now).into_string()
        };

        assert!(
            shown(1).contains("<strong>1 secret is of age</strong> and not renewed yet."),
            "{}",
            shown(1)
        );
        assert!(shown(2).contains("<strong>2 secrets are of age</strong> and not renewed yet."));
        assert!(!shown(0).contains("of age</strong>"));
        for what in ["new", "renewed", "failed", "due"] {
            assert!(shown(0).contains(&format!("<b>{what}</b>: ")), "{what} is in the legend");
        }
    }

    #[test]
    fn every_day_is_in_its_weekday_and_no_day_is_left_out() {
        for offset in 0..7 {
            let first = NaiveDate::from_ymd_opt(2026, 11, 2).unwrap() + Days::new(offset);
            let day = |date| Day { date, served: 0, renewed: 0, failed: 0, due: 0 };
            let days: Vec<_> = first.iter_days().take(usize::from(DAYS) * 2 + 1).map(day).collect();

            let weeks = weeks(&days);

            assert!(weeks.iter().all(|week| week.len() == 7));
            assert_eq!(weeks.iter().flatten().flatten().count(), days.len());
            for week in &weeks {
                for (place, day) in week.iter().enumerate() {
                    let is_right =
                        day.is_none_or(|day| day.date.weekday().days_since(Weekday::Mon) as usize == place);
                    assert!(is_right, "{day:?}");
                }
            }
        }
    }
}
