//! Where a tenant stands, what is next, and what keeps it, in words.
//!
//! The rule: the core says what keeps it ([`crate::domain::waiting`]), and this file only puts
//! that into words.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::rollout::Bounds;
use crate::domain::tenant::Unanswered;
use crate::domain::text::count;
use crate::domain::waiting::{Blocker, BlockerKind, looks_first};
use crate::postgres::operator::explain::Explained;
use crate::postgres::operator::fleet::Removals;
use crate::postgres::operator::tenants::Status;
use crate::postgres::work::claim::ClaimTerms;
use crate::postgres::{Store, StoreError};

/// Why a tenant stands where it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    /// The pipeline's key.
    pub external_id: String,
    /// How far it is.
    pub phase: String,
    /// Whether it has a proven current credential.
    pub ready: bool,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// The reason in words.
    pub message: Option<String>,
    /// What a daemon does when it takes the tenant.
    pub next: String,
    /// When that can be; none where somebody must end what stands in its way.
    pub next_at: Option<DateTime<Utc>>,
    /// What keeps a daemon from it now.
    pub blockers: Vec<BlockerShown>,
}

/// One thing that keeps a daemon from a tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BlockerShown {
    /// Which.
    pub blocker: &'static str,
    /// Since when, where that is known.
    pub since: Option<DateTime<Utc>>,
    /// When it ends by itself, where it does.
    pub until: Option<DateTime<Utc>>,
    /// What it is, and what ends it.
    pub message: String,
    /// Of the pause of a region: which, for whoever words the command that ends it.
    #[serde(skip)]
    pub region: Option<String>,
}

impl Explanation {
    /// Judges a tenant by the conditions of a claim with these terms. `None` where its row
    /// is gone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn of(
        status: &Status,
        terms: &ClaimTerms,
        bounds: &Bounds,
        store: &Store,
    ) -> Result<Option<Self>, StoreError> {
        let Some(explained) = store.explain(&status.external_id, terms).await? else { return Ok(None) };
        let places = Places::of(&store.removals().await?, bounds, &explained);
        let blockers = explained.blockers();
        Ok(Some(Self {
            next: next(&explained),
            next_at: next_at(&blockers, explained.facts.now),
            blockers: blockers.iter().map(|blocker| shown(blocker, &places)).collect(),
            external_id: status.external_id.clone(),
            phase: explained.facts.row.phase,
            ready: status.ready,
            reason: status.reason.clone(),
            message: status.message.clone(),
        }))
    }
}

/// What a removal that waits for the budget waits for.
struct Places {
    spent: i64,
    limit: i64,
    ahead: i64,
}

impl Places {
    fn of(removals: &Removals, bounds: &Bounds, explained: &Explained) -> Self {
        Self {
            spent: removals.spent,
            limit: removals.limit(bounds.removals_per_hour),
            ahead: explained.removals_ahead,
        }
    }
}

/// When everything in its way has ended by itself; `None` where something does not.
fn next_at(blockers: &[Blocker], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    blockers.iter().try_fold(now, |latest, blocker| Some(latest.max(blocker.until?)))
}

fn shown(blocker: &Blocker, places: &Places) -> BlockerShown {
    BlockerShown {
        blocker: blocker.kind.as_str(),
        since: blocker.since,
        until: blocker.until,
        message: words(blocker, places),
        region: paused_region(blocker),
    }
}

/// A region's name has no colon, and stands before the operator's reason.
fn paused_region(blocker: &Blocker) -> Option<String> {
    let detail = blocker.detail.as_deref().filter(|_| blocker.kind == BlockerKind::RegionPaused)?;
    detail.split_once(": ").map(|(region, _)| region.to_owned())
}

fn words(blocker: &Blocker, places: &Places) -> String {
    let detail = blocker.detail.as_deref().unwrap_or_default();
    match blocker.kind {
        BlockerKind::Parked => format!("it waits for somebody: {detail}; `tenantd tenant retry` un-parks it"),
        BlockerKind::AwaitingBudget => format!(
            "its removal waits for [budget] removals_per_hour: {} of {} let through in the last hour, {} before it",
            places.spent,
            places.limit,
            count(places.ahead, "removal")
        ),
        BlockerKind::DeletionsHeld => {
            "its removal waits until an operator has read `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`".to_owned()
        }
        BlockerKind::ChangesHeld => {
            "this may be a copy of the real database: it waits until an operator has said otherwise, with `tenantd rejoin --confirm`".to_owned()
        }
        BlockerKind::NothingDue => "nothing is to be done".to_owned(),
        BlockerKind::NotBefore => "its not_before has not come".to_owned(),
        BlockerKind::NotDue if detail.is_empty() => "it is not due yet".to_owned(),
        BlockerKind::NotDue => format!("it rests: {detail}"),
        BlockerKind::Working => format!("{detail} holds its lease, renewed while it works"),
        BlockerKind::Rejoining => {
            "the database came out of a backup, and this tenant has not been woken since; `tenantd rejoin --status` tells how far that is".to_owned()
        }
        BlockerKind::Paused => format!("paused by an operator: {detail}; `tenantd tenant resume` ends it"),
        BlockerKind::RegionPaused => {
            let region = paused_region(blocker).unwrap_or_else(|| "REGION".to_owned());
            format!(
                "its region is paused by an operator: {detail}; `tenantd fleet resume --region {region}` ends it"
            )
        }
        BlockerKind::FleetPaused => {
            format!("the fleet is paused by an operator: {detail}; `tenantd fleet resume` ends it")
        }
        BlockerKind::BreakerOpen => format!(
            "the credential of region {detail} is refused: correct it and reload, or restart where the daemon has a copy; `tenantd doctor` tests it"
        ),
        BlockerKind::RegionNotConfigured => {
            format!("its region {detail} is not in this configuration; daemons sort it anew at the next reload or start, or within the hour")
        }
        BlockerKind::UnknownPhase => format!("phase {detail} is of a newer version"),
    }
}

/// What a daemon does when it takes the tenant.
fn next(explained: &Explained) -> String {
    let (row, fleet) = (&explained.facts.row, &explained.facts.fleet);
    let Some(phase) = row.known_phase() else {
        return "a newer version knows".to_owned();
    };
    if phase == Phase::Removed {
        return if row.recheck.is_some() {
            "looks once more for a client of ours".to_owned()
        } else {
            "nothing: delete the row, or set desired_state to present for a new life".to_owned()
        };
    }
    if !row.is_present || phase == Phase::Removing {
        return removal(explained);
    }
    match phase {
        Phase::Pending if fleet.region_of(row).is_none() => {
            "is parked as HostNotAllowed: no region allows its host".to_owned()
        }
        Phase::Pending if !fleet.has_profile_of(row) => {
            format!("is parked as UnknownProfile: there is no [profiles.{}]", row.profile)
        }
        Phase::Pending if looks_first(row, fleet) => {
            "looks for an earlier client of ours, then creates one".to_owned()
        }
        Phase::Pending => "creates its client".to_owned(),
        Phase::Creating => creation(explained),
        Phase::Created => "sets the client's consent to trusted".to_owned(),
        Phase::Trusted => "gets a token with the new credential".to_owned(),
        Phase::Ready => upkeep(explained),
        Phase::Rotating => format!("mints the secret of version {}", explained.next_version()),
        Phase::Proving => {
            format!("gets a token with the new secret, which becomes version {}", explained.next_version())
        }
        Phase::Removing | Phase::Removed => removal(explained),
    }
}

fn creation(explained: &Explained) -> String {
    match (&explained.client_id, explained.facts.row.unanswered) {
        (None, Some(Unanswered::Create | Unanswered::Mint)) => {
            "looks whether the create that went unanswered made its client".to_owned()
        }
        (None, None) => "looks for a client of ours, adopts it or creates one".to_owned(),
        (Some(_), _) => "mints a secret for its client".to_owned(),
    }
}

fn removal(explained: &Explained) -> String {
    let held = match explained.facts.fleet.hold {
        None => "",
        Some(Hold::Deletions) => ", once deletions at Qlik are no longer held",
        Some(Hold::Changes) => ", once somebody has said that this is the real database",
    };
    match &explained.client_id {
        Some(client) => {
            format!("deletes client {client}, its tokens and its bot user, and shreds its secrets{held}")
        }
        None => format!("looks for a client of ours to delete{held}"),
    }
}

/// The first of what a ready tenant is planned for.
fn upkeep(explained: &Explained) -> String {
    let row = &explained.facts.row;
    if row.must_look || explained.is_edited || explained.repair.is_some() {
        return "compares the client with Qlik and applies what was changed".to_owned();
    }
    if explained.versions.is_another_asked_for() {
        return format!("rotates its secret to version {}", explained.next_version());
    }
    let planned = [
        (row.recheck, "looks for a second client of ours"),
        (explained.retire_at, "deletes the previous secret"),
        (explained.audit_at, "compares the client with Qlik"),
    ];
    let first = planned.into_iter().filter_map(|(at, what)| Some((at?, what))).min();
    first.map_or_else(|| "nothing is planned".to_owned(), |(_, what)| what.to_owned())
}
