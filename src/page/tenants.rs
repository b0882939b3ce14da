//! Tenants, by filter and page.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::pieces::{Table, chip, filter_path, marked, sentence, tenant_link, text, time_or};
use crate::domain::filter::{Fault, MOST_CHARACTERS};
use crate::domain::text::plain;
use crate::postgres::operator::tenants::Status;

/// A page of tenants.
pub(super) struct List<'a> {
    pub(super) filter: &'a str,
    /// Why the filter cannot be read, and where.
    pub(super) fault: Option<&'a Fault>,
    /// The key behind which the page begins.
    pub(super) after: &'a str,
    pub(super) tenants: &'a [Status],
    /// There are more.
    pub(super) is_cut: bool,
}

/// Filters that are one click away.
const USUAL: [(&str, &str); 4] =
    [("", "All"), ("ready:no", "Not ready"), ("parked:yes", "Parked"), ("phase:removed", "Removed")];

impl List<'_> {
    pub(super) fn content(&self, now: DateTime<Utc>) -> Markup {
        html! {
            h1 { "Tenants" }
            (self.form())
            div .live id="live" {
                @if self.fault.is_none() {
                    @if self.tenants.is_empty() { p .quiet { "No tenant matches." } } @else { (self.table(now)) }
                    (self.pages())
                }
            }
        }
    }

    fn form(&self) -> Markup {
        html! {
            form .filter method="get" action="/status/tenants" role="search" {
                label for="filter" { "Filter" }
                div .line {
                    input #filter type="search" name="filter" value=(plain(self.filter)) autocomplete="off"
                        autocapitalize="none" spellcheck="false" maxlength=(MOST_CHARACTERS)
                        placeholder="phase:creating region:us since:15m label.tier:gold"
                        aria-invalid=[self.fault.map(|_| "true")]
                        aria-describedby=[self.fault.map(|_| "fault")];
                    button type="submit" { "Show" }
                }
                @if let Some(fault) = self.fault { (self.wrong(fault)) }
                p .usual {
                    @for (filter, name) in USUAL {
                        a href=(filter_path(filter)) aria-current=[(filter == self.filter).then_some("true")] { (name) }
                    }
                }
            }
        }
    }

    /// The filter once more, with a mark on the word that is wrong.
    fn wrong(&self, fault: &Fault) -> Markup {
        let mut rest = self.filter.chars();
        let before: String = rest.by_ref().take(fault.at()).collect();
        let word: String = rest.by_ref().take(fault.word().chars().count()).collect();
        let behind: String = rest.collect();
        html! {
            div #fault .fault role="alert" {
                pre aria-hidden="true" {
                    (plain(&before)) mark { @if word.is_empty() { " " } @else { (plain(&word)) } } (plain(&behind))
                }
                p { (sentence(&fault.to_string())) }
            }
        }
    }

    fn table(&self, now: DateTime<Utc>) -> Markup {
        let rows = self.tenants.iter().map(|tenant| row(tenant, now)).collect();
        let head = ["Tenant", "Phase", "Standing", "Since", "Next"];
        Table { caption: "Tenants in the order of their external_id", head: &head, rows }.markup()
    }

    fn pages(&self) -> Markup {
        let next = self.tenants.last().filter(|_| self.is_cut);
        html! {
            nav .pages aria-label="Pages of the list" {
                @if !self.after.is_empty() { a href=(filter_path(self.filter)) { "First page" } }
                @if let Some(last) = next {
                    a rel="next" href={ (filter_path(self.filter)) "&after=" (encoded(&last.external_id)) } { "Next page" }
                }
            }
        }
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn row(tenant: &Status, now: DateTime<Utc>) -> Vec<Markup> {
    vec![
        html! {
            (tenant_link(&tenant.external_id))
            span .sub { (text(&tenant.host)) }
        },
        text(&tenant.phase),
        html! {
            (standing(tenant))
            @if let Some(message) = &tenant.message { span .sub { (marked(message)) } }
        },
        time_or(tenant.since, now, "–"),
        // What is past is to be done now.
        time_or(tenant.next_attempt_at.map(|at| at.max(now)), now, "–"),
    ]
}

/// Whether it is ready, else why not.
pub(super) fn standing(tenant: &Status) -> Markup {
    match &tenant.reason {
        Some(reason) if tenant.parked => chip("bad", reason),
        Some(reason) if reason == "Removed" => chip("plain", reason),
        Some(reason) => chip("warn", reason),
        None => chip("good", "ready"),
    }
}
