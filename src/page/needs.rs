//! What waits for somebody besides those who are parked: the brakes of the fleet and of tenants, and
//! that nobody works.
//!
//! The rule: each says since when, why, and what mends it, and the page says that all is well only
//! where there is none.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::pieces::{counted, filter_path, length, sentence, text, time};
use crate::answers::attention::Attention;
use crate::answers::overview::Overview;
use crate::answers::regions::RegionStatus;
use crate::postgres::fleet::counts::Paused;
use crate::postgres::operator::fleet::{Held, RolloutStatus};
use crate::postgres::operator::pauses::{FLEET, Pause};

/// So long may a tenant be due while nobody works before somebody is told. One that is due is claimed
/// within a second or two: the alert `TenantdStandsStill` waits as long.
pub(super) const MOST_DUE: Duration = Duration::from_mins(5);

/// So long may one be due whoever works: those who do may be kept busy by others for ever.
const LONGEST_DUE: Duration = Duration::from_hours(1);

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

/// All that may keep a fleet from going on.
pub(super) struct Brakes<'a> {
    pub(super) held: Option<&'a Held>,
    pub(super) pauses: &'a [Pause],
    pub(super) paused: Paused,
    pub(super) regions: &'a [RegionStatus],
    pub(super) rollouts: &'a [RolloutStatus],
    /// How long the longest has been due without anybody working on it.
    pub(super) oldest_due: Duration,
    /// A daemon has a tenant.
    pub(super) is_anybody_at_work: bool,
}

impl<'a> From<&'a Overview> for Brakes<'a> {
    fn from(overview: &'a Overview) -> Self {
        Self {
            held: overview.fleet.deletions_held.as_ref(),
            pauses: &overview.fleet.pauses,
            paused: overview.paused,
            regions: &overview.regions,
            rollouts: &overview.fleet.rollouts,
            oldest_due: overview.oldest_due,
            is_anybody_at_work: !overview.workers.is_empty(),
        }
    }
}

impl<'a> From<&'a Attention> for Brakes<'a> {
    fn from(attention: &'a Attention) -> Self {
        Self {
            held: attention.held.as_ref(),
            pauses: &attention.pauses,
            paused: attention.paused,
            regions: &attention.regions,
            rollouts: &attention.rollouts,
            oldest_due: attention.oldest_due,
            is_anybody_at_work: !attention.workers.is_empty(),
        }
    }
}

impl Brakes<'_> {
    /// Those that only somebody ends.
    pub(super) fn needs(&self, now: DateTime<Utc>) -> Vec<Need> {
        let held = self.held.map(held);
        // One with an end passes by itself.
        let pauses =
            self.pauses.iter().filter(|pause| pause.until.is_none()).map(paused).chain(alone(self.paused));
        let open = self.regions.iter().filter_map(refused);
        let halted = self.rollouts.iter().filter(|rollout| rollout.stage == "halted").map(halted);
        let needs = held.into_iter().chain(pauses).chain(open).chain(self.lacking()).chain(halted);
        needs.chain(self.behind(now)).collect()
    }

    fn lacking(&self) -> impl Iterator<Item = Need> {
        let missing = self.regions.iter().flat_map(|region| &region.rights_missing);
        // One that is there again waits for a daemon to say so.
        missing.filter(|right| !right.is_over).map(|right| Need {
            what: format!("Region {} lacks the right to {}", right.region, right.effect),
            since: Some(right.since),
            meaning: format!(
                "{} for it; Qlik answered {}",
                counted(right.waiting, "tenant", ["waits", "wait"]),
                right.answer
            ),
            remedy: "give the region's OAuth client its roles and scopes; `tenantd doctor` names them"
                .to_owned(),
            at: Some((
                filter_path(&format!("reason:RightMissing parked:no region:{}", right.region)),
                "Who waits",
            )),
        })
    }

    /// A queue that somebody works on waits for nobody, unless its first waits for too long. Whoever is
    /// due where a region's credential is refused is told of already.
    fn behind(&self, now: DateTime<Utc>) -> Option<Need> {
        let is_open = self.regions.iter().any(|region| region.opened_at.is_some());
        let most = if self.is_anybody_at_work { LONGEST_DUE } else { MOST_DUE };
        let meaning = if self.is_anybody_at_work {
            "daemons are at work on others"
        } else {
            "no daemon is at work on any tenant"
        };
        (self.oldest_due > most && !is_open).then(|| Need {
            what: format!("A tenant has been due for {}", length(self.oldest_due)),
            since: TimeDelta::from_std(self.oldest_due).ok().and_then(|age| now.checked_sub_signed(age)),
            meaning: meaning.to_owned(),
            remedy: "see `/readyz` of every daemon, then `tenantd tenant explain` of a tenant that is due"
                .to_owned(),
            at: None,
        })
    }
}

fn held(held: &Held) -> Need {
    Need {
        what: (if held.changes { "All changes are held" } else { "Deletions are held" }).to_owned(),
        since: Some(held.since),
        meaning: held.reason.clone(),
        remedy: "read `tenantd rejoin --status`, then say what is so".to_owned(),
        at: None,
    }
}

fn paused(pause: &Pause) -> Need {
    let Pause { region, reason, since, .. } = pause;
    let is_fleet = region == FLEET;
    let of_region = (!is_fleet).then(|| filter_path(&format!("region:{region}")));
    Need {
        what: if is_fleet { "The fleet is paused".to_owned() } else { format!("Region {region} is paused") },
        since: Some(*since),
        meaning: format!("until somebody ends it: {reason}"),
        remedy: format!("`{}` ends it", to_resume(region)),
        at: of_region.map(|path| (path, "Its tenants")),
    }
}

/// The command that ends the pause of a region, or of the fleet.
pub(super) fn to_resume(region: &str) -> String {
    if region == FLEET {
        return "tenantd fleet resume".to_owned();
    }
    format!("tenantd fleet resume --region {region}")
}

fn alone(paused: Paused) -> Option<Need> {
    let more = if paused.are_more { "more than " } else { "" };
    (paused.tenants > 0).then(|| Need {
        what: format!(
            "{more}{} not ready {} paused",
            counted(paused.tenants, "tenant", ["that is", "that are"]),
            if paused.tenants == 1 { "is" } else { "are" }
        ),
        since: paused.since,
        meaning: "each by itself, until somebody ends it".to_owned(),
        remedy: "`tenantd tenant resume` ends it".to_owned(),
        // Those of a region's or the fleet's pause too.
        at: Some((filter_path("paused:yes ready:no parked:no"), "All who are paused")),
    })
}

fn refused(region: &RegionStatus) -> Option<Need> {
    Some(Need {
        since: Some(region.opened_at?),
        what: format!("The credential of region {} is refused", region.region),
        meaning: "nothing is sent there".to_owned(),
        remedy: "correct it and reload, or restart where the daemon has a copy; `tenantd doctor` tests it"
            .to_owned(),
        at: Some((filter_path(&format!("region:{}", region.region)), "Its tenants")),
    })
}

fn halted(rollout: &RolloutStatus) -> Need {
    let kind = &rollout.kind;
    let otherwise = || format!("`tenantd fleet resume --rollout {kind}` has it begin anew");
    Need {
        what: format!("The rollout of {kind} has halted"),
        since: Some(rollout.since),
        meaning: String::new(),
        remedy: rollout.message.clone().filter(|said| !said.is_empty()).unwrap_or_else(otherwise),
        at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::fleet::rights::MissingRight;

    const NOTHING: Brakes<'_> = Brakes {
        held: None,
        pauses: &[],
        paused: Paused { tenants: 0, are_more: false, since: None },
        regions: &[],
        rollouts: &[],
        oldest_due: Duration::ZERO,
        is_anybody_at_work: false,
    };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn shown(brakes: &Brakes<'_>) -> String {
        brakes.needs(now()).iter().map(|need| need.markup(now()).into_string()).collect()
    }

    fn region(opened_at: Option<DateTime<Utc>>) -> RegionStatus {
        RegionStatus {
            region: "us".to_owned(),
            opened_at,
            token_at: None,
            pause: None,
            rights_missing: vec![],
        }
    }

    #[test]
    fn a_pause_without_an_end_waits_for_somebody_and_one_with_an_end_for_nobody() {
        let pause = |region: &str, until| Pause {
            region: region.to_owned(),
            reason: "Qlik <maintains>".to_owned(),
            since: now() - TimeDelta::hours(3),
            until,
        };
        let ends = Some(now() + TimeDelta::hours(1));

        let open = shown(&Brakes { pauses: &[pause("*", None), pause("us", None)], ..NOTHING });
        let ending = shown(&Brakes { pauses: &[pause("*", ends), pause("us", ends)], ..NOTHING });

        for part in [
            "The fleet is paused",
            "Region us is paused",
            "3h ago",
            "Qlik &lt;maintains&gt;",
            "<code>tenantd fleet resume</code> ends it.",
            "<code>tenantd fleet resume --region us</code> ends it.",
        ] {
            assert!(open.contains(part), "{part} is missing in {open}");
        }
        assert_eq!(ending, "");
    }

    #[test]
    fn tenants_that_are_paused_by_themselves_wait_for_somebody() {
        let paused = |tenants, are_more| {
            shown(&Brakes { paused: Paused { tenants, are_more, since: Some(now()) }, ..NOTHING })
        };

        assert!(paused(1, false).contains("<strong>1 tenant that is not ready is paused</strong>"));
        let several = paused(1_000, true);
        assert!(
            several.contains("<strong>more than 1,000 tenants that are not ready are paused"),
            "{several}"
        );
        assert!(several.contains("filter=paused%3Ayes+ready%3Ano+parked%3Ano"), "{several}");
        assert!(several.contains("<code>tenantd tenant resume</code> ends it."), "{several}");
    }

    #[test]
    fn somebody_is_told_when_a_tenant_is_due_for_longer_than_a_burst() {
        let due = |seconds| Brakes { oldest_due: Duration::from_secs(seconds), ..NOTHING };
        let late = due(12 * 60);

        assert_eq!(shown(&due(MOST_DUE.as_secs())), "");
        assert!(shown(&late).contains("A tenant has been due for 12 min"), "{}", shown(&late));
        assert!(shown(&late).contains("12m ago"), "{}", shown(&late));
        assert_eq!(shown(&Brakes { is_anybody_at_work: true, ..due(60 * 60) }), "");
        let busy = shown(&Brakes { is_anybody_at_work: true, ..due(61 * 60) });
        assert!(
            busy.contains("due for 1 h 1 min") && busy.contains("Daemons are at work on others"),
            "{busy}"
        );
        let open = [region(Some(now()))];
        let told = shown(&Brakes { regions: &open, ..late });
        assert!(told.contains("is refused") && !told.contains("has been due"), "{told}");
    }

    #[test]
    fn who_waits_for_a_right_is_looked_for_in_its_region() {
        let right = MissingRight {
            region: "us".to_owned(),
            effect: "trust".to_owned(),
            waiting: 1,
            since: now(),
            answer: "403".to_owned(),
            is_over: false,
        };
        let told = shown(&Brakes {
            regions: &[RegionStatus { rights_missing: vec![right], ..region(None) }],
            ..NOTHING
        });

        assert!(told.contains("1 tenant waits for it"), "{told}");
        assert!(told.contains("filter=reason%3ARightMissing+parked%3Ano+region%3Aus"), "{told}");
    }

    #[test]
    fn a_rollout_that_halted_without_a_word_says_what_to_do() {
        let rollout = |message: Option<&str>| RolloutStatus {
            kind: "repair".to_owned(),
            stage: "halted".to_owned(),
            since: now(),
            message: message.map(str::to_owned),
            spent: 0,
        };
        for message in [None, Some("")] {
            let told = shown(&Brakes { rollouts: &[rollout(message)], ..NOTHING });
            assert!(told.contains("<code>tenantd fleet resume --rollout repair</code>"), "{told}");
        }
        assert!(shown(&Brakes { rollouts: &[rollout(Some("read it"))], ..NOTHING }).contains("Read it."));
    }
}
