//! What is known of a tenant, and of the fleet around it, when somebody asks what it waits for.
//!
//! The rule: raw, as it was read, all of it at one instant. Nothing here is judged but what a
//! name says.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::awaited::Waits;
use crate::domain::host::Host;
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::region::RegionMap;
use crate::domain::tenant::Unanswered;
use crate::domain::when::When;

/// A tenant and its fleet at one instant.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The instant, by the database's clock.
    pub now: DateTime<Utc>,
    /// The tenant.
    pub row: Row,
    /// Its fleet.
    pub fleet: Fleet,
}

/// What a row says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its phase, in the words of whichever version wrote it.
    pub phase: String,
    /// It should have a credential.
    pub is_present: bool,
    /// Its removal was let through.
    pub is_admitted: bool,
    /// Its host.
    pub host: String,
    /// The region that it was sorted into; empty before its first claim.
    pub region: String,
    /// Its profile.
    pub profile: String,
    /// When somebody should go on.
    pub due: Option<DateTime<Utc>>,
    /// Nothing is sent before.
    pub not_before: Option<DateTime<Utc>>,
    /// Until then it waits after what Qlik answered.
    pub backoff: Option<DateTime<Utc>>,
    /// Its own pause, also one that is over.
    pub pause: Option<Pause>,
    /// Its lease, also one that ran out.
    pub lease: Option<Lease>,
    /// Of its last claim; zero where nobody ever claimed it.
    pub lease_epoch: i64,
    /// The rejoin since which it is believed.
    pub rejoin_epoch: i32,
    /// Why it rests.
    pub wait_reason: Option<String>,
    /// Why it waits for somebody to act.
    pub parked_reason: Option<String>,
    /// The same in words.
    pub message: Option<String>,
    /// Since when it stands so.
    pub reason_since: DateTime<Utc>,
    /// A request that may have been sent.
    pub unanswered: Option<Unanswered>,
    /// Until then that may still land.
    pub settles: Option<DateTime<Utc>>,
    /// When to look for a second client of ours.
    pub recheck: Option<DateTime<Utc>>,
    /// What the row says of Qlik may be out of date.
    pub must_look: bool,
    /// The number of the secret that serves.
    pub version: Option<i32>,
}

/// A pause, of a tenant, a region or the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A lease on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose.
    pub holder: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it runs out, by the row.
    pub expires: DateTime<Utc>,
    /// When it does by what stands beside the row, because somebody had that locked.
    pub extended: Option<DateTime<Utc>>,
}

/// What decides for more than one tenant.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The configuration of whoever asks; `None` where nobody's counts.
    pub configured: Option<Configured>,
    /// The breakers that are open.
    pub breakers: Vec<Breaker>,
    /// Pauses by region, and by [`Fleet::ALL`]; also those that are over.
    pub pauses: Vec<(String, Pause)>,
    /// What may not be done at Qlik until an operator has said so.
    pub hold: Option<Hold>,
    /// When the database was last taken for a restored one.
    pub rejoined: Option<DateTime<Utc>>,
    /// How many times it was.
    pub rejoin_epoch: i32,
}

/// The breaker of a region, while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Of which.
    pub region: String,
    /// Since when.
    pub opened: DateTime<Utc>,
    /// When the next of its tenants is probed.
    pub probe: Option<DateTime<Utc>>,
}

/// What a daemon's configuration says.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// Which regions there are, and whose hosts are whose.
    pub regions: RegionMap,
    /// Which profiles there are.
    pub profiles: Vec<String>,
    /// How long an unanswered request may still land.
    pub settle: Duration,
}

impl Facts {
    /// Whether the row was worked on before the last rejoin, and its slice is not through yet.
    #[must_use]
    pub fn is_rejoining(&self) -> bool {
        self.row.rejoin_epoch != self.fleet.rejoin_epoch && self.row.lease_epoch != 0
    }
}

impl Row {
    /// Its phase, if this version knows it.
    #[must_use]
    pub fn known_phase(&self) -> Option<Phase> {
        Phase::parse(&self.phase)
    }

    /// Whatever decides what it waits for before anything else is asked.
    #[must_use]
    pub fn waits(&self) -> Waits {
        Waits {
            phase: self.known_phase(),
            is_present: self.is_present,
            is_admitted: self.is_admitted,
            is_parked: self.parked_reason.is_some(),
            paused: self.pause.as_ref().map(|pause| pause.until),
            not_before: self.not_before,
            backoff: self.backoff.map(When::At),
        }
    }

    /// There is a proven credential, and there should be one.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.version.is_some() && self.is_present && self.known_phase() != Some(Phase::Removing)
    }

    /// The lease of whoever works on it now.
    #[must_use]
    pub fn lease_in_effect(&self, now: DateTime<Utc>) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.ends() > now)
    }
}

impl Pause {
    /// Whether it is not over.
    #[must_use]
    pub fn is_in_effect(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl Lease {
    /// When nobody works under it any more that lives.
    #[must_use]
    pub fn ends(&self) -> DateTime<Utc> {
        self.extended.map_or(self.expires, |extended| extended.max(self.expires))
    }
}

impl Fleet {
    /// What stands for the whole fleet where a region is named.
    pub const ALL: &str = "*";

    /// Whether work may be claimed of this region.
    #[must_use]
    pub fn is_open(&self, region: &str, now: DateTime<Utc>) -> bool {
        self.is_configured(region)
            && self.breakers.iter().all(|breaker| breaker.region != region)
            && self.pauses_of(&[region, Self::ALL], now).next().is_none()
    }

    /// Whether there is such a region, or none is named.
    #[must_use]
    pub fn is_configured(&self, region: &str) -> bool {
        let Some(configured) = &self.configured else { return true };
        region.is_empty() || configured.regions.patterns().any(|(_, known)| known.as_str() == region)
    }

    /// The pauses in effect of any of these regions.
    pub fn pauses_of(&self, regions: &[&str], now: DateTime<Utc>) -> impl Iterator<Item = &(String, Pause)> {
        self.pauses
            .iter()
            .filter(move |(region, pause)| regions.contains(&region.as_str()) && pause.is_in_effect(now))
    }

    /// The region whose pattern allows this row's host.
    #[must_use]
    pub fn region_of(&self, row: &Row) -> Option<String> {
        let host = Host::parse(&row.host).ok()?;
        Some(self.configured.as_ref()?.regions.allow(&host)?.region().to_string())
    }

    /// Whether the row's profile is there.
    #[must_use]
    pub fn has_profile_of(&self, row: &Row) -> bool {
        self.configured.as_ref().is_none_or(|configured| configured.profiles.contains(&row.profile))
    }
}
