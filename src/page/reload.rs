//! What reading the configuration anew brought, of this process alone.
//!
//! The rule: settings and keys are told by their names, and the log has all of them.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::needs::Need;
use super::pieces::{text, time};
use crate::api::{Reload, TakenOver};

/// Most names in a row.
const NAMED: usize = 10;

/// The configuration was to be read anew and is as it was. Of this process alone.
pub(super) fn unread(reload: &Reload) -> Option<Need> {
    let why = reload.outcome.as_ref().err()?;
    Some(Need {
        what: "The configuration could not be read anew".to_owned(),
        since: Some(reload.at),
        meaning: format!("this daemon goes on under the one before: {why}"),
        remedy: "mend it, try it with `tenantd config check`, and reload again".to_owned(),
        at: None,
    })
}

/// What another configuration changed, and what of it waits for a restart.
pub(super) fn brought(reload: &Reload, now: DateTime<Utc>) -> Markup {
    let waits = &reload.at_restart;
    html! {
        @match &reload.outcome {
            Ok(taken_over) => { "read anew " (time(reload.at, now)) "; " (changes(taken_over, waits)) },
            Err(_) => { "of before, since it could not be read anew" },
        }
        @if !waits.is_empty() { "; a restart takes over " (names(waits)) }
    }
}

fn changes(TakenOver { changed, keys_gone }: &TakenOver, waits: &[String]) -> Markup {
    let keys_gone: Vec<_> = keys_gone.iter().map(|kid| kid.as_str().to_owned()).collect();
    html! {
        @if !changed.is_empty() { "changed: " (names(changed)) }
        @else if waits.is_empty() { "nothing changed" }
        @else { "nothing changed at once" }
        @if !keys_gone.is_empty() { "; no longer in the keyring: " (names(&keys_gone)) }
    }
}

fn names(all: &[String]) -> Markup {
    let shown = &all[..all.len().min(NAMED)];
    html! {
        (text(&shown.join(", ")))
        @if shown.len() < all.len() { " and " (all.len() - shown.len()) " more" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(outcome: Result<TakenOver, String>, at_restart: &[&str]) -> String {
        let at = DateTime::UNIX_EPOCH;
        let at_restart = at_restart.iter().map(|name| (*name).to_owned()).collect();
        brought(&Reload { at, outcome, at_restart }, at).into_string()
    }

    #[test]
    fn what_changed_is_told_by_a_few_names_and_nothing_as_such() {
        let many: Vec<_> = (1..=12).map(|number| format!("a.{number}")).collect();

        let some = shown(Ok(TakenOver { changed: many, keys_gone: vec![] }), &["<b>"]);

        assert!(
            some.contains("; changed: a.1, a.2, ") && some.contains(", a.10 and 2 more; a restart"),
            "{some}"
        );
        assert!(some.ends_with("takes over &lt;b&gt;"), "{some}");
        assert!(shown(Ok(TakenOver::default()), &[]).ends_with("; nothing changed"));
    }

    #[test]
    fn what_waits_for_a_restart_is_told_although_the_next_could_not_be_read() {
        let shown = shown(Err("a fault".to_owned()), &["worker.lease"]);

        assert!(shown.ends_with("; a restart takes over worker.lease"), "{shown}");
    }
}
