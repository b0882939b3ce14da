//! What keeps a tenant from being claimed.
//!
//! The rule: **no blocker means that the next claim takes the row and goes on with it, and the
//! other way round.** A row that a claim takes only to look at it, because somebody woke it for
//! nothing, has one.

use chrono::{DateTime, Utc};

use super::awaited::Awaited;
use super::facts::{Facts, Fleet, Pause};
use crate::domain::place::Hold;

/// What keeps a row from being claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockerKind {
    /// It waits for somebody to act.
    Parked,
    /// Its removal waits for the budget.
    AwaitingBudget,
    /// Its removal waits until an operator agrees to deletions.
    DeletionsHeld,
    /// It waits until an operator says that this is the real database.
    ChangesHeld,
    /// Nothing is to be done.
    NothingDue,
    /// Its `not_before` has not come.
    NotBefore,
    /// It rests until its `due_at`, or until its backoff is over.
    NotDue,
    /// Somebody works on it.
    Working,
    /// It was not woken yet since the database came out of a backup.
    Rejoining,
    /// It is paused.
    Paused,
    /// Its region is paused.
    RegionPaused,
    /// The fleet is paused.
    FleetPaused,
    /// Its region's credential is refused.
    BreakerOpen,
    /// Its region is no longer in the configuration.
    RegionNotConfigured,
    /// Its phase is of a newer version.
    UnknownPhase,
}

/// One of the things that keep a row from being claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Which.
    pub kind: BlockerKind,
    /// Since when, where that is known.
    pub since: Option<DateTime<Utc>>,
    /// When it ends by itself, where it does.
    pub until: Option<DateTime<Utc>>,
    /// The operator's reason, the region, or what the row waits for.
    pub detail: Option<String>,
}

impl BlockerKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Parked,
        Self::AwaitingBudget,
        Self::DeletionsHeld,
        Self::ChangesHeld,
        Self::NothingDue,
        Self::NotBefore,
        Self::NotDue,
        Self::Working,
        Self::Rejoining,
        Self::Paused,
        Self::RegionPaused,
        Self::FleetPaused,
        Self::BreakerOpen,
        Self::RegionNotConfigured,
        Self::UnknownPhase,
    ];

    /// The spelling in JSON and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "Parked",
            Self::AwaitingBudget => "AwaitingBudget",
            Self::DeletionsHeld => "DeletionsHeld",
            Self::ChangesHeld => "ChangesHeld",
            Self::NothingDue => "NothingDue",
            Self::NotBefore => "NotBefore",
            Self::NotDue => "NotDue",
            Self::Working => "Working",
            Self::Rejoining => "Rejoining",
            Self::Paused => "Paused",
            Self::RegionPaused => "RegionPaused",
            Self::FleetPaused => "FleetPaused",
            Self::BreakerOpen => "BreakerOpen",
            Self::RegionNotConfigured => "RegionNotConfigured",
            Self::UnknownPhase => "UnknownPhase",
        }
    }
}

impl Facts {
    /// Everything that keeps the row from being claimed, in the order in which it is worth
    /// reading: first what a human must end.
    #[must_use]
    pub fn blockers(&self) -> Vec<Blocker> {
        let allowed = self.fleet.region_of(&self.row).unwrap_or_default();
        // Where it stands, and where its next claim would sort it.
        let regions: Vec<&str> =
            [self.row.region.as_str(), &allowed].into_iter().filter(|region| !region.is_empty()).collect();
        let on_the_row =
            [self.rest(), self.pause(), self.lease(), self.rejoin(), self.phase_of_a_newer_version()];
        let on_the_region =
            [self.region(), self.breaker(&regions), self.region_pause(&regions), self.fleet_pause()];
        on_the_row.into_iter().chain(on_the_region).flatten().collect()
    }

    /// The first of what the row itself waits for, apart from its pause.
    fn rest(&self) -> Option<Blocker> {
        let (row, waits) = (&self.row, self.row.waits());
        let awaited = waits.all(self.now).find(|awaited| !matches!(awaited, Awaited::Pause(_)));
        let (kind, until) = match (awaited, row.due) {
            (Some(Awaited::Somebody), _) => (BlockerKind::Parked, None),
            (Some(Awaited::Budget), _) => (self.fleet.awaits_budget(), None),
            (Some(Awaited::Start(instant)), due) => (BlockerKind::NotBefore, due.map(|due| due.max(instant))),
            (Some(Awaited::Backoff(when)), Some(due)) => {
                (BlockerKind::NotDue, Some(due.max(when.at(self.now))))
            }
            (Some(Awaited::Pause(_)) | None, Some(due)) if due <= self.now => return None,
            // The end of the pause wakes it.
            _ if self.pause().is_some() => return None,
            (Some(Awaited::Pause(_)) | None, Some(due)) => (BlockerKind::NotDue, Some(due)),
            (Some(Awaited::Backoff(_) | Awaited::Pause(_)) | None, None) => (BlockerKind::NothingDue, None),
        };
        let reason = row.parked_reason.as_ref().or(row.wait_reason.as_ref());
        let detail = match (reason, &row.message) {
            (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
            (reason, message) => reason.or(message.as_ref()).cloned(),
        };
        Some(Blocker { kind, since: Some(row.reason_since), until, detail })
    }

    fn pause(&self) -> Option<Blocker> {
        let pause = self.row.pause.as_ref().filter(|pause| pause.is_in_effect(self.now))?;
        Some(paused(BlockerKind::Paused, pause, pause.reason.clone()))
    }

    fn lease(&self) -> Option<Blocker> {
        self.row.lease_in_effect(self.now).map(|lease| Blocker {
            kind: BlockerKind::Working,
            since: Some(lease.since),
            until: Some(lease.ends()),
            detail: Some(lease.holder.clone()),
        })
    }

    fn rejoin(&self) -> Option<Blocker> {
        self.is_rejoining().then_some(Blocker {
            kind: BlockerKind::Rejoining,
            since: self.fleet.rejoined,
            until: None,
            detail: None,
        })
    }

    fn phase_of_a_newer_version(&self) -> Option<Blocker> {
        self.row.known_phase().is_none().then(|| Blocker {
            kind: BlockerKind::UnknownPhase,
            since: Some(self.row.reason_since),
            until: None,
            detail: Some(self.row.phase.clone()),
        })
    }

    fn region(&self) -> Option<Blocker> {
        let region = &self.row.region;
        (!self.fleet.is_configured(region)).then(|| Blocker {
            kind: BlockerKind::RegionNotConfigured,
            since: None,
            until: None,
            detail: Some(region.clone()),
        })
    }

    /// The one that has been open longest.
    fn breaker(&self, regions: &[&str]) -> Option<Blocker> {
        let of_them = self.fleet.breakers.iter().filter(|breaker| regions.contains(&breaker.region.as_str()));
        of_them.min_by_key(|breaker| breaker.opened).map(|breaker| Blocker {
            kind: BlockerKind::BreakerOpen,
            since: Some(breaker.opened),
            until: None,
            detail: Some(breaker.region.clone()),
        })
    }

    /// The one that ends last.
    fn region_pause(&self, regions: &[&str]) -> Option<Blocker> {
        let pauses = self.fleet.pauses_of(regions, self.now);
        let (region, pause) = pauses.max_by_key(|(_, pause)| (pause.until.is_none(), pause.until))?;
        Some(paused(BlockerKind::RegionPaused, pause, format!("{region}: {}", pause.reason)))
    }

    fn fleet_pause(&self) -> Option<Blocker> {
        let (_, pause) = self.fleet.pauses_of(&[Fleet::ALL], self.now).next()?;
        Some(paused(BlockerKind::FleetPaused, pause, pause.reason.clone()))
    }
}

impl Fleet {
    /// What a removal waits for that was not let through.
    fn awaits_budget(&self) -> BlockerKind {
        match self.hold {
            None => BlockerKind::AwaitingBudget,
            Some(Hold::Deletions) => BlockerKind::DeletionsHeld,
            Some(Hold::Changes) => BlockerKind::ChangesHeld,
        }
    }
}

fn paused(kind: BlockerKind, pause: &Pause, detail: String) -> Blocker {
    Blocker { kind, since: Some(pause.since), until: pause.until, detail: Some(detail) }
}
