//! A retry of all tenants of a reason, before it is done: how many they are, and for what reason.
//!
//! The rule: nothing is done by being here, and the form says how many it is for.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use super::guest::Guest;
use super::pieces::{command, count, in_path, number, sentence, text};
use super::words;
use crate::domain::text::plain;
use crate::domain::why::MOST_CHARACTERS;
use crate::postgres::operator::orders::MOST_AT_ONCE;

/// A retry of all of a reason, before it is done.
pub(super) struct Confirmation<'a> {
    pub(super) reason: &'a str,
    /// How many were counted.
    pub(super) tenants: u64,
    pub(super) counted_at: DateTime<Utc>,
    pub(super) guest: &'a Guest,
    /// Where one signs in, to come back here.
    pub(super) sign_in: &'a str,
    /// Another number was counted before, and nothing was done.
    pub(super) differs: bool,
}

impl Confirmation<'_> {
    /// Says what is to be done and to how many.
    pub(super) fn content(&self) -> Markup {
        let (reason, tenants) = (self.reason, i64::try_from(self.tenants).unwrap_or(i64::MAX));
        if tenants == 0 {
            return html! {
                h1 { "Nobody is parked as " (text(reason)) }
                p { a href="/status/attention" { "Needs attention" } }
            };
        }
        html! {
            section .confirm {
                h1 { "Retry " (count(tenants, "tenant")) " parked as " (text(reason)) "?" }
                @if self.differs {
                    p .fault role="alert" { "They are not as many as before: nothing was done. This is how many they are now." }
                }
                p { (sentence(words::parked(reason))) " " (sentence(words::remedy(reason))) }
                p { "Retried, they go on at once, and their patience starts anew." }
                @if self.tenants > MOST_AT_ONCE.into() {
                    p { "At most " (number(MOST_AT_ONCE.into())) " go at once: come again for the others." }
                }
                p .quiet { "Counted at " (self.counted_at.format("%H:%M:%S UTC")) ". Nothing is done if they are not as many any more." }
                @match (&self.guest.form, self.guest.may_act) {
                    (Some(form), true) => (self.acting(form, tenants)),
                    (Some(_) | None, _) => {
                        p { a .button href={ (self.sign_in) "&act=1" } { "Sign in with the token that acts" } }
                    }
                }
                p { "For scripts:" }
                (command(&format!("tenantd tenant retry --filter 'parked:yes reason:{}' --reason 'it is mended'", plain(reason))))
            }
        }
    }

    fn acting(&self, form: &str, tenants: i64) -> Markup {
        let now = tenants.min(MOST_AT_ONCE.into());
        html! {
            form method="post" action=(retry_path(self.reason)) {
                input type="hidden" name="form" value=(form);
                input type="hidden" name="expect" value=(self.tenants);
                input type="hidden" name="counted_at" value=(self.counted_at.to_rfc3339_opts(SecondsFormat::Micros, true));
                label for="reason" { "Why, for those who wonder later" }
                input #reason type="text" name="reason" required maxlength=(MOST_CHARACTERS) autocomplete="off";
                div .line {
                    button .act type="submit" { "Retry " (count(now, "tenant")) }
                    a href="/status/attention" { "Not now" }
                }
            }
        }
    }
}

/// Where all of a reason are retried.
pub(super) fn retry_path(reason: &str) -> String {
    format!("/status/attention/{}/retry", in_path(reason))
}
