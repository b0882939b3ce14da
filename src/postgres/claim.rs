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

use sqlx::types::Uuid;

use super::rows::{StandRow, stored_secrets};
use super::{Store, StoreError, duration, interval};
use crate::domain::drift::DriftKind;
use crate::domain::effect::EffectKind;
use crate::domain::ids::{ClientId, ExternalId, Fence, Hint, ProfileName, RegionName, TenantId};
use crate::domain::mark::Mark;
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::region::RegionMap;
use crate::domain::rights::{MissingRights, Withheld};
use crate::domain::setback;
use crate::domain::tenant::{Due, RepairScope, State, Tenant};

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
                              lease_holder, must_look, desired_state
                         FROM tenantd.tenants
                        WHERE region = closed.region
                          AND tenantd.rank_of(due_at, priority) <= tenantd.clock() + interval '100 minutes'
                          AND due_at <= tenantd.clock()
                          AND phase = ANY ($9::text[])
                          AND (desired_state = 'present' OR removal_admitted_at IS NOT NULL
                               OR phase IN ('removing', 'removed'))
                          AND (paused_at IS NULL OR paused_until <= tenantd.clock())
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
                       due.phase = 'pending' AND due.desired_state = 'present'
                           AND matched.region IN (SELECT region FROM closed)
                           AND due.profile = ANY ($4::text[]) AS is_admitted,
                       -- Also an intent: whatever happens now, this life ends in removed.
                       due.desired_state = 'absent' AND due.phase NOT IN ('pending', 'removed')
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
                      t.phase, t.client_id, t.mint_snapshot, t.is_adopted, t.is_minted_afresh, t.failures,
                      t.lease_epoch, s.is_leased AS "is_leased!",
                      s.is_admitted IS TRUE AND NOT s.looks_first AS "is_fresh_intent!",
                      t.must_look, t.drift, t.repair_scope, t.left_clients, t.desired_state = 'absent' AS "is_unwanted!",
                      t.edited_at IS NOT NULL AS "is_edited!",
                      -- A rollback that the database forgot had consumers keep a previous secret under a
                      -- higher number: none goes before there is a number that they must take, but for
                      -- want of a slot for it.
                      coalesce(t.desired_version > t.current_version
                               OR t.current_version < s.version_floor AND t.retire_at <= tenantd.clock()
                                  AND t.wait_reason IS DISTINCT FROM 'SecretSlotsFull', false) AS "is_rotation_due!",
                      coalesce(t.audit_at <= tenantd.clock(), false) AS "is_audit_due!",
                      (SELECT CASE WHEN i.changes_held_at IS NOT NULL THEN 'changes'
                                   WHEN i.deletions_held_at IS NOT NULL THEN 'deletions' END
                         FROM tenantd.installation AS i) AS hold,
                      ARRAY(SELECT r.effect FROM tenantd.rights AS r
                             WHERE r.region = s.matched AND r.missing_since IS NOT NULL
                               AND r.asked_tenant_id IS DISTINCT FROM t.tenant_id
                             ORDER BY r.effect) AS "withheld!",
                      ARRAY(SELECT r.answer FROM tenantd.rights AS r
                             WHERE r.region = s.matched AND r.missing_since IS NOT NULL
                               AND r.asked_tenant_id IS DISTINCT FROM t.tenant_id
                             ORDER BY r.effect) AS "answers!",
                      ARRAY(SELECT r.effect FROM tenantd.rights AS r
                             WHERE r.region = s.matched AND r.missing_since IS NOT NULL
                               AND r.asked_tenant_id = t.tenant_id) AS "asked!",
                      CASE WHEN t.failures > 0 THEN t.message END AS last_failure,
                      (extract(epoch FROM t.settles_at - tenantd.clock()) * 1000)::bigint AS settles_in_ms,
                      coalesce(t.recheck_at <= tenantd.clock(), false) AS "is_recheck_due!",
                      (extract(epoch FROM tenantd.clock() - t.progress_at) * 1000)::bigint AS "without_progress_ms!",
                      (extract(epoch FROM tenantd.clock() - t.proof_refused_at) * 1000)::bigint AS refused_for_ms,
                      (extract(epoch FROM tenantd.clock() - t.client_missing_at) * 1000)::bigint AS missing_for_ms,
                      (extract(epoch FROM tenantd.clock() - t.created_at) * 1000)::bigint AS "age_ms!",
                      ARRAY(SELECT x.hint FROM tenantd.secrets AS x
                             WHERE x.tenant_id = t.tenant_id ORDER BY x.secret_id) AS "hints!: Vec<Option<String>>",
                      ARRAY(SELECT x.standing FROM tenantd.secrets AS x
                             WHERE x.tenant_id = t.tenant_id ORDER BY x.secret_id) AS "standings!",
                      ARRAY(SELECT coalesce(x.standing = 'previous' AND x.retire_at <= tenantd.clock()
                                            AND (t.current_version >= s.version_floor
                                                 OR t.wait_reason IS NOT DISTINCT FROM 'SecretSlotsFull'), false)
                              FROM tenantd.secrets AS x
                             WHERE x.tenant_id = t.tenant_id ORDER BY x.secret_id) AS "are_retiring!"
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
        let rows: Vec<Claimed> =
            rows.into_iter().filter(|row| row.is_leased).filter_map(|row| row.readable(self)).collect();
        tracing::Span::current().record("claimed", rows.len());
        Ok(Claims { rows, touched })
    }
}

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
    phase: String,
    client_id: Option<String>,
    mint_snapshot: Option<Vec<String>>,
    is_adopted: bool,
    is_minted_afresh: bool,
    failures: i32,
    lease_epoch: i64,
    is_leased: bool,
    is_fresh_intent: bool,
    must_look: bool,
    drift: Vec<String>,
    repair_scope: Option<String>,
    left_clients: Vec<String>,
    is_unwanted: bool,
    is_edited: bool,
    is_rotation_due: bool,
    is_audit_due: bool,
    hold: Option<String>,
    withheld: Vec<String>,
    answers: Vec<String>,
    asked: Vec<String>,
    last_failure: Option<String>,
    settles_in_ms: Option<i64>,
    is_recheck_due: bool,
    without_progress_ms: i64,
    refused_for_ms: Option<i64>,
    missing_for_ms: Option<i64>,
    age_ms: i64,
    hints: Vec<Option<String>>,
    standings: Vec<String>,
    are_retiring: Vec<bool>,
}

impl ClaimRow {
    fn readable(self, store: &Store) -> Option<Claimed> {
        let tenant = self.tenant_id;
        self.claimed(store)
            .inspect_err(|error| tracing::error!(tenant.id = %tenant, error = %error, "tenant {tenant} is left alone: {error}"))
            .ok()
    }

    fn claimed(self, store: &Store) -> Result<Claimed, StoreError> {
        let tenant_id = TenantId(self.tenant_id);
        let stored = stored_secrets(tenant_id, self.hints, &self.standings, &self.are_retiring)?;
        let stand = StandRow {
            tenant: tenant_id,
            phase: self.phase,
            client: self.client_id.map(ClientId::new),
            is_fresh_intent: self.is_fresh_intent,
            settles_in: self.settles_in_ms.map(duration),
            is_unwanted: self.is_unwanted,
            has_snapshot: self.mint_snapshot.is_some(),
        };
        let mut tenant = Tenant {
            state: State::Pending,
            mark: Mark { installation: store.installation, tenant: tenant_id },
            stored,
            snapshot: self.mint_snapshot.map(|hints| hints.into_iter().map(Hint::new).collect()),
            is_adopted: self.is_adopted,
            is_afresh: self.is_minted_afresh,
            must_look: self.must_look,
            due: Due {
                recheck: self.is_recheck_due,
                edit: self.is_edited,
                repair: self.repair_scope.as_deref().and_then(RepairScope::parse),
                rotation: self.is_rotation_due,
                audit: self.is_audit_due,
                leavings: false,
            },
            // A kind that only a newer version knows is found again by its next audit.
            drift: self.drift.iter().filter_map(|kind| DriftKind::parse(kind)).collect(),
            gone: vec![],
            left: self.left_clients.into_iter().map(ClientId::new).collect(),
            hold: self.hold.as_deref().and_then(Hold::parse),
            rights: missing_rights(&self.withheld, self.answers, &self.asked),
            last_failure: self.last_failure.map(|message| setback::without_outlook(&message)),
            failures: u32::try_from(self.failures).unwrap_or(0),
            without_progress: duration(self.without_progress_ms),
            refused_for: self.refused_for_ms.map(duration),
            missing_for: self.missing_for_ms.map(duration),
        };
        tenant.due.leavings = tenant.has_leavings();
        tenant.state = stand.state(&tenant)?;
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
            age: duration(self.age_ms),
        })
    }
}

/// A right to what only a newer version does is nothing that this one asks for.
fn missing_rights(withheld: &[String], answers: Vec<String>, asked: &[String]) -> MissingRights {
    let of =
        |(effect, answer): (&String, String)| Some(Withheld { effect: EffectKind::parse(effect)?, answer });
    MissingRights {
        withheld: withheld.iter().zip(answers).filter_map(of).collect(),
        asked: asked.iter().filter_map(|effect| EffectKind::parse(effect)).collect(),
    }
}
