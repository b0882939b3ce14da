//! What waits for somebody: the fleet's own brakes, then tenants by reason, each with what it
//! means, what mends it, and a retry of all of them that says first how many they are.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use super::guest::Guest;
use super::needs::Brakes;
use super::pieces::{
    Table, command, count, counted, filter_path, in_path, marked, number, sentence, tenant_link, text, time,
};
use super::words;
use crate::answers::attention::{Attention, Group};
use crate::domain::text::plain;
use crate::domain::why::MOST_CHARACTERS;
use crate::postgres::operator::orders::MOST_AT_ONCE;

/// All of it. `told` is how many were retried just now, and how many were left.
pub(super) fn content(
    attention: &Attention,
    told: Option<(i64, i64)>,
    guest: &Guest,
    now: DateTime<Utc>,
) -> Markup {
    let brakes = Brakes {
        held: attention.held.as_ref(),
        pauses: &attention.pauses,
        paused: attention.paused,
        regions: &attention.regions,
        rollouts: &attention.rollouts,
        oldest_due: attention.oldest_due,
        is_anybody_at_work: !attention.workers.is_empty(),
    };
    let needs = brakes.needs(now);
    html! {
        h1 { "Needs attention" }
        @if let Some((retried, left)) = told {
            p .told role="status" {
                (are(retried)) " due at once: whoever fails again comes back here."
                @if left > 0 { " " (are(left)) " left for another go." }
            }
        }
        div .live id="live" {
            @if needs.is_empty() && attention.groups.is_empty() {
                p .calm { span .mark aria-hidden="true" {} "Nothing waits for you." }
            }
            @if !needs.is_empty() {
                section aria-labelledby="fleet" {
                    h2 #fleet { "The fleet" }
                    ul .needs { @for need in &needs { (need.markup(now)) } }
                }
            }
            @for one in &attention.groups { (group(one, guest, now)) }
        }
    }
}

fn are(tenants: i64) -> String {
    counted(tenants, "tenant", ["is", "are"])
}

fn group(group: &Group, guest: &Guest, now: DateTime<Utc>) -> Markup {
    let rows = group.first.iter().map(|tenant| {
        vec![
            tenant_link(&tenant.external_id),
            text(&tenant.host),
            time(tenant.since, now),
            // What mends it is told above, once for all.
            marked(tenant.message.as_deref().and_then(|said| said.split(';').next()).unwrap_or_default()),
        ]
    });
    let caption = format!("Some tenants that are parked as {}", group.reason);
    let table =
        Table { caption: &caption, head: &["Tenant", "Host", "Since", "Message"], rows: rows.collect() };
    let more = group.tenants - i64::try_from(group.first.len()).unwrap_or(i64::MAX);
    html! {
        section .group id=(plain(&group.reason)) aria-labelledby={ "of-" (plain(&group.reason)) } {
            div .line {
                h2 id={ "of-" (plain(&group.reason)) } {
                    (text(&group.reason)) " " span .count { (count(group.tenants, "tenant")) }
                }
                @if guest.may_act || guest.somebody_acts {
                    a .button href=(retry_path(&group.reason)) { "Retry all …" }
                }
            }
            p { (sentence(words::parked(&group.reason))) " " (sentence(words::remedy(&group.reason))) }
            (table.markup())
            @if more > 0 {
                p { a href=(filter_path(&format!("reason:{} parked:yes", group.reason))) { "All " (count(group.tenants, "tenant")) } }
            }
        }
    }
}

/// Where all of a reason are retried.
fn retry_path(reason: &str) -> String {
    format!("/status/attention/{}/retry", in_path(reason))
}

/// A retry of all of a reason, before it is done.
pub(super) struct Retry<'a> {
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

impl Retry<'_> {
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
