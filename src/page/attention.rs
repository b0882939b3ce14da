//! What waits for somebody: the fleet's own brakes, then tenants by reason, each with what it
//! means, what mends it, and a retry of all of them that says first how many they are.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use super::guest::Guest;
use super::pieces::{
    Table, command, count, filter_path, in_path, marked, number, sentence, tenant_path, text, time,
};
use super::words;
use crate::answers::attention::{Attention, Group};
use crate::answers::regions::RegionStatus;
use crate::domain::text::plain;
use crate::postgres::operator::fleet::{Held, RolloutStatus};
use crate::postgres::operator::orders::MOST_AT_ONCE;

/// One thing that waits for somebody.
pub(super) struct Need {
    pub(super) what: String,
    pub(super) since: Option<DateTime<Utc>>,
    /// What it means; empty where what mends it says so.
    pub(super) meaning: String,
    /// What mends it.
    pub(super) remedy: String,
    /// Where more is told.
    pub(super) at: Option<(String, &'static str)>,
}

impl Need {
    pub(super) fn markup(&self, now: DateTime<Utc>) -> Markup {
        html! {
            li {
                p .what {
                    strong { (text(&self.what)) }
                    @if let Some(since) = self.since { " " span .quiet { "since " (time(since, now)) } }
                    @if let Some((path, name)) = &self.at { " " a href=(path) { (name) } }
                }
                p {
                    @if !self.meaning.is_empty() { (sentence(&self.meaning)) " " }
                    (sentence(&self.remedy))
                }
            }
        }
    }
}

/// What waits for somebody besides single tenants.
pub(super) fn needs(held: Option<&Held>, regions: &[RegionStatus], rollouts: &[RolloutStatus]) -> Vec<Need> {
    let held = held.map(|held| Need {
        what: (if held.changes { "All changes are held" } else { "Deletions are held" }).to_owned(),
        since: Some(held.since),
        meaning: held.reason.clone(),
        remedy: "read `tenantd rejoin --status`, then say what is so".to_owned(),
        at: None,
    });
    let open = regions.iter().filter_map(|region| {
        Some(Need {
            since: Some(region.opened_at?),
            what: format!("The credential of region {} is refused", region.region),
            meaning: "nothing is sent there".to_owned(),
            remedy: "correct it and restart; `tenantd doctor` tests it".to_owned(),
            at: Some((filter_path(&format!("region:{}", region.region)), "Its tenants")),
        })
    });
    let lacking = regions.iter().flat_map(|region| &region.rights_missing).map(|right| Need {
        what: format!("Region {} lacks the right to {}", right.region, right.effect),
        since: Some(right.since),
        meaning: format!(
            "{} for it; Qlik answered {}",
            count(right.waiting, "tenant") + if right.waiting == 1 { " waits" } else { " wait" },
            right.answer
        ),
        remedy: "give the region's OAuth client its roles and scopes; `tenantd doctor` names them".to_owned(),
        at: Some((filter_path("reason:RightMissing"), "Who waits")),
    });
    let halted = rollouts.iter().filter(|rollout| rollout.stage == "halted").map(|rollout| Need {
        what: format!("The rollout of {} has halted", rollout.kind),
        since: Some(rollout.since),
        meaning: String::new(),
        remedy: rollout.message.clone().unwrap_or_default(),
        at: None,
    });
    held.into_iter().chain(open).chain(lacking).chain(halted).collect()
}

/// All of it. `told` is how many were retried just now, and how many were left.
pub(super) fn content(
    attention: &Attention,
    told: Option<(i64, i64)>,
    guest: &Guest,
    now: DateTime<Utc>,
) -> Markup {
    let needs = needs(attention.held.as_ref(), &attention.regions, &attention.rollouts);
    html! {
        h1 { "Needs attention" }
        @if let Some((retried, left)) = told {
            p .told role="status" {
                (due(retried)) " due at once: whoever fails again comes back here."
                @if left > 0 { " " (due(left)) " left for another go." }
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

fn due(tenants: i64) -> String {
    count(tenants, "tenant") + if tenants == 1 { " is" } else { " are" }
}

fn group(group: &Group, guest: &Guest, now: DateTime<Utc>) -> Markup {
    let rows = group.first.iter().map(|tenant| {
        vec![
            html! { a href=(tenant_path(&tenant.external_id)) { (text(&tenant.external_id)) } },
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
                p { a href=(filter_path(&format!("reason:{}", group.reason))) { "All " (count(group.tenants, "tenant")) } }
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
                input #reason type="text" name="reason" required maxlength="500" autocomplete="off";
                div .line {
                    button .act type="submit" { "Retry " (count(now, "tenant")) }
                    a href="/status/attention" { "Not now" }
                }
            }
        }
    }
}
