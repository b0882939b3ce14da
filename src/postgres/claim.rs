//! The claim: a batch of due rows, leased in one statement.
//!
//! Folded into it, so that they cost no commit of their own:
//! * *sorting*: a row's first claim finds its region among the configured patterns;
//! * *the intent*: an admitted `pending` row becomes `creating`, because a create may now be sent;
//! * *the intent to remove*: a row that is claimed to be removed is `removing` from then
//!   on, because its client may be deleted now;
//! * *the takeover*: whoever takes over a row with an unanswered request lets it
//!   settle from the moment the dead holder's lease ran out.
//!
//! The rule: a row whose host, profile or region does not allow a create never
//! leaves `pending` here, and a region with an open breaker is not claimed from.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::{Json, Uuid};

use super::rows::{Instant, SecretRow, inconsistent, stored_secrets};
use super::{Store, StoreError, interval};
use crate::domain::drift::DriftKind;
use crate::domain::effect::EffectKind;
use crate::domain::ids::{ClientId, ExternalId, Fence, Hint, ProfileName, RegionName, TenantId};
use crate::domain::mark::Mark;
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::record::{Record, Seen, Unreadable};
use crate::domain::region::RegionMap;
use crate::domain::rights::{MissingRights, Withheld};
use crate::domain::tenant::{RepairScope, Tenant, Unanswered};
use crate::domain::when::When;

/// What a claim is made with.
#[derive(Debug, Clone)]
pub struct ClaimTerms {
    patterns: Vec<String>,
    pattern_regions: Vec<String>,
    regions: Vec<String>,
    profiles: Vec<String>,
    /// How long the lease lasts.
    pub lease: Duration,
    /// How long an unanswered request may still land.
    pub settle: Duration,
}

impl ClaimTerms {
    /// Terms for these regions and profiles.
    #[must_use]
    pub fn new<'a>(
        map: &RegionMap,
        profiles: impl IntoIterator<Item = &'a ProfileName>,
        lease: Duration,
        settle: Duration,
    ) -> Self {
        let (patterns, pattern_regions): (Vec<_>, Vec<_>) =
            map.patterns().map(|(pattern, region)| (pattern.to_string(), region.to_string())).unzip();
        let mut regions = pattern_regions.clone();
        regions.sort();
        regions.dedup();
        let profiles = profiles.into_iter().map(ToString::to_string).collect();
        Self { patterns, pattern_regions, regions, profiles, lease, settle }
    }

    /// Host patterns, and beside each its region.
    pub(super) fn patterns(&self) -> (&[String], &[String]) {
        (&self.patterns, &self.pattern_regions)
    }

    /// Every configured region.
    pub(super) fn regions(&self) -> &[String] {
        &self.regions
    }

    /// Every configured profile.
    pub(super) fn profiles(&self) -> &[String] {
        &self.profiles
    }
}

/// A row that is ours until its lease runs out.
#[derive(Debug)]
pub struct Claimed {
    /// The row.
    pub tenant_id: TenantId,
    /// The pipeline's key.
    pub external_id: ExternalId,
    /// The host as the row says it.
    pub host: String,
    /// The region that allows it, where one does.
    pub region: Option<RegionName>,
    /// Which profile it wants.
    pub profile: ProfileName,
    /// Its own client name.
    pub client_name: Option<String>,
    /// Its own redirect URIs.
    pub redirect_uris: Option<Vec<String>>,
    /// What writes must match.
    pub fence: Fence,
    /// The row as the core sees it.
    pub tenant: Tenant,
    /// What is stored of it.
    pub record: Box<Record>,
    /// What owner and others have said.
    pub seen: Seen,
    /// Age of the row.
    pub age: Duration,
}

/// What a claim brought.
#[derive(Debug)]
pub struct Claims {
    /// The rows that are ours now.
    pub rows: Vec<Claimed>,
    /// How many rows it touched, those included that it only sorted: as many as were
    /// asked for means that there may be more.
    pub touched: usize,
}

impl Store {
    /// Leases up to `limit` due rows.
    ///
    /// A row of a phase that this version does not know is passed by. One that is
    /// unreadable otherwise, as one of a newer version may be, is said and left to its
    /// lease; the others go on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn claim(&self, terms: &ClaimTerms, limit: usize) -> Result<Claims, StoreError> {
        self.claim_of(terms, limit, None).await
    }

    /// The same for this row alone, if it is due.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn claim_one(&self, terms: &ClaimTerms, tenant: TenantId) -> Result<Claims, StoreError> {
        self.claim_of(terms, 1, Some(tenant)).await
    }

    #[expect(clippy::too_many_lines, reason = "one statement, and its arguments")]
    #[tracing::instrument(name = "db.tenants.claim", level = "debug", skip_all, fields(claimed))]
    async fn claim_of(
        &self,
        terms: &ClaimTerms,
        limit: usize,
        only: Option<TenantId>,
    ) -> Result<Claims, StoreError> {
        let claim = sqlx::query_as!(
            ClaimRow,
            r#"
            -- tenants.claim
            WITH closed AS (
                SELECT r.region
                  FROM (SELECT '' AS region UNION ALL SELECT unnest($1::text[])) AS r
                 WHERE NOT EXISTS (
                       SELECT FROM tenantd.regions AS b WHERE b.region = r.region AND b.opened_at IS NOT NULL)
                   AND NOT EXISTS (
                       SELECT FROM tenantd.pauses AS p
                        WHERE p.region IN ('*', r.region)
                          AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
                   -- Nothing is claimed from a database that nobody has recognised.
                   AND tenantd.assert_recognised()
            ), due AS (
                SELECT t.*
                  FROM closed
                 CROSS JOIN LATERAL (
                       SELECT tenant_id, tenantd.rank_of(due_at, priority) AS claim_rank, phase, profile, host,
                              lease_holder, must_look, desired_state, removal_admitted_at IS NOT NULL AS is_let_through,
                              -- Claimed to be looked at: somebody has said something that ends no wait.
                              parked_reason IS NOT NULL OR failures > 0 AND backoff_at > tenantd.clock()
                                 AND NOT (desired_state = 'absent' AND removal_admitted_at IS NOT NULL
                                          AND phase NOT IN ('removing', 'removed'))
                              OR paused_at IS NOT NULL AND coalesce(paused_until > tenantd.clock(), true)
                              OR phase = 'pending' AND not_before > tenantd.clock() IS TRUE AS is_resting
                         FROM tenantd.tenants
                        WHERE region = closed.region
                          AND tenantd.rank_of(due_at, priority) <= tenantd.clock() + interval '100 minutes'
                          AND due_at <= tenantd.clock()
                          AND phase = ANY ($9::text[])
                          AND (lease_expires_at IS NULL OR lease_expires_at <= tenantd.clock())
                          AND ($10::uuid IS NULL OR tenant_id = $10)
                        ORDER BY claim_rank
                        LIMIT $7
                          FOR UPDATE SKIP LOCKED) AS t
                 ORDER BY t.claim_rank
                 LIMIT $7
            ), sorted AS (
                SELECT due.*,
                       coalesce(matched.region, '') AS matched,
                       coalesce(matched.region IN (SELECT region FROM closed), true) AS is_leased,
                       due.phase = 'pending' AND due.desired_state = 'present' AND due.is_resting IS NOT TRUE
                           AND matched.region IN (SELECT region FROM closed)
                           AND due.profile = ANY ($4::text[]) AS is_admitted,
                       -- Also an intent: whatever happens now, this life ends in removed.
                       due.desired_state = 'absent' AND due.phase NOT IN ('pending', 'removed')
                           AND (due.is_let_through OR due.phase = 'removing') AND due.is_resting IS NOT TRUE
                           AND coalesce(matched.region IN (SELECT region FROM closed), false) AS is_removal,
                       -- Ever since a restore there may be clients of rows that the backup did not know.
                       due.must_look OR i.rejoined_at IS NOT NULL AS looks_first,
                       i.version_floor,
                       -- What was sent on the word of what the database forgot may still land.
                       i.rejoined_at + $6 AS settles_at,
                       coalesce(i.rejoined_at + $6 > tenantd.clock(), false) AS is_settling
                  FROM due
                 CROSS JOIN tenantd.installation AS i
                  LEFT JOIN LATERAL (
                       SELECT p.region
                         FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS p (pattern, region, place)
                        WHERE p.pattern IN (due.host, '*' || substr(due.host, strpos(due.host, '.')))
                        ORDER BY p.place
                        LIMIT 1) AS matched ON true
            )
            UPDATE tenantd.tenants AS t
               SET region = s.matched,
                   phase = CASE WHEN s.is_admitted THEN 'creating' WHEN s.is_removal THEN 'removing' ELSE t.phase END,
                   reason_since = CASE WHEN s.is_admitted OR s.is_removal AND t.phase <> 'removing'
                                       THEN tenantd.clock() ELSE t.reason_since END,
                   unanswered = CASE WHEN s.is_admitted AND (s.is_settling OR NOT s.looks_first) THEN 'create'
                                     WHEN s.is_removal AND t.unanswered = 'mint' THEN NULL
                                     ELSE t.unanswered END,
                   settles_at = CASE WHEN s.is_admitted AND s.is_settling THEN s.settles_at
                                     WHEN s.is_removal AND t.unanswered = 'mint' THEN NULL
                                     WHEN s.lease_holder IS NOT NULL AND t.unanswered IS NOT NULL
                                     THEN coalesce(t.settles_at, t.lease_expires_at + $6)
                                     ELSE t.settles_at END,
                   recheck_at = CASE WHEN s.is_admitted AND s.is_settling THEN greatest(t.recheck_at, s.settles_at + $6)
                                     WHEN s.lease_holder IS NOT NULL AND t.unanswered = 'create'
                                     THEN greatest(t.recheck_at, tenantd.clock() + 2 * $6::interval)
                                     ELSE t.recheck_at END,
                   -- What rested for months was not stuck for months.
                   progress_at = CASE WHEN s.is_admitted OR t.phase IN ('ready', 'removed') AND t.failures = 0
                                      THEN tenantd.clock()
                                      ELSE t.progress_at + (tenantd.clock() - t.due_at) END,
                   lease_holder = CASE WHEN s.is_leased THEN $8::uuid END,
                   leased_at = CASE WHEN s.is_leased THEN tenantd.clock() END,
                   lease_expires_at = CASE WHEN s.is_leased THEN tenantd.clock() + $5::interval END,
                   lease_epoch = t.lease_epoch + 1,
                   lease_step = 0,
                   updated_at = tenantd.clock()
              FROM sorted AS s
             WHERE t.tenant_id = s.tenant_id
            RETURNING t.tenant_id, t.external_id, t.host, t.region, t.profile, t.client_name, t.redirect_uris,
                      t.desired_state = 'present' AS "is_present!", t.desired_version, t.not_before AS "not_before: Instant", t.generation,
                      t.removal_admitted_at IS NOT NULL AS "is_admitted!",
                      t.phase, t.client_id, t.unanswered, t.settles_at AS "settles_at: Instant", t.mint_snapshot, t.is_adopted,
                      t.is_minted_afresh, t.must_look, t.left_clients, t.current_version, t.ready_at AS "ready_at: Instant", t.failures,
                      t.progress_at AS "progress_at: Instant", t.proof_refused_at AS "proof_refused_at: Instant", t.client_missing_at AS "client_missing_at: Instant", t.credential_refused_at AS "credential_refused_at: Instant",
                      t.awaits_right, t.right_refused_at AS "right_refused_at: Instant", t.recheck_at AS "recheck_at: Instant", t.retire_at AS "retire_at: Instant", t.audit_at AS "audit_at: Instant", t.audited_at AS "audited_at: Instant",
                      t.drift, t.drifted_at AS "drifted_at: Instant", t.edited_at AS "edited_at: Instant", t.repair_scope, t.wait_reason, t.parked_reason, t.message,
                      t.reason_since AS "reason_since: Instant", t.backoff_at AS "backoff_at: Instant", t.due_at AS "due_at: Instant", t.created_at AS "created_at: Instant",
                      t.paused_at IS NOT NULL AND coalesce(t.paused_until > tenantd.clock(), true) AS "is_paused!", t.paused_until AS "paused_until: Instant",
                      t.lease_epoch, tenantd.clock() AS "now!",
                      -- Infinity, which only a hand writes, is an error here, before anything is leased.
                      (tenantd.clock() - greatest(t.settles_at, t.ready_at, t.progress_at, t.proof_refused_at,
                               t.client_missing_at, t.credential_refused_at, t.right_refused_at, t.recheck_at,
                               t.retire_at, t.audit_at, t.audited_at, t.drifted_at, t.edited_at, t.reason_since,
                               t.backoff_at, t.due_at, t.created_at, t.paused_until, t.not_before))
                      + (tenantd.clock() - least(t.settles_at, t.ready_at, t.progress_at, t.proof_refused_at,
                               t.client_missing_at, t.credential_refused_at, t.right_refused_at, t.recheck_at,
                               t.retire_at, t.audit_at, t.audited_at, t.drifted_at, t.edited_at, t.reason_since,
                               t.backoff_at, t.due_at, t.created_at, t.paused_until, t.not_before))
                          IS NOT NULL AS "is_finite!",
                      s.is_leased AS "is_leased!", s.version_floor,
                      s.is_admitted IS TRUE AND NOT s.looks_first AS "is_fresh_intent!",
                      (SELECT CASE WHEN i.changes_held_at IS NOT NULL THEN 'changes'
                                   WHEN i.deletions_held_at IS NOT NULL THEN 'deletions' END
                         FROM tenantd.installation AS i) AS hold,
                      (SELECT jsonb_agg(jsonb_build_array(r.effect, r.answer, r.asked_tenant_id) ORDER BY r.effect)
                         FROM tenantd.rights AS r
                        WHERE r.region = s.matched AND r.missing_since IS NOT NULL)
                          AS "rights: Json<Vec<RightRow>>",
                      (SELECT jsonb_agg(jsonb_build_object('id', x.secret_id, 'hint', x.hint, 'standing', x.standing,
                                                           'version', x.version, 'proven_at', x.proven_at,
                                                           'retire_at', x.retire_at) ORDER BY x.secret_id)
                         FROM tenantd.secrets AS x
                        WHERE x.tenant_id = t.tenant_id) AS "secrets: Json<Vec<SecretRow>>"
            "#,
            &terms.regions,
            &terms.patterns,
            &terms.pattern_regions,
            &terms.profiles,
            interval(terms.lease),
            interval(terms.settle),
            i64::try_from(limit).unwrap_or(i64::MAX),
            self.holder.0,
            &Phase::ALL.map(|phase| phase.as_str().to_owned()) as &[String],
            only.map(|tenant| tenant.0),
        )
        .fetch_all(&self.connections);
        let rows = claim.await?;
        let touched = rows.len();
        let rows: Vec<Claimed> = rows
            .into_iter()
            .filter(|row| row.is_leased && row.is_finite)
            .filter_map(|row| row.readable(self))
            .collect();
        tracing::Span::current().record("claimed", rows.len());
        Ok(Claims { rows, touched })
    }
}

/// A right that is missing: to which effect, what showed it, and whose turn it is to ask.
type RightRow = (String, String, Option<Uuid>);

/// The row as it was read. Names are the table's.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "columns, as they are")]
struct ClaimRow {
    tenant_id: Uuid,
    external_id: String,
    host: String,
    region: String,
    profile: String,
    client_name: Option<String>,
    redirect_uris: Option<Vec<String>>,
    is_present: bool,
    desired_version: i32,
    not_before: Option<Instant>,
    generation: i64,
    is_admitted: bool,
    phase: String,
    client_id: Option<String>,
    unanswered: Option<String>,
    settles_at: Option<Instant>,
    mint_snapshot: Option<Vec<String>>,
    is_adopted: bool,
    is_minted_afresh: bool,
    must_look: bool,
    left_clients: Vec<String>,
    current_version: Option<i32>,
    ready_at: Option<Instant>,
    failures: i32,
    progress_at: Instant,
    proof_refused_at: Option<Instant>,
    client_missing_at: Option<Instant>,
    credential_refused_at: Option<Instant>,
    awaits_right: Option<String>,
    right_refused_at: Option<Instant>,
    recheck_at: Option<Instant>,
    retire_at: Option<Instant>,
    audit_at: Option<Instant>,
    audited_at: Option<Instant>,
    drift: Vec<String>,
    drifted_at: Option<Instant>,
    edited_at: Option<Instant>,
    repair_scope: Option<String>,
    wait_reason: Option<String>,
    parked_reason: Option<String>,
    message: Option<String>,
    reason_since: Instant,
    backoff_at: Option<Instant>,
    is_paused: bool,
    paused_until: Option<Instant>,
    due_at: Option<Instant>,
    created_at: Instant,
    lease_epoch: i64,
    now: DateTime<Utc>,
    is_finite: bool,
    is_leased: bool,
    version_floor: i32,
    is_fresh_intent: bool,
    hold: Option<String>,
    rights: Option<Json<Vec<RightRow>>>,
    secrets: Option<Json<Vec<SecretRow>>>,
}

impl ClaimRow {
    fn readable(self, store: &Store) -> Option<Claimed> {
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
            age: When::At(self.created_at.0).age(seen.now),
            seen,
        })
    }

    fn seen(&mut self) -> Seen {
        let rights = self.rights.take().map(|rights| rights.0).unwrap_or_default();
        Seen {
            now: self.now,
            generation: self.generation,
            is_present: self.is_present,
            is_admitted: self.is_admitted,
            desired_version: self.desired_version,
            version_floor: self.version_floor,
            not_before: self.not_before.map(|instant| instant.0),
            paused: self.is_paused.then_some(self.paused_until.map(|instant| instant.0)),
            is_fresh_intent: self.is_fresh_intent,
            hold: self.hold.as_deref().and_then(Hold::parse),
            rights: missing_rights(rights, self.tenant_id),
        }
    }

    /// The core's columns. Words that only a newer version knows are left out where their
    /// loss is found out by itself.
    fn record(&mut self) -> Result<Record, StoreError> {
        let tenant = TenantId(self.tenant_id);
        let at = |instant: Option<Instant>| instant.map(|instant| When::At(instant.0));
        let phase = Phase::parse(&self.phase).ok_or_else(|| {
            inconsistent("tenantd.tenants", tenant, format!("phase {:?} is not of this version", self.phase))
        })?;
        let take = |texts: &mut Vec<String>| std::mem::take(texts).into_iter();
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
            edited: at(self.edited_at),
            repair: self.repair_scope.as_deref().and_then(RepairScope::parse),
            wait_reason: self.wait_reason.take(),
            parked_reason: self.parked_reason.take(),
            message: self.message.take(),
            reason_since: When::At(self.reason_since.0),
            backoff: at(self.backoff_at),
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
