//! What a claim makes of a row.
//!
//! The rule: **a claim writes an intent only where the core would go on with it at once**, and
//! never on a host, a profile or a region that does not allow it. What it says in SQL
//! (`postgres/work/claim.rs`) is held to this by a test.

use chrono::{DateTime, Utc};

use super::facts::{Facts, Fleet, Row};
use crate::domain::phase::Phase;
use crate::domain::tenant::Unanswered;
use crate::domain::when::When;

/// A row as a claim leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Where it is sorted; empty where no region allows its host.
    pub region: String,
    /// It was leased. If not it was only sorted, into a region that is closed.
    pub is_leased: bool,
    /// It was leased to be looked at: what it waits for is not over.
    pub is_resting: bool,
    /// `creating` and `removing` are intents.
    pub phase: Phase,
    /// An intent to create is one to send it, where nothing is to be looked at before.
    pub unanswered: Option<Unanswered>,
    /// Whoever takes over lets it settle.
    pub settles: Option<DateTime<Utc>>,
    /// And looks once more.
    pub recheck: Option<DateTime<Utc>>,
    /// What may go now goes, whatever stood in its way.
    pub backoff: Option<DateTime<Utc>>,
}

/// What a claim sets out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intent {
    /// What the row says.
    None,
    /// A create may be sent.
    Create,
    /// The client may be deleted: this life ends in removed.
    Remove,
}

/// Whether there may be a client that the row does not know. Ever since a restore there may be
/// clients of rows that the backup did not know.
#[must_use]
pub fn looks_first(row: &Row, fleet: &Fleet) -> bool {
    row.must_look || fleet.rejoined.is_some()
}

impl Facts {
    /// What the next claim makes of the row; `None` where it passes it by.
    #[must_use]
    pub fn taken(&self) -> Option<Taken> {
        let (row, fleet, now) = (&self.row, &self.fleet, self.now);
        let phase = row.known_phase()?;
        let is_free = row.due.is_some_and(|due| due <= now) && row.lease_in_effect(now).is_none();
        if !is_free || self.is_rejoining() || !fleet.is_open(&row.region, now) {
            return None;
        }
        let allowed = fleet.region_of(row);
        let intent = self.intent(phase, allowed.as_deref());
        // What was sent on the word of what the database forgot may still land.
        let settled = fleet.rejoined.map(|rejoined| self.settled(rejoined)).filter(|settled| *settled > now);
        let (unanswered, settles) = match (intent, settled) {
            (Intent::Create, Some(settled)) => (Some(Unanswered::Create), Some(settled)),
            (Intent::Create, None) => {
                (if looks_first(row, fleet) { row.unanswered } else { Some(Unanswered::Create) }, row.settles)
            }
            // A removal deletes the client, and with it what a mint made.
            (Intent::Remove, _) if row.unanswered == Some(Unanswered::Mint) => (None, None),
            (Intent::None | Intent::Remove, _) => (row.unanswered, self.taken_over().or(row.settles)),
        };
        let recheck = match (intent, settled) {
            (Intent::Create, Some(settled)) => row.recheck.max(Some(self.settled(settled))),
            (Intent::None | Intent::Create | Intent::Remove, _)
                if row.lease.is_some() && row.unanswered == Some(Unanswered::Create) =>
            {
                row.recheck.max(Some(self.settled(self.settled(now))))
            }
            (Intent::None | Intent::Create | Intent::Remove, _) => row.recheck,
        };
        let begins_to_go = intent == Intent::Remove && phase != Phase::Removing;
        let is_leased = allowed.as_deref().is_none_or(|region| fleet.is_open(region, now));
        Some(Taken {
            is_leased,
            is_resting: is_leased && row.waits().first(now).is_some(),
            region: allowed.unwrap_or_default(),
            phase: match intent {
                Intent::None => phase,
                Intent::Create => Phase::Creating,
                Intent::Remove => Phase::Removing,
            },
            unanswered,
            settles,
            recheck,
            backoff: row.backoff.filter(|_| !begins_to_go),
        })
    }

    fn intent(&self, phase: Phase, allowed: Option<&str>) -> Intent {
        let row = &self.row;
        let is_held_up = row.waits().first(self.now).is_some()
            || !allowed.is_some_and(|region| self.fleet.is_open(region, self.now));
        match phase {
            Phase::Pending if row.is_present && !is_held_up && self.fleet.has_profile_of(row) => {
                Intent::Create
            }
            Phase::Pending | Phase::Removed => Intent::None,
            Phase::Creating
            | Phase::Created
            | Phase::Trusted
            | Phase::Ready
            | Phase::Rotating
            | Phase::Proving
            | Phase::Removing => {
                if row.is_present || is_held_up {
                    Intent::None
                } else {
                    Intent::Remove
                }
            }
        }
    }

    /// Whoever takes over a row with an unanswered request lets it settle from the moment the
    /// dead holder's lease ran out. An extension makes nothing certain, and counts for nothing.
    fn taken_over(&self) -> Option<DateTime<Utc>> {
        let (row, lease) = (&self.row, self.row.lease.as_ref()?);
        row.unanswered.map(|_| row.settles.unwrap_or(self.settled(lease.expires)))
    }

    fn settled(&self, since: DateTime<Utc>) -> DateTime<Utc> {
        let settle = self.fleet.configured.as_ref().map(|configured| configured.settle).unwrap_or_default();
        When::After(settle).at(since)
    }
}
