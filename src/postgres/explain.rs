//! Why a row is not claimed: each condition of the claim, judged on one row.
//!
//! The rule: **no blocker means that the next claim takes the row, and the other way
//! round.** The conditions stand twice, here and in [`super::claim`], because only the
//! claim's own form is served by its index; a test holds the two against each other.

use chrono::{DateTime, Utc};

use super::claim::ClaimTerms;
use super::{Store, StoreError};
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::wants::{self, WantsDigest};

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
    /// It rests until its `due_at`.
    NotDue,
    /// Somebody works on it.
    Working,
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

/// A row, what it waits for, and what it is due for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "columns, as they are")]
pub struct Explained {
    /// Its phase.
    pub phase: String,
    /// When it is due.
    pub due_at: Option<DateTime<Utc>>,
    /// Which region's pattern allows its host.
    pub allowed_region: Option<String>,
    /// Its profile.
    pub profile: String,
    /// Whether the configuration has that profile.
    pub is_profile_known: bool,
    /// Whether it should have no client.
    pub is_unwanted: bool,
    /// How many removals wait before this one.
    pub removals_ahead: i64,
    /// Its client.
    pub client_id: Option<String>,
    /// A request may have been sent: `create` or `mint`.
    pub unanswered: Option<String>,
    /// It is looked for before anything is done.
    pub must_look: bool,
    /// The version that the next secret gets.
    pub next_version: i32,
    /// Its owner, or its age, asks for another secret.
    pub is_rotation_due: bool,
    /// The version that serves.
    pub current_version: Option<i32>,
    /// When it is looked at for a second client of ours.
    pub recheck_at: Option<DateTime<Utc>>,
    /// When it is compared with Qlik.
    pub audit_at: Option<DateTime<Utc>>,
    /// When a previous secret is deleted.
    pub retire_at: Option<DateTime<Utc>>,
    /// The owner's edit, or a repair, is to be applied.
    pub is_change_due: bool,
    /// What waits for an operator since the database was last recognised.
    pub hold: Option<Hold>,
    /// What keeps it from being claimed now.
    pub blockers: Vec<Blocker>,
}

impl BlockerKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Parked,
        Self::AwaitingBudget,
        Self::DeletionsHeld,
        Self::ChangesHeld,
        Self::NothingDue,
        Self::NotBefore,
        Self::NotDue,
        Self::Working,
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
            Self::Paused => "Paused",
            Self::RegionPaused => "RegionPaused",
            Self::FleetPaused => "FleetPaused",
            Self::BreakerOpen => "BreakerOpen",
            Self::RegionNotConfigured => "RegionNotConfigured",
            Self::UnknownPhase => "UnknownPhase",
        }
    }
}

impl Store {
    /// Judges a row by the conditions of a claim with these terms. `None` where there is
    /// no such tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[expect(clippy::too_many_lines, reason = "one statement, and its columns")]
    pub async fn explain(
        &self,
        external_id: &str,
        terms: &ClaimTerms,
    ) -> Result<Option<Explained>, StoreError> {
        let (patterns, pattern_regions) = terms.patterns();
        let row = sqlx::query_as!(
            Row,
            r#"
            -- tenants.explain
            SELECT t.phase, t.region, t.profile, t.client_id, t.unanswered, t.must_look,
                   t.current_version,
                   greatest(t.desired_version, last.version + (last.version < 2147483647)::integer,
                            (SELECT i.version_floor FROM tenantd.installation AS i)) AS "next_version!",
                   coalesce(t.desired_version > coalesce(t.served_version, t.current_version)
                            OR t.aged_version = t.current_version, false) AS "is_rotation_due!",
                   t.recheck_at, t.audit_at, t.retire_at,
                   t.client_name, t.redirect_uris, t.applied_wants, t.edited_at IS NOT NULL AS "is_edit_noted!",
                   t.repair_scope IS NOT NULL AS "is_repair_due!",
                   t.profile = ANY ($5::text[]) AS "is_profile_known!",
                   t.desired_state = 'absent' AS "is_unwanted!",
                   (SELECT CASE WHEN i.changes_held_at IS NOT NULL THEN 'changes'
                                WHEN i.deletions_held_at IS NOT NULL THEN 'deletions' END
                      FROM tenantd.installation AS i) AS hold,
                   matched.region AS "allowed_region?",
                   -- closed, in the words of the claim
                   t.region = '' OR t.region = ANY ($2::text[]) AS "is_configured!",
                   breaker.region AS "breaker_region?", breaker.opened_at AS "breaker_opened_at?",
                   fleet.reason AS "fleet_reason?", fleet.paused_at AS "fleet_paused_at?",
                   fleet.paused_until AS "fleet_paused_until?",
                   paused.region AS "paused_region?", paused.reason AS "region_reason?",
                   paused.paused_at AS "region_paused_at?", paused.paused_until AS "region_paused_until?",
                   -- due
                   t.due_at, coalesce(t.due_at <= tenantd.clock(), false) AS "is_due!",
                   t.phase = 'pending' AND coalesce(t.not_before > tenantd.clock(), false) AS "is_early!",
                   t.not_before,
                   t.parked_reason, t.wait_reason, t.message, t.reason_since,
                   t.desired_state = 'absent' AND t.removal_admitted_at IS NULL
                       AND t.phase NOT IN ('removing', 'removed') AS "awaits_budget!",
                   CASE WHEN t.desired_state = 'absent' THEN
                   (SELECT count(*) FROM tenantd.tenants AS a
                     WHERE a.desired_state = 'absent' AND a.removal_admitted_at IS NULL
                       AND a.phase NOT IN ('removing', 'removed')
                       AND a.turned_at < t.turned_at) ELSE 0 END AS "removals_ahead!",
                   t.phase = ANY ($6::text[]) AS "is_phase_known!",
                   NOT coalesce(t.paused_at IS NULL OR t.paused_until <= tenantd.clock(), false) AS "is_paused!",
                   t.paused_at, t.paused_until, t.pause_reason,
                   NOT coalesce(t.lease_expires_at IS NULL
                                OR t.lease_expires_at <= tenantd.clock()
                                   AND NOT tenantd.is_lease_extended(t.tenant_id, t.lease_epoch), false)
                       AS "is_leased!",
                   t.leased_at,
                   greatest(t.lease_expires_at,
                            (SELECT e.expires_at FROM tenantd.lease_extensions AS e
                              WHERE e.tenant_id = t.tenant_id AND e.lease_epoch = t.lease_epoch))
                       AS lease_expires_at,
                   t.lease_holder
              FROM tenantd.tenants AS t
             CROSS JOIN LATERAL (SELECT greatest(t.last_version, t.current_version) AS version) AS last
              LEFT JOIN LATERAL (
                   SELECT p.region
                     FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS p (pattern, region, place)
                    WHERE p.pattern IN (t.host, '*' || substr(t.host, strpos(t.host, '.')))
                    ORDER BY p.place
                    LIMIT 1) AS matched ON true
              LEFT JOIN LATERAL (
                   SELECT b.region, b.opened_at
                     FROM tenantd.regions AS b
                    WHERE b.region IN (t.region, matched.region) AND b.opened_at IS NOT NULL
                    ORDER BY b.opened_at
                    LIMIT 1) AS breaker ON true
              LEFT JOIN tenantd.pauses AS fleet
                ON fleet.region = '*' AND (fleet.paused_until IS NULL OR fleet.paused_until > tenantd.clock())
              LEFT JOIN LATERAL (
                   SELECT p.region, p.reason, p.paused_at, p.paused_until
                     FROM tenantd.pauses AS p
                    WHERE p.region IN (t.region, matched.region)
                      AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock())
                    ORDER BY p.paused_until DESC NULLS FIRST
                    LIMIT 1) AS paused ON true
             WHERE t.external_id = $1
            "#,
            external_id,
            terms.regions(),
            patterns,
            pattern_regions,
            terms.profiles(),
            &Phase::ALL.map(|phase| phase.as_str().to_owned()) as &[String],
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(row.map(Row::explained))
    }
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "columns, as they are")]
struct Row {
    phase: String,
    region: String,
    profile: String,
    client_id: Option<String>,
    unanswered: Option<String>,
    must_look: bool,
    next_version: i32,
    is_rotation_due: bool,
    current_version: Option<i32>,
    recheck_at: Option<DateTime<Utc>>,
    audit_at: Option<DateTime<Utc>>,
    retire_at: Option<DateTime<Utc>>,
    client_name: Option<String>,
    redirect_uris: Option<Vec<String>>,
    applied_wants: Option<Vec<u8>>,
    is_edit_noted: bool,
    is_repair_due: bool,
    is_profile_known: bool,
    is_unwanted: bool,
    hold: Option<String>,
    allowed_region: Option<String>,
    is_configured: bool,
    breaker_region: Option<String>,
    breaker_opened_at: Option<DateTime<Utc>>,
    fleet_reason: Option<String>,
    fleet_paused_at: Option<DateTime<Utc>>,
    fleet_paused_until: Option<DateTime<Utc>>,
    paused_region: Option<String>,
    region_reason: Option<String>,
    region_paused_at: Option<DateTime<Utc>>,
    region_paused_until: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    is_due: bool,
    is_early: bool,
    not_before: Option<DateTime<Utc>>,
    parked_reason: Option<String>,
    wait_reason: Option<String>,
    message: Option<String>,
    reason_since: DateTime<Utc>,
    awaits_budget: bool,
    removals_ahead: i64,
    is_phase_known: bool,
    is_paused: bool,
    paused_at: Option<DateTime<Utc>>,
    paused_until: Option<DateTime<Utc>>,
    pause_reason: Option<String>,
    is_leased: bool,
    leased_at: Option<DateTime<Utc>>,
    lease_expires_at: Option<DateTime<Utc>>,
    lease_holder: Option<sqlx::types::Uuid>,
}

impl Row {
    fn explained(self) -> Explained {
        let (blockers, hold) = (self.blockers(), self.hold());
        let is_change_due = self.is_repair_due || self.is_edited();
        Explained {
            phase: self.phase,
            due_at: self.due_at,
            allowed_region: self.allowed_region,
            profile: self.profile,
            is_profile_known: self.is_profile_known,
            is_unwanted: self.is_unwanted,
            removals_ahead: self.removals_ahead,
            client_id: self.client_id,
            unanswered: self.unanswered,
            must_look: self.must_look,
            next_version: self.next_version,
            is_rotation_due: self.is_rotation_due,
            current_version: self.current_version,
            recheck_at: self.recheck_at,
            audit_at: self.audit_at,
            retire_at: self.retire_at,
            is_change_due,
            hold,
            blockers,
        }
    }

    fn is_edited(&self) -> bool {
        let wanted =
            WantsDigest::of(&self.profile, self.client_name.as_deref(), self.redirect_uris.as_deref());
        let applied = self.applied_wants.as_deref().and_then(WantsDigest::stored);
        wants::is_edited(applied, self.is_edit_noted, wanted)
    }

    fn hold(&self) -> Option<Hold> {
        self.hold.as_deref().and_then(Hold::parse)
    }

    /// In the order in which they are worth reading: first what a human must end.
    fn blockers(&self) -> Vec<Blocker> {
        let on_the_row = [self.not_due(), self.pause(), self.lease(), self.phase_of_a_newer_version()];
        let on_the_region = [self.region(), self.breaker(), self.region_pause(), self.fleet_pause()];
        on_the_row.into_iter().chain(on_the_region).flatten().collect()
    }

    fn not_due(&self) -> Option<Blocker> {
        let kind = match self.due_at {
            // Also while it is due, for as long as it takes to look.
            _ if self.parked_reason.is_some() => BlockerKind::Parked,
            _ if self.awaits_budget => match self.hold() {
                None => BlockerKind::AwaitingBudget,
                Some(Hold::Deletions) => BlockerKind::DeletionsHeld,
                Some(Hold::Changes) => BlockerKind::ChangesHeld,
            },
            Some(_) if self.is_early => BlockerKind::NotBefore,
            _ if self.is_due || self.is_paused => return None,
            Some(_) => BlockerKind::NotDue,
            None => BlockerKind::NothingDue,
        };
        let reason = self.parked_reason.as_ref().or(self.wait_reason.as_ref());
        let detail = match (reason, &self.message) {
            (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
            (reason, message) => reason.or(message.as_ref()).cloned(),
        };
        let until = match kind {
            BlockerKind::NotBefore => self.not_before.max(self.due_at),
            BlockerKind::NotDue => self.due_at,
            // Somebody ends it.
            BlockerKind::Parked
            | BlockerKind::AwaitingBudget
            | BlockerKind::DeletionsHeld
            | BlockerKind::ChangesHeld
            | BlockerKind::NothingDue
            | BlockerKind::Paused
            | BlockerKind::Working
            | BlockerKind::UnknownPhase
            | BlockerKind::RegionNotConfigured
            | BlockerKind::BreakerOpen
            | BlockerKind::RegionPaused
            | BlockerKind::FleetPaused => None,
        };
        Some(Blocker { kind, since: Some(self.reason_since), until, detail })
    }

    fn pause(&self) -> Option<Blocker> {
        self.is_paused.then(|| Blocker {
            kind: BlockerKind::Paused,
            since: self.paused_at,
            until: self.paused_until,
            detail: self.pause_reason.clone(),
        })
    }

    fn lease(&self) -> Option<Blocker> {
        self.is_leased.then(|| Blocker {
            kind: BlockerKind::Working,
            since: self.leased_at,
            until: self.lease_expires_at,
            detail: self.lease_holder.map(|holder| holder.to_string()),
        })
    }

    fn phase_of_a_newer_version(&self) -> Option<Blocker> {
        (!self.is_phase_known).then(|| Blocker {
            kind: BlockerKind::UnknownPhase,
            since: Some(self.reason_since),
            until: None,
            detail: Some(self.phase.clone()),
        })
    }

    fn region(&self) -> Option<Blocker> {
        (!self.is_configured).then(|| Blocker {
            kind: BlockerKind::RegionNotConfigured,
            since: None,
            until: None,
            detail: Some(self.region.clone()),
        })
    }

    fn breaker(&self) -> Option<Blocker> {
        self.breaker_region.as_ref().map(|region| Blocker {
            kind: BlockerKind::BreakerOpen,
            since: self.breaker_opened_at,
            until: None,
            detail: Some(region.clone()),
        })
    }

    fn region_pause(&self) -> Option<Blocker> {
        self.paused_region.as_ref().map(|region| Blocker {
            kind: BlockerKind::RegionPaused,
            since: self.region_paused_at,
            until: self.region_paused_until,
            detail: Some(format!("{region}: {}", self.region_reason.as_deref().unwrap_or_default())),
        })
    }

    fn fleet_pause(&self) -> Option<Blocker> {
        self.fleet_reason.as_ref().map(|reason| Blocker {
            kind: BlockerKind::FleetPaused,
            since: self.fleet_paused_at,
            until: self.fleet_paused_until,
            detail: Some(reason.clone()),
        })
    }
}
