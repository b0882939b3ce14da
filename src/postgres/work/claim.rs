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

mod claimed;
mod row;

pub use claimed::Claimed;

use std::time::Duration;

use sqlx::types::Json;

use self::row::{ClaimRow, RightRow};
use crate::domain::ids::{ProfileName, TenantId};
use crate::domain::phase::Phase;
use crate::domain::region::RegionMap;
use crate::domain::waiting::Configured;
use crate::postgres::rows::{Instant, SecretRow};
use crate::postgres::{Store, StoreError, interval};

/// What a claim is made with.
#[derive(Debug, Clone)]
pub struct ClaimTerms {
    patterns: Vec<String>,
    pattern_regions: Vec<String>,
    regions: Vec<String>,
    configured: Configured,
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
        let configured = Configured { regions: map.clone(), profiles, settle };
        Self { patterns, pattern_regions, regions, configured, lease, settle }
    }

    /// Host patterns, and beside each its region.
    pub(in crate::postgres) fn patterns(&self) -> (&[String], &[String]) {
        (&self.patterns, &self.pattern_regions)
    }

    /// Every configured region.
    pub(in crate::postgres) fn regions(&self) -> &[String] {
        &self.regions
    }

    /// The same, for those who judge without a database.
    #[must_use]
    pub fn configured(&self) -> &Configured {
        &self.configured
    }
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
                SELECT r.region,
                       -- Who was never claimed was never sorted.
                       CASE WHEN r.region <> '' THEN i.rejoin_epoch ELSE 0 END AS least_epoch
                  FROM (SELECT '' AS region UNION ALL SELECT unnest($1::text[])) AS r
                 CROSS JOIN tenantd.installation AS i
                 WHERE NOT EXISTS (
                       SELECT FROM tenantd.regions AS b WHERE b.region = r.region AND b.opened_at IS NOT NULL)
                   AND NOT EXISTS (
                       SELECT FROM tenantd.pauses AS p
                        WHERE p.region IN ('*', r.region)
                          AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
                   -- Nothing is claimed from a database that nobody has recognised.
                   AND tenantd.assert_place()
            ), claimed_up_to AS (
                -- Nobody of a negative priority is due as a rule, and then no row of a later rank is.
                SELECT tenantd.clock() + CASE WHEN EXISTS (
                           SELECT FROM tenantd.tenants
                            WHERE priority < 0 AND due_at <= tenantd.clock() AND region IN (SELECT region FROM closed))
                       THEN interval '100 minutes' ELSE interval '0' END AS horizon
            ), due AS (
                SELECT t.*
                  FROM closed
                 CROSS JOIN LATERAL (
                       SELECT tenant_id, tenantd.rank_of(due_at, priority) AS claim_rank, phase, profile, host,
                              lease_holder, must_look, desired_state, removal_admitted_at IS NOT NULL AS is_let_through,
                              -- Claimed to be looked at: somebody has said something that ends no wait.
                              parked_reason IS NOT NULL OR backoff_at > tenantd.clock()
                                 AND NOT (desired_state = 'absent' AND removal_admitted_at IS NOT NULL
                                          AND phase NOT IN ('removing', 'removed'))
                              OR paused_at IS NOT NULL AND coalesce(paused_until > tenantd.clock(), true)
                              OR phase = 'pending' AND not_before > tenantd.clock() IS TRUE AS is_resting
                         FROM tenantd.tenants AS candidate
                        WHERE region = closed.region
                          AND tenantd.rank_of(due_at, priority) <= (SELECT horizon FROM claimed_up_to)
                          AND due_at <= tenantd.clock()
                          AND phase = ANY ($9::text[])
                          -- Since a rejoin, once its slice is through; who was never claimed needs none. The
                          -- first of the two passes the others by in the index, without a look at their rows.
                          AND rejoin_epoch >= closed.least_epoch
                          AND (rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i) OR lease_epoch = 0)
                          AND NOT tenantd.is_leased(candidate)
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
                       i.rejoin_epoch,
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
                   -- What may go now goes, whatever stood in its way.
                   backoff_at = CASE WHEN s.is_removal AND t.phase <> 'removing' THEN NULL ELSE t.backoff_at END,
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
                   -- Not that of a claim which the database forgot.
                   lease_epoch = CASE WHEN t.rejoin_epoch = s.rejoin_epoch THEN t.lease_epoch + 1
                                      ELSE greatest(t.lease_epoch + 1, tenantd.epoch_of(tenantd.clock())) END,
                   must_look = t.must_look OR t.rejoin_epoch <> s.rejoin_epoch,
                   rejoin_epoch = s.rejoin_epoch,
                   lease_step = 0,
                   updated_at = tenantd.clock()
              FROM sorted AS s
             WHERE t.tenant_id = s.tenant_id
            RETURNING t.tenant_id, t.external_id, t.host, t.region, t.profile, t.client_name, t.redirect_uris,
                      t.desired_state = 'present' AS "is_present!", t.desired_version, t.aged_version,
                      t.generation,
                      t.removal_admitted_at IS NOT NULL AS "is_admitted!",
                      t.paused_at IS NOT NULL AND coalesce(t.paused_until > tenantd.clock(), true) AS "is_paused!",
                      t.phase, t.client_id, t.unanswered, t.mint_snapshot, t.is_adopted, t.is_minted_afresh,
                      t.must_look, t.left_clients, t.current_version, t.last_version, t.served_version,
                      t.failures, t.awaits_right, t.drift,
                      t.repair_scope, t.wait_reason, t.parked_reason, t.message,
                      t.not_before AS "not_before: Instant", t.settles_at AS "settles_at: Instant",
                      t.ready_at AS "ready_at: Instant", t.progress_at AS "progress_at: Instant",
                      t.proof_refused_at AS "proof_refused_at: Instant",
                      t.client_missing_at AS "client_missing_at: Instant",
                      t.credential_refused_at AS "credential_refused_at: Instant",
                      t.right_refused_at AS "right_refused_at: Instant", t.recheck_at AS "recheck_at: Instant",
                      t.retire_at AS "retire_at: Instant", t.audit_at AS "audit_at: Instant",
                      t.audited_at AS "audited_at: Instant", t.drifted_at AS "drifted_at: Instant",
                      t.applied_wants, t.edited_at AS "edited_at: Instant", t.reason_since AS "reason_since: Instant",
                      t.backoff_at AS "backoff_at: Instant", t.due_at AS "due_at: Instant",
                      t.spent, t.rests_for, t.rested_at AS "rested_at: Instant",
                      t.created_at AS "created_at: Instant", t.paused_until AS "paused_until: Instant",
                      t.lease_epoch, tenantd.clock() AS "now!",
                      t.labels ->> 'traceparent' AS traceparent, t.turned_at AS "turned_at: Instant",
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
            &terms.configured.profiles,
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
