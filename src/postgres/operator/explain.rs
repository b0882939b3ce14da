//! A row and what is around it, for whoever asks why it is not claimed.
//!
//! The rule: **columns, and nothing judged.** What they mean is said by
//! [`crate::domain::waiting`]; the claim says the same once more, because only its own form is
//! served by its index, and a test holds the two against each other.

use chrono::{DateTime, Utc};
use sqlx::types::{Json, Uuid};

use crate::domain::place::Hold;
use crate::domain::record::Versions;
use crate::domain::tenant::{RepairScope, Unanswered};
use crate::domain::waiting::{Blocker, Breaker, Facts, Fleet, Lease, Pause, Row};
use crate::domain::wants::{self, WantsDigest};
use crate::postgres::rows::{Instant, json_instant};
use crate::postgres::work::claim::ClaimTerms;
use crate::postgres::{Store, StoreError};

/// A row, what it waits for, and what it is due for.
#[derive(Debug)]
pub struct Explained {
    /// What decides whether it is claimed.
    pub facts: Facts,
    /// Its client.
    pub client_id: Option<String>,
    /// The numbers of its secrets.
    pub versions: Versions,
    /// When it is compared with Qlik.
    pub audit_at: Option<DateTime<Utc>>,
    /// When a previous secret is deleted.
    pub retire_at: Option<DateTime<Utc>>,
    /// Its client is to follow an edit.
    pub is_edited: bool,
    /// What of its drift may be mended now.
    pub repair: Option<RepairScope>,
    /// How many removals wait before this one.
    pub removals_ahead: i64,
}

impl Explained {
    /// What keeps it from being claimed now.
    #[must_use]
    pub fn blockers(&self) -> Vec<Blocker> {
        self.facts.blockers()
    }

    /// The version that the next secret gets; the last one where there is none left.
    #[must_use]
    pub fn next_version(&self) -> i32 {
        self.versions.next().unwrap_or(i32::MAX)
    }
}

impl Store {
    /// A row, and what the conditions of a claim with these terms ask. `None` where there is
    /// no such tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn explain(
        &self,
        external_id: &str,
        terms: &ClaimTerms,
    ) -> Result<Option<Explained>, StoreError> {
        let row = sqlx::query_as!(
            ExplainRow,
            r#"
            -- tenants.explain
            SELECT tenantd.clock() AS "now!: Instant", t.phase, t.desired_state, t.host, t.region, t.profile,
                   t.client_id, t.unanswered, t.must_look, t.desired_version, t.current_version, t.last_version,
                   t.served_version, t.aged_version, t.repair_scope, t.client_name, t.redirect_uris, t.applied_wants,
                   t.removal_admitted_at AS "removal_admitted_at: Instant", t.due_at AS "due_at: Instant",
                   t.not_before AS "not_before: Instant", t.backoff_at AS "backoff_at: Instant",
                   t.settles_at AS "settles_at: Instant", t.recheck_at AS "recheck_at: Instant",
                   t.audit_at AS "audit_at: Instant", t.retire_at AS "retire_at: Instant",
                   t.edited_at IS NOT NULL AS "is_edit_noted!", t.parked_reason, t.wait_reason, t.message,
                   t.reason_since AS "reason_since: Instant", t.pause_reason, t.paused_at AS "paused_at: Instant",
                   t.paused_until AS "paused_until: Instant", t.lease_holder, t.leased_at AS "leased_at: Instant",
                   t.lease_expires_at AS "lease_expires_at: Instant", e.expires_at AS "extended_until?: Instant",
                   t.lease_epoch, t.rejoin_epoch, i.rejoin_epoch AS fleet_rejoin_epoch,
                   i.version_floor, i.deletions_held_at AS "deletions_held_at: Instant",
                   i.changes_held_at AS "changes_held_at: Instant", i.rejoined_at AS "rejoined_at: Instant",
                   (SELECT jsonb_agg(jsonb_build_array(b.region, b.opened_at, b.probe_at))
                      FROM tenantd.regions AS b WHERE b.opened_at IS NOT NULL) AS "breakers: Json<Vec<BreakerRow>>",
                   (SELECT jsonb_agg(jsonb_build_array(p.region, p.paused_at, p.paused_until, p.reason))
                      FROM tenantd.pauses AS p) AS "pauses: Json<Vec<PauseRow>>",
                   (SELECT count(*) FROM tenantd.tenants AS a
                     WHERE t.desired_state = 'absent' AND a.desired_state = 'absent' AND a.removal_admitted_at IS NULL
                       AND a.phase NOT IN ('removing', 'removed') AND a.turned_at < t.turned_at) AS "removals_ahead!"
              FROM tenantd.tenants AS t
             CROSS JOIN tenantd.installation AS i
              LEFT JOIN tenantd.lease_extensions AS e ON e.tenant_id = t.tenant_id AND e.lease_epoch = t.lease_epoch
             WHERE t.external_id = $1
            "#,
            external_id,
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(row.map(|row| row.explained(terms)))
    }
}

/// Region, since when it is open, when it is probed.
type BreakerRow = (String, String, Option<String>);
/// Region, since when, until when, why.
type PauseRow = (String, String, Option<String>, String);

/// The row as it was read. Names are the table's.
#[derive(Debug)]
struct ExplainRow {
    now: Instant,
    phase: String,
    desired_state: String,
    host: String,
    region: String,
    profile: String,
    client_id: Option<String>,
    unanswered: Option<String>,
    must_look: bool,
    desired_version: i32,
    current_version: Option<i32>,
    last_version: Option<i32>,
    served_version: Option<i32>,
    aged_version: Option<i32>,
    client_name: Option<String>,
    redirect_uris: Option<Vec<String>>,
    applied_wants: Option<Vec<u8>>,
    repair_scope: Option<String>,
    removal_admitted_at: Option<Instant>,
    due_at: Option<Instant>,
    not_before: Option<Instant>,
    backoff_at: Option<Instant>,
    settles_at: Option<Instant>,
    recheck_at: Option<Instant>,
    audit_at: Option<Instant>,
    retire_at: Option<Instant>,
    is_edit_noted: bool,
    parked_reason: Option<String>,
    wait_reason: Option<String>,
    message: Option<String>,
    reason_since: Instant,
    pause_reason: Option<String>,
    paused_at: Option<Instant>,
    paused_until: Option<Instant>,
    lease_holder: Option<Uuid>,
    leased_at: Option<Instant>,
    lease_expires_at: Option<Instant>,
    extended_until: Option<Instant>,
    lease_epoch: i64,
    rejoin_epoch: i32,
    fleet_rejoin_epoch: i32,
    version_floor: i32,
    deletions_held_at: Option<Instant>,
    changes_held_at: Option<Instant>,
    rejoined_at: Option<Instant>,
    breakers: Option<Json<Vec<BreakerRow>>>,
    pauses: Option<Json<Vec<PauseRow>>>,
    removals_ahead: i64,
}

impl ExplainRow {
    fn explained(mut self, terms: &ClaimTerms) -> Explained {
        Explained {
            client_id: self.client_id.take(),
            versions: self.versions(),
            is_edited: self.is_edited(),
            audit_at: at(self.audit_at),
            retire_at: at(self.retire_at),
            repair: self.repair_scope.as_deref().and_then(RepairScope::parse),
            removals_ahead: self.removals_ahead,
            facts: Facts { now: self.now.0, fleet: self.fleet(terms), row: self.row() },
        }
    }

    fn versions(&self) -> Versions {
        Versions {
            current: self.current_version,
            last: self.last_version,
            served: self.served_version,
            desired: self.desired_version,
            aged: self.aged_version,
            floor: self.version_floor,
        }
    }

    fn is_edited(&self) -> bool {
        let wanted =
            WantsDigest::of(&self.profile, self.client_name.as_deref(), self.redirect_uris.as_deref());
        let applied = self.applied_wants.as_deref().and_then(WantsDigest::stored);
        wants::is_edited(applied, self.is_edit_noted, wanted)
    }

    fn fleet(&mut self, terms: &ClaimTerms) -> Fleet {
        let breakers = self.breakers.take().map(|breakers| breakers.0).unwrap_or_default();
        let pauses = self.pauses.take().map(|pauses| pauses.0).unwrap_or_default();
        Fleet {
            configured: Some(terms.configured().clone()),
            breakers: breakers.into_iter().map(breaker).collect(),
            pauses: pauses.into_iter().map(pause).collect(),
            hold: self
                .changes_held_at
                .map(|_| Hold::Changes)
                .or(self.deletions_held_at.map(|_| Hold::Deletions)),
            rejoined: at(self.rejoined_at),
            rejoin_epoch: self.fleet_rejoin_epoch,
        }
    }

    fn row(self) -> Row {
        Row {
            pause: self.pause(),
            lease: self.lease(),
            lease_epoch: self.lease_epoch,
            rejoin_epoch: self.rejoin_epoch,
            phase: self.phase,
            is_present: self.desired_state == "present",
            is_admitted: self.removal_admitted_at.is_some(),
            host: self.host,
            region: self.region,
            profile: self.profile,
            due: at(self.due_at),
            not_before: at(self.not_before),
            backoff: at(self.backoff_at),
            wait_reason: self.wait_reason,
            parked_reason: self.parked_reason,
            message: self.message,
            reason_since: self.reason_since.0,
            unanswered: self.unanswered.as_deref().and_then(Unanswered::parse),
            settles: at(self.settles_at),
            recheck: at(self.recheck_at),
            must_look: self.must_look,
            version: self.current_version,
        }
    }

    fn pause(&self) -> Option<Pause> {
        let reason = self.pause_reason.clone().unwrap_or_default();
        Some(Pause { since: self.paused_at?.0, until: at(self.paused_until), reason })
    }

    fn lease(&self) -> Option<Lease> {
        Some(Lease {
            holder: self.lease_holder?.to_string(),
            since: self.leased_at?.0,
            expires: self.lease_expires_at?.0,
            extended: at(self.extended_until),
        })
    }
}

fn at(instant: Option<Instant>) -> Option<DateTime<Utc>> {
    instant.map(|instant| instant.0)
}

fn breaker((region, opened, probe): BreakerRow) -> Breaker {
    Breaker { region, opened: json_instant(&opened), probe: probe.as_deref().map(json_instant) }
}

fn pause((region, since, until, reason): PauseRow) -> (String, Pause) {
    let until = until.as_deref().map(json_instant);
    (region, Pause { since: json_instant(&since), until, reason })
}
