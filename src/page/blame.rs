//! Whose a time was, drawn and said.

use std::time::Duration;

use maud::{Markup, html};

use super::pieces::{Part, bar, length};
use crate::domain::blame::Blame;

/// Parts of a time, which add up to it.
pub(super) fn blame(parts: &[(Blame, Duration); 6], whole: Duration) -> Markup {
    let named = parts.map(|(blame, part)| (blame, format!("blame-{}", blame.as_str()), part));
    let drawn: Vec<_> =
        named.iter().map(|(_, class, part)| Part { class, size: part.as_secs_f64() }).collect();
    html! {
        (bar(&drawn, whole.as_secs_f64()))
        ul .figures {
            @for (blame, class, part) in &named {
                li .none[part.is_zero()] {
                    span class={ "swatch " (class) } aria-hidden="true" {}
                    span title=(whose(*blame)) { (blame.as_str()) }
                    span .figure { (length(*part)) }
                    span .figure .quiet { (percent(*part, whole)) }
                }
            }
        }
    }
}

/// What a part of the time is, in the words of `docs/operations.md`.
fn whose(blame: Blame) -> &'static str {
    match blame {
        Blame::Queue => "it was due, and no worker was free",
        Blame::Limit => {
            "it was told to come later, by Qlik or by our own pacing of it; or a removal waited for the hourly budget"
        }
        Blame::Remote => {
            "Qlik's answers took so long, a turn of our pacing within an act included; or the tenant was not to be used there"
        }
        Blame::Backoff => "a failure was waited out, or a request that may still land",
        Blame::Human => "a pause, a `not_before`, or something only people could mend",
        Blame::Us => {
            "all the rest: our own work, the database's, a row that somebody's transaction had locked, and what was lost with a process"
        }
    }
}

fn percent(part: Duration, whole: Duration) -> String {
    if whole.is_zero() {
        return "0 %".to_owned();
    }
    format!("{:.0} %", part.as_secs_f64() / whole.as_secs_f64() * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: &str = include_str!("../../docs/operations.md");

    #[test]
    fn whose_a_part_is_is_told_in_the_words_of_the_documents() {
        for blame in Blame::ALL {
            let line = format!("\n| `{}` | {} | ", blame.as_str(), whose(blame));
            assert!(OPERATIONS.contains(&line), "{line}");
        }
    }
}
