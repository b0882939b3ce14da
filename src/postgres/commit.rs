//! The commit: everything a decision changes, in one fenced statement.
//!
//! The rule: the statement matches the row's fencing epoch *and* the count of
//! commits under it. A worker that was taken over writes nothing; a commit whose
//! answer was lost may be sent again and is recognised when it had landed.

mod columns;

use std::time::Duration;

use self::columns::Columns;

use super::{Store, StoreError, interval};
use crate::domain::effect::EffectKind;
use crate::domain::failure::Evidence;
use crate::domain::ids::{Fence, Hint, TenantId};
use crate::domain::transition::Decision;

/// A sealed secret on its way into the store.
#[derive(Debug, Clone)]
pub struct SealedSecret {
    /// The compact JWE.
    pub sealed: String,
    /// The `kid` of the key that sealed it.
    pub key_id: String,
}

/// The outcome of an effect that worked.
pub const DONE: &str = "done";

/// One effect that was tried, for the history.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Which.
    pub effect: EffectKind,
    /// `done`, or the retry class of the failure.
    pub outcome: &'static str,
    /// What Qlik's answer said.
    pub evidence: Evidence,
    /// What happened, in our words.
    pub message: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// What the owner wants now, as every commit returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Whether the tenant should have a credential.
    pub is_present: bool,
    /// Whether an operator keeps the daemon away from it, its region or the fleet.
    pub is_paused: bool,
}

impl Store {
    /// Writes a decision down, with its attempt and its sealed secret.
    ///
    /// Safe to send again after an answer was lost: a commit that had landed is
    /// recognised by the fence and not written twice.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when another holder has the row;
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.tenants.commit", level = "debug", skip_all, fields(tenant.id = %tenant))]
    pub async fn commit(
        &self,
        tenant: TenantId,
        fence: Fence,
        decision: &Decision,
        sealed: Option<&SealedSecret>,
        attempt: Option<&Attempt>,
    ) -> Result<Desired, StoreError> {
        match self.write(tenant, fence, decision, sealed, attempt).await? {
            Some(desired) => Ok(desired),
            None => self.had_landed(tenant, fence).await,
        }
    }

    /// A commit that touched no row: either it had landed before its answer was
    /// lost, or somebody else has the row.
    async fn had_landed(&self, tenant: TenantId, fence: Fence) -> Result<Desired, StoreError> {
        let row = sqlx::query!(
                r#"
            -- tenants.had_landed
            SELECT t.desired_state,
                   coalesce(t.paused_at IS NOT NULL
                            AND (t.paused_until IS NULL OR t.paused_until > tenantd.clock()), false)
                   OR EXISTS (SELECT FROM tenantd.pauses AS p
                               WHERE p.region IN ('*', t.region)
                                 AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock())) AS "is_paused!"
              FROM tenantd.tenants AS t
             WHERE t.tenant_id = $1 AND t.lease_epoch = $2 AND t.lease_step = $3 + 1
            "#,
                tenant.0,
                fence.epoch,
                fence.step
            )
            .fetch_optional(&self.connections)
        .await?;
        row.map(|row| Desired { is_present: row.desired_state == "present", is_paused: row.is_paused })
            .ok_or(StoreError::LeaseLost(tenant))
    }

    #[expect(clippy::too_many_lines, reason = "one statement, and its arguments")]
    async fn write(
        &self,
        tenant: TenantId,
        fence: Fence,
        decision: &Decision,
        sealed: Option<&SealedSecret>,
        attempt: Option<&Attempt>,
    ) -> Result<Option<Desired>, StoreError> {
        let row = Columns::of(decision);
        let snapshot = decision.tenant.snapshot.as_deref().map(texts);
        let stand = decision.tenant.stand();
        let written = sqlx::query!(
            r#"
            -- tenants.commit
            WITH hold AS (
                -- Somebody may have agreed since the decision; who agrees now waits for this commit, and
                -- then wakes the row.
                SELECT i.deletions_held_at IS NOT NULL AS is_on FROM tenantd.installation AS i WHERE $42 FOR SHARE
            ), held AS (
                UPDATE tenantd.tenants AS t
                   SET phase = CASE WHEN $4 = 'removed' AND t.desired_state = 'present' THEN 'pending' ELSE $4 END,
                       client_id = $5,
                       unanswered = $6,
                       settles_at = tenantd.clock() + $7::interval,
                       mint_snapshot = $8,
                       is_adopted = $9,
                       is_minted_afresh = $10,
                       failures = $11,
                       progress_at = CASE WHEN $12 THEN tenantd.clock() ELSE t.progress_at + $13::interval END,
                       proof_refused_at = CASE WHEN $14 THEN coalesce(t.proof_refused_at, tenantd.clock()) END,
                       client_missing_at = CASE WHEN $15 THEN coalesce(t.client_missing_at, tenantd.clock()) END,
                       credential_refused_at = CASE WHEN $16 THEN tenantd.clock()
                                                    WHEN NOT $12 THEN t.credential_refused_at END,
                       -- Kept beyond other progress: it tells whether others were granted it since.
                       right_refused_at = CASE WHEN $43::text IS NOT NULL AND t.awaits_right IS DISTINCT FROM $43
                                               THEN CASE WHEN $44 THEN tenantd.clock() END
                                               WHEN $44 THEN coalesce(t.right_refused_at, tenantd.clock())
                                               WHEN $19 = 'shred' OR $28 = t.awaits_right AND $29 = 'done' THEN NULL
                                               ELSE t.right_refused_at END,
                       awaits_right = CASE WHEN $43::text IS NOT NULL THEN $43
                                           WHEN $19 = 'shred' OR $28 = t.awaits_right AND $29 = 'done' THEN NULL
                                           ELSE t.awaits_right END,
                       recheck_at = CASE WHEN $17 AND t.recheck_at <= tenantd.clock() THEN NULL
                                         ELSE greatest(t.recheck_at, tenantd.clock() + $18::interval) END,
                       -- Numbers never go back; the trigger follow_version has desired_version follow.
                       current_version = CASE WHEN $19 = 'promote'
                                              THEN greatest(t.desired_version, tenantd.version_after(t.current_version),
                                                            (SELECT i.version_floor FROM tenantd.installation AS i))
                                              WHEN $19 = 'shred' THEN NULL
                                              ELSE t.current_version END,
                       acknowledged_version = CASE WHEN $19 = 'shred' THEN NULL
                                                   ELSE t.acknowledged_version END,
                       ready_at = CASE WHEN $19 = 'promote' THEN coalesce(t.ready_at, tenantd.clock())
                                       WHEN $19 = 'shred' THEN NULL
                                       ELSE t.ready_at END,
                       retire_at = CASE WHEN $19 = 'promote' AND t.current_version IS NOT NULL
                                        THEN least(t.retire_at, tenantd.clock() + $37::interval)
                                        WHEN $19 = 'withdraw'
                                        THEN tenantd.next_retirement(t.tenant_id, t.leased_at, NULL)
                                        WHEN $19 = 'lose' THEN tenantd.next_retirement(t.tenant_id, NULL, $25)
                                        WHEN $19 = 'shred' THEN NULL
                                        ELSE t.retire_at END,
                       version_gap = CASE WHEN $19 <> 'promote' THEN t.version_gap ELSE 0 END,
                       audit_at = CASE WHEN $38 THEN tenantd.clock() + $39::interval ELSE t.audit_at END,
                       audited_at = CASE WHEN $38 THEN tenantd.clock() ELSE t.audited_at END,
                       -- An edit that came after the claim was not seen by this audit.
                       edited_at = CASE WHEN $38 AND t.edited_at <= t.leased_at OR $19 = 'shred' THEN NULL
                                        ELSE t.edited_at END,
                       repair_scope = CASE WHEN $38 OR $19 = 'shred' THEN NULL ELSE t.repair_scope END,
                       drift = $40,
                       drifted_at = CASE WHEN $40::text[] <> '{}' THEN coalesce(t.drifted_at, tenantd.clock()) END,
                       must_look = $41 OR $19 = 'shred',
                       left_clients = $45,
                       removal_admitted_at = CASE WHEN $19 <> 'shred' THEN t.removal_admitted_at
                                                  WHEN $4 = 'removed' AND t.desired_state = 'absent'
                                                  THEN coalesce(t.removal_admitted_at, tenantd.clock()) END,
                       wait_reason = CASE WHEN $36 THEN t.wait_reason ELSE $20 END,
                       -- What may go now goes, whatever stood in its way.
                       parked_reason = CASE WHEN NOT (t.desired_state = 'absent' AND t.removal_admitted_at IS NOT NULL
                                                      AND $4 NOT IN ('removing', 'removed')) THEN $21 END,
                       message = CASE WHEN $36 THEN t.message ELSE $22 END,
                       reason_since = CASE WHEN (t.phase, CASE WHEN $36 THEN $20 ELSE t.wait_reason END, t.parked_reason)
                                                IS DISTINCT FROM ($4, $20, $21)
                                           THEN tenantd.clock() ELSE t.reason_since END,
                       due_at = CASE WHEN t.desired_state = 'absent' AND t.removal_admitted_at IS NOT NULL
                                          AND $4 NOT IN ('removing', 'removed') THEN tenantd.clock()
                                     WHEN $21::text IS NOT NULL THEN NULL
                                     -- It waits for the removal budget.
                                     WHEN t.desired_state = 'absent' AND t.removal_admitted_at IS NULL
                                          AND $4 NOT IN ('removing', 'removed') THEN NULL
                                     WHEN $23 = 'hold' THEN t.due_at
                                     WHEN $23 = 'settled' AND $4 = 'removed' AND t.desired_state = 'present'
                                     THEN greatest(tenantd.clock(), t.not_before)
                                     -- The first thing a ready tenant is due for, as the columns above say.
                                     WHEN $23 = 'settled'
                                     THEN least(CASE WHEN NOT ($17 AND t.recheck_at <= tenantd.clock())
                                                          AND NOT ((SELECT is_on FROM hold) IS TRUE AND $4 = 'ready')
                                                     THEN greatest(t.recheck_at, tenantd.clock() + $18::interval) END,
                                                CASE WHEN $4 = 'ready' THEN least(
                                                     CASE WHEN $38 THEN tenantd.clock() + $39::interval
                                                          ELSE t.audit_at END,
                                                     -- What would delete waits while deletions are held; the
                                                     -- agreement wakes it.
                                                     CASE WHEN (SELECT is_on FROM hold) THEN
                                                               CASE WHEN t.retire_at IS NOT NULL OR t.recheck_at IS NOT NULL
                                                                         OR $8::text[] IS NOT NULL OR $9
                                                                         OR EXISTS (SELECT FROM tenantd.secrets AS d
                                                                                     WHERE d.tenant_id = t.tenant_id
                                                                                       AND d.standing = 'discarded')
                                                                    THEN tenantd.clock() + interval '15 minutes' END
                                                          WHEN $19 = 'promote' AND t.current_version IS NOT NULL
                                                          THEN least(t.retire_at, tenantd.clock() + $37::interval)
                                                          ELSE t.retire_at END,
                                                     CASE WHEN $41 OR t.desired_version > t.current_version
                                                                      AND $19 <> 'promote'
                                                               OR t.edited_at > t.leased_at
                                                               OR t.edited_at IS NOT NULL AND NOT $38
                                                               OR t.repair_scope IS NOT NULL AND NOT $38
                                                          THEN tenantd.clock() END) END)
                                     ELSE tenantd.clock() + $24::interval END,
                       lease_holder = CASE WHEN $23 = 'hold' THEN t.lease_holder END,
                       leased_at = CASE WHEN $23 = 'hold' THEN t.leased_at END,
                       lease_expires_at = CASE WHEN $23 = 'hold' THEN t.lease_expires_at END,
                       lease_step = t.lease_step + 1,
                       updated_at = tenantd.clock()
                 WHERE t.tenant_id = $1
                   AND t.lease_epoch = $2
                   AND t.lease_step = $3
                   AND tenantd.assert_recognised()
                RETURNING t.tenant_id, t.client_id, t.current_version, t.desired_state, t.phase, t.leased_at,
                          coalesce(t.paused_at IS NOT NULL
                                   AND (t.paused_until IS NULL OR t.paused_until > tenantd.clock()), false)
                          OR EXISTS (SELECT FROM tenantd.pauses AS p
                                      WHERE p.region IN ('*', t.region)
                                        AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock())) AS is_paused
            ), sealed AS (
                INSERT INTO tenantd.secrets (tenant_id, client_id, hint, sealed, key_id)
                SELECT held.tenant_id, held.client_id, $25, $26, $27
                  FROM held
                 WHERE $19 = 'seal'
            ), restood AS (
                UPDATE tenantd.secrets AS s
                   SET standing = CASE WHEN $19 = 'promote' AND s.standing = 'current' THEN 'previous'
                                       WHEN $19 = 'promote' THEN 'current'
                                       WHEN $19 IN ('discard', 'withdraw') THEN 'discarded'
                                       ELSE s.standing END,
                       hint = CASE $19 WHEN 'identify' THEN $25 ELSE s.hint END,
                       version = CASE WHEN $19 = 'promote' AND s.standing = 'current' THEN s.version
                                      WHEN $19 = 'promote' THEN held.current_version END,
                       proven_at = CASE WHEN $19 = 'promote' AND s.standing = 'current' THEN s.proven_at
                                        WHEN $19 = 'promote' THEN tenantd.clock() END,
                       retire_at = CASE WHEN $19 = 'promote' AND s.standing = 'current'
                                        THEN tenantd.clock() + $37::interval END
                  FROM held
                 -- First and by itself, so that Postgres looks at no secret for the other words.
                 WHERE $19 IN ('promote', 'identify', 'discard', 'withdraw')
                   AND s.tenant_id = held.tenant_id
                   AND (s.standing = 'unproven' AND $19 IN ('promote', 'identify', 'discard')
                        OR s.standing = 'current' AND $19 = 'promote'
                        OR s.standing = 'previous' AND $19 = 'withdraw' AND s.retire_at <= held.leased_at)
            ), forgotten AS (
                DELETE FROM tenantd.secrets AS s
                 USING held
                 WHERE $19 IN ('shred', 'forget', 'lose')
                   AND s.tenant_id = held.tenant_id
                   AND ($19 = 'shred'
                        OR $19 = 'forget' AND s.standing = 'discarded' AND s.hint = $25
                        OR $19 = 'lose' AND s.standing = 'previous' AND s.hint = $25)
            ), attempted AS (
                INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, http_status, error_code, trace_id,
                                              message, started_at, duration_ms, holder)
                SELECT held.tenant_id, held.phase, $28, $29, $30, $31, $32, $33,
                       tenantd.clock() - make_interval(secs => $34::integer / 1000.0), $34, $35
                  FROM held
                 WHERE $28::text IS NOT NULL
            )
            SELECT desired_state, is_paused AS "is_paused!" FROM held
            "#,
            tenant.0,
            fence.epoch,
            fence.step,
            stand.phase.as_str(),
            stand.client.map(crate::domain::ids::ClientId::as_str),
            stand.unanswered.map(crate::domain::tenant::Unanswered::as_str),
            stand.settle.map(interval) as _,
            snapshot.as_deref() as Option<&[String]>,
            decision.tenant.is_adopted,
            decision.tenant.is_afresh,
            i32::try_from(decision.tenant.failures).unwrap_or(i32::MAX),
            row.is_progress,
            interval(row.excused),
            row.is_proof_refused,
            row.is_client_missing,
            row.is_credential_refused,
            row.is_rechecked,
            row.recheck_after.map(interval) as _,
            row.secret,
            row.wait_reason,
            row.parked_reason,
            row.message,
            row.rest,
            row.due.map(interval) as _,
            row.hint.map(Hint::as_str),
            sealed.map(|sealed| sealed.sealed.as_str()),
            sealed.map(|sealed| sealed.key_id.as_str()),
            attempt.map(|attempt| attempt.effect.as_str()),
            attempt.map(|attempt| attempt.outcome),
            attempt.and_then(|attempt| attempt.evidence.status).and_then(|status| i16::try_from(status).ok()),
            attempt.and_then(|attempt| attempt.evidence.code.as_deref()),
            attempt.and_then(|attempt| attempt.evidence.trace_id.as_deref()),
            attempt.and_then(|attempt| attempt.message.as_deref()),
            attempt.map_or(0, |attempt| i32::try_from(attempt.took.as_millis()).unwrap_or(i32::MAX)),
            self.holder.0,
            row.is_reason_kept,
            row.overlap.map(interval) as _,
            row.is_audited,
            row.audit_after.map(interval) as _,
            &decision.tenant.drift.iter().map(ToString::to_string).collect::<Vec<_>>() as &[String],
            decision.tenant.must_look,
            decision.tenant.hold.is_some(),
            row.awaits_right,
            row.is_right_refused,
            &decision.tenant.left.iter().map(ToString::to_string).collect::<Vec<_>>() as &[String],
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(written
            .map(|row| Desired { is_present: row.desired_state == "present", is_paused: row.is_paused }))
    }
}

fn texts(hints: &[Hint]) -> Vec<String> {
    hints.iter().map(ToString::to_string).collect()
}
