//! What waits for somebody: the fleet's own brakes, then tenants by reason, each with what it means
//! and what mends it.
//!
//! The rule: a retry of all is offered where a retry can mend it.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::confirm::retry_path;
use super::guest::Guest;
use super::needs::Brakes;
use super::pieces::{Table, are, count, filter_path, marked, sentence, tenant_link, text, time};
use super::words;
use crate::answers::attention::{Attention, Group};
use crate::domain::reason::ParkReason;
use crate::domain::text::plain;

/// All of it. `told` is how many were retried just now, and how many were left.
pub(super) fn content(
    attention: &Attention,
    told: Option<(i64, i64)>,
    guest: &Guest,
    now: DateTime<Utc>,
) -> Markup {
    let needs = Brakes::from(attention).needs(now);
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
                @if (guest.may_act || guest.somebody_acts) && is_mended_by_retries(&group.reason) {
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

/// Without its client a tenant comes back in minutes, unless the client does: another one is made by
/// `tenantd tenant retry --recreate`. And what a newer version parks for is that version's.
fn is_mended_by_retries(reason: &str) -> bool {
    ParkReason::parse(reason).is_some_and(|reason| reason != ParkReason::ClientMissing)
}
