//! A claimed row, from the table's names to the core's.
//!
//! The rule: words that only a newer version knows are left out where their loss is found out
//! by itself; anything else that cannot be read is an error of this row alone.

use chrono::{DateTime, Utc};
use sqlx::types::{Json, Uuid};

use super::claimed::Claimed;
use crate::domain::blame::{Blame, Spent};
use crate::domain::drift::DriftKind;
use crate::domain::ids::{ClientId, ExternalId, Fence, Hint, ProfileName, RegionName, TenantId};
use crate::domain::machine::effect::EffectKind;
use crate::domain::mark::Mark;
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::record::{Record, Seen, Unreadable};
use crate::domain::rights::{MissingRights, Withheld};
use crate::domain::tenant::{RepairScope, Unanswered};
use crate::domain::trace::TraceParent;
use crate::domain::wants::WantsDigest;
use crate::domain::when::When;
use crate::postgres::rows::{Instant, SecretRow, inconsistent, stored_secrets};
use crate::postgres::{Store, StoreError};

/// A right that is missing: to which effect, what showed it, and whose turn it is to ask.
pub(super) type RightRow = (String, String, Option<Uuid>);

/// The row as it was read. Names are the table's.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "columns, as they are")]
pub(super) struct ClaimRow {
    pub(super) tenant_id: Uuid,
    pub(super) external_id: String,
    pub(super) host: String,
    pub(super) region: String,
    pub(super) profile: String,
    pub(super) client_name: Option<String>,
    pub(super) redirect_uris: Option<Vec<String>>,
    pub(super) is_present: bool,
    pub(super) desired_version: i32,
    pub(super) aged_version: Option<i32>,
    pub(super) not_before: Option<Instant>,
    pub(super) generation: i64,
    pub(super) is_admitted: bool,
    pub(super) phase: String,
    pub(super) client_id: Option<String>,
    pub(super) unanswered: Option<String>,
    pub(super) settles_at: Option<Instant>,
    pub(super) mint_snapshot: Option<Vec<String>>,
    pub(super) is_adopted: bool,
    pub(super) is_minted_afresh: bool,
    pub(super) must_look: bool,
    pub(super) left_clients: Vec<String>,
    pub(super) current_version: Option<i32>,
    pub(super) last_version: Option<i32>,
    pub(super) served_version: Option<i32>,
    pub(super) ready_at: Option<Instant>,
    pub(super) failures: i32,
    pub(super) progress_at: Instant,
    pub(super) proof_refused_at: Option<Instant>,
    pub(super) client_missing_at: Option<Instant>,
    pub(super) credential_refused_at: Option<Instant>,
    pub(super) awaits_right: Option<String>,
    pub(super) right_refused_at: Option<Instant>,
    pub(super) recheck_at: Option<Instant>,
    pub(super) retire_at: Option<Instant>,
    pub(super) audit_at: Option<Instant>,
    pub(super) audited_at: Option<Instant>,
    pub(super) drift: Vec<String>,
    pub(super) drifted_at: Option<Instant>,
    pub(super) applied_wants: Option<Vec<u8>>,
    pub(super) edited_at: Option<Instant>,
    pub(super) repair_scope: Option<String>,
    pub(super) wait_reason: Option<String>,
    pub(super) parked_reason: Option<String>,
    pub(super) message: Option<String>,
    pub(super) reason_since: Instant,
    pub(super) backoff_at: Option<Instant>,
    pub(super) spent: Vec<i64>,
    pub(super) rests_for: Option<String>,
    pub(super) rested_at: Option<Instant>,
    pub(super) is_paused: bool,
    pub(super) paused_until: Option<Instant>,
    pub(super) due_at: Option<Instant>,
    pub(super) created_at: Instant,
    pub(super) lease_epoch: i64,
    pub(super) now: DateTime<Utc>,
    pub(super) traceparent: Option<String>,
    pub(super) turned_at: Instant,
    pub(super) is_leased: bool,
    pub(super) version_floor: i32,
    pub(super) is_fresh_intent: bool,
    pub(super) hold: Option<String>,
    pub(super) rights: Option<Json<Vec<RightRow>>>,
    pub(super) secrets: Option<Json<Vec<SecretRow>>>,
}

impl ClaimRow {
    pub(super) fn readable(self, store: &Store) -> Option<Claimed> {
        let tenant = self.tenant_id;
        self.claimed(store)
            .inspect_err(|error| tracing::error!(tenant.id = %tenant, error = %error, "tenant {tenant} is left alone: {error}"))
            .ok()
    }

    fn claimed(mut self, store: &Store) -> Result<Claimed, StoreError> {
        let tenant_id = TenantId(self.tenant_id);
        let seen = self.seen();
        let record = self.record()?;
        let mark = Mark { installation: store.installation, tenant: tenant_id };
        let unreadable = |error: Unreadable| inconsistent("tenantd.tenants", tenant_id, error.to_string());
        let tenant = record.tenant(mark, &seen).map_err(unreadable)?;
        Ok(Claimed {
            tenant_id,
            external_id: ExternalId::new(self.external_id),
            host: self.host,
            region: (!self.region.is_empty()).then(|| RegionName::new(self.region)),
            profile: ProfileName::new(self.profile),
            client_name: self.client_name,
            redirect_uris: self.redirect_uris,
            fence: Fence { epoch: self.lease_epoch, step: 0 },
            tenant,
            record: Box::new(record),
            traceparent: self.traceparent.as_deref().and_then(TraceParent::parse),
            turned: self.turned_at.0,
            age: When::At(self.created_at.0).age(seen.now),
            seen,
        })
    }

    fn seen(&mut self) -> Seen {
        let rights = self.rights.take().map(|rights| rights.0).unwrap_or_default();
        Seen {
            now: self.now,
            created: self.created_at.0,
            generation: self.generation,
            is_present: self.is_present,
            is_admitted: self.is_admitted,
            wants: WantsDigest::of(&self.profile, self.client_name.as_deref(), self.redirect_uris.as_deref()),
            desired_version: self.desired_version,
            aged_version: self.aged_version,
            version_floor: self.version_floor,
            not_before: self.not_before.map(|instant| instant.0),
            paused: self.is_paused.then_some(self.paused_until.map(|instant| instant.0)),
            is_fresh_intent: self.is_fresh_intent,
            hold: self.hold.as_deref().and_then(Hold::parse),
            rights: missing_rights(rights, self.tenant_id),
        }
    }

    /// The core's columns.
    fn record(&mut self) -> Result<Record, StoreError> {
        let tenant = TenantId(self.tenant_id);
        let at = |instant: Option<Instant>| instant.map(|instant| When::At(instant.0));
        let phase = Phase::parse(&self.phase).ok_or_else(|| {
            inconsistent("tenantd.tenants", tenant, format!("phase {:?} is not of this version", self.phase))
        })?;
        let take = |texts: &mut Vec<String>| std::mem::take(texts).into_iter();
        // Before its first claim it rests for its owner's not_before, if for anybody.
        let unclaimed = if self.not_before.is_some() { Blame::Human } else { Blame::Queue };
        Ok(Record {
            phase,
            client: self.client_id.take().map(ClientId::new),
            unanswered: self.unanswered.as_deref().and_then(Unanswered::parse),
            settles: at(self.settles_at),
            snapshot: self.mint_snapshot.take().map(|hints| hints.into_iter().map(Hint::new).collect()),
            is_adopted: self.is_adopted,
            is_afresh: self.is_minted_afresh,
            must_look: self.must_look,
            left: take(&mut self.left_clients).map(ClientId::new).collect(),
            stored: stored_secrets(tenant, self.secrets.take())?,
            version: self.current_version,
            last_version: self.last_version,
            served_version: self.served_version,
            ready: at(self.ready_at),
            failures: u32::try_from(self.failures).unwrap_or(0),
            progress: When::At(self.progress_at.0),
            proof_refused: at(self.proof_refused_at),
            client_missing: at(self.client_missing_at),
            credential_refused: at(self.credential_refused_at),
            awaits_right: self.awaits_right.as_deref().and_then(EffectKind::parse),
            right_refused: at(self.right_refused_at),
            recheck: at(self.recheck_at),
            retirement: at(self.retire_at),
            audit: at(self.audit_at),
            audited: at(self.audited_at),
            drift: take(&mut self.drift).filter_map(|kind| DriftKind::parse(&kind)).collect(),
            drifted: at(self.drifted_at),
            applied: self.applied_wants.as_deref().and_then(WantsDigest::stored),
            edited: at(self.edited_at),
            repair: self.repair_scope.as_deref().and_then(RepairScope::parse),
            wait_reason: self.wait_reason.take(),
            parked_reason: self.parked_reason.take(),
            message: self.message.take(),
            reason_since: When::At(self.reason_since.0),
            backoff: at(self.backoff_at),
            spent: Spent::from_microseconds(&self.spent),
            rested: at(self.rested_at),
            rests_for: self.rests_for.as_deref().and_then(Blame::parse).unwrap_or(unclaimed),
            due: at(self.due_at),
        })
    }
}

/// A right to what only a newer version does is nothing that this one asks for.
fn missing_rights(rights: Vec<RightRow>, tenant: Uuid) -> MissingRights {
    let mut missing = MissingRights::default();
    for (effect, answer, asked) in rights {
        let Some(effect) = EffectKind::parse(&effect) else { continue };
        if asked == Some(tenant) {
            missing.asked.push(effect);
        } else {
            missing.withheld.push(Withheld { effect, answer });
        }
    }
    missing
}
