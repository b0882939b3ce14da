//! The commit: what was decided of some tenants, in one fenced statement.
//!
//! The statement computes nothing: it writes the core's columns by name, and turns
//! durations into instants. A member of it is written if its row is still under the fencing
//! epoch *and* the count of commits that it was decided on; an intent that cannot be undone
//! besides only if nobody has said anything of the tenant since. What was said since leaves
//! the row due at once, so that it is decided anew.
//!
//! The rules: a worker that was taken over writes nothing; a commit whose answer was lost
//! may be sent again and is recognised when it had landed; **a row that somebody else has
//! locked stops no other member**: it is told as busy, and nothing of it is written.

mod columns;

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Uuid;

use crate::domain::failure::Evidence;
use crate::domain::hints::StoredSecret;
use crate::domain::ids::{Fence, TenantId};
use crate::domain::machine::effect::EffectKind;
use crate::domain::phase::Phase;
use crate::domain::record::Record;
use crate::postgres::{Store, StoreError};

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
    /// The phase after it.
    pub phase: Phase,
    /// `done`, or the retry class of the failure.
    pub outcome: &'static str,
    /// What Qlik's answer said.
    pub evidence: Evidence,
    /// What happened, in our words.
    pub message: Option<String>,
    /// How long before the commit it began.
    pub began_ago: Duration,
    /// How long it took.
    pub took: Duration,
}

/// What is to be written of one tenant.
#[derive(Debug, Clone)]
pub struct Write {
    /// Whose row.
    pub tenant: TenantId,
    /// What the row must still be under.
    pub fence: Fence,
    /// What was said of the tenant when it was decided.
    pub generation: i64,
    /// It records an intent that cannot be undone.
    pub is_intent: bool,
    /// It was decided while deletions were held.
    pub is_held: bool,
    /// The worker goes on.
    pub keeps_lease: bool,
    /// What the row says from now on.
    pub record: Record,
    /// The secrets as they were stored before.
    pub stored: Vec<StoredSecret>,
    /// The secret to store with it.
    pub sealed: Option<SealedSecret>,
    /// What was tried since the last commit, the oldest first.
    pub attempts: Vec<Attempt>,
}

/// What the database knows once a write has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// When that was.
    pub at: DateTime<Utc>,
    /// Nobody has said anything of the tenant that the decision did not know.
    pub is_current: bool,
    /// An operator keeps the daemon away from its region or the fleet.
    pub is_stopped: bool,
    /// Under which a new secret is stored.
    pub sealed: Option<i64>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is written, now or before.
    Done(Committed),
    /// Somebody has said something of the tenant since: the intent is decided anew.
    Superseded,
    /// Somebody else's transaction has the row locked.
    Busy,
    /// Another holder has the row.
    Fenced,
}

impl Store {
    /// Writes what was decided of these tenants, each at most once in the list; answers in
    /// the same order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`]: then nothing was written, or the answer was lost.
    pub async fn commit(&self, writes: &[&Write]) -> Result<Vec<Answer>, StoreError> {
        let written = self.write(writes).await?;
        let absent: Vec<_> =
            writes.iter().copied().filter(|write| !written.contains_key(&write.tenant.0)).collect();
        let told = if absent.is_empty() { HashMap::new() } else { self.absent(&absent).await? };
        let answer = |write: &&Write| {
            let tenant = &write.tenant.0;
            written.get(tenant).or_else(|| told.get(tenant)).copied().unwrap_or(Answer::Fenced)
        };
        Ok(writes.iter().map(answer).collect())
    }

    #[expect(clippy::too_many_lines, reason = "one statement, name by name")]
    #[tracing::instrument(name = "db.tenants.commit", level = "debug", skip_all, fields(members = writes.len()))]
    async fn write(&self, writes: &[&Write]) -> Result<HashMap<Uuid, Answer>, StoreError> {
        let decided = serde_json::to_string(writes).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let rows = sqlx::query!(
            r#"
            -- tenants.commit
            WITH decided AS (
                SELECT *
                  FROM json_to_recordset($1::text::json) AS d (
                       tenant_id uuid, epoch bigint, step integer, generation bigint,
                       is_intent boolean, is_held boolean, keeps_lease boolean,
                       phase text, client_id text, unanswered text, settles_at timestamptz, settles_after bigint,
                       mint_snapshot text[], is_adopted boolean, is_minted_afresh boolean, must_look boolean,
                       left_clients text[], current_version integer,
                       last_version integer, served_version integer, ready_at timestamptz, ready_after bigint,
                       drift text[], drifted_at timestamptz, drifted_after bigint,
                       failures integer, progress_at timestamptz, progress_after bigint,
                       proof_refused_at timestamptz, proof_refused_after bigint,
                       client_missing_at timestamptz, client_missing_after bigint,
                       credential_refused_at timestamptz, credential_refused_after bigint,
                       awaits_right text, right_refused_at timestamptz, right_refused_after bigint,
                       wait_reason text, parked_reason text, message text,
                       reason_since_at timestamptz, reason_since_after bigint,
                       backoff_at timestamptz, backoff_after bigint,
                       spent bigint[], rested_at timestamptz, rested_after bigint, rests_for text,
                       recheck_at timestamptz, recheck_after bigint, retire_at timestamptz, retire_after bigint,
                       audit_at timestamptz, audit_after bigint, audited_at timestamptz, audited_after bigint,
                       applied_wants bytea, edited_at timestamptz, edited_after bigint, repair_scope text,
                       due_at timestamptz, due_after bigint, secrets json, attempts json)
                 -- Asked once, before anything is locked.
                 WHERE tenantd.assert_place()
            ), hold AS (
                -- Somebody may have agreed since the decision; who agrees now waits for this commit, and
                -- then wakes the row.
                SELECT i.deletions_held_at IS NOT NULL AS is_on FROM tenantd.installation AS i WHERE $2 FOR SHARE
            ), held AS (
                -- One by one through the key, in the order of ids, however large Postgres takes a batch for.
                -- The hold is asked for first: who agrees locks it before the rows, too.
                SELECT d.*, t.generation = d.generation AND (NOT d.is_held OR d.is_on) AS is_current
                  FROM (SELECT decided.*, hold.is_on FROM decided LEFT JOIN hold ON true ORDER BY tenant_id) AS d
                 CROSS JOIN LATERAL (
                       SELECT x.generation
                         FROM tenantd.tenants AS x
                        WHERE x.tenant_id = d.tenant_id
                          AND x.lease_epoch = d.epoch
                          AND x.lease_step = d.step
                          AND x.rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i)
                          AND (x.generation = d.generation OR NOT d.is_intent)
                          FOR NO KEY UPDATE SKIP LOCKED) AS t
            ), written AS (
                UPDATE tenantd.tenants AS t
                   SET phase = d.phase,
                       client_id = d.client_id,
                       unanswered = d.unanswered,
                       settles_at = coalesce(d.settles_at, tenantd.clock() + d.settles_after * interval '1 microsecond'),
                       mint_snapshot = d.mint_snapshot,
                       is_adopted = d.is_adopted,
                       is_minted_afresh = d.is_minted_afresh,
                       must_look = d.must_look,
                       left_clients = d.left_clients,
                       current_version = d.current_version,
                       last_version = d.last_version,
                       applied_wants = d.applied_wants,
                       served_version = d.served_version,
                       ready_at = coalesce(d.ready_at, tenantd.clock() + d.ready_after * interval '1 microsecond'),
                       drift = d.drift,
                       drifted_at = coalesce(d.drifted_at, tenantd.clock() + d.drifted_after * interval '1 microsecond'),
                       failures = d.failures,
                       progress_at = coalesce(d.progress_at, tenantd.clock() + d.progress_after * interval '1 microsecond'),
                       proof_refused_at = coalesce(d.proof_refused_at, tenantd.clock() + d.proof_refused_after * interval '1 microsecond'),
                       client_missing_at = coalesce(d.client_missing_at, tenantd.clock() + d.client_missing_after * interval '1 microsecond'),
                       credential_refused_at = coalesce(d.credential_refused_at, tenantd.clock() + d.credential_refused_after * interval '1 microsecond'),
                       awaits_right = d.awaits_right,
                       right_refused_at = coalesce(d.right_refused_at, tenantd.clock() + d.right_refused_after * interval '1 microsecond'),
                       wait_reason = d.wait_reason,
                       -- Only who has heard all that others said parks a row anew, or uses up what they said.
                       parked_reason = CASE WHEN d.is_current OR d.parked_reason = t.parked_reason THEN d.parked_reason END,
                       message = d.message,
                       reason_since = coalesce(d.reason_since_at, tenantd.clock() + d.reason_since_after * interval '1 microsecond'),
                       backoff_at = coalesce(d.backoff_at, tenantd.clock() + d.backoff_after * interval '1 microsecond'),
                       spent = d.spent,
                       rested_at = coalesce(d.rested_at, tenantd.clock() + d.rested_after * interval '1 microsecond'),
                       rests_for = d.rests_for,
                       retire_at = coalesce(d.retire_at, tenantd.clock() + d.retire_after * interval '1 microsecond'),
                       audited_at = coalesce(d.audited_at, tenantd.clock() + d.audited_after * interval '1 microsecond'),
                       recheck_at = greatest(coalesce(d.recheck_at, tenantd.clock() + d.recheck_after * interval '1 microsecond'),
                                             CASE WHEN NOT d.is_current THEN t.recheck_at END),
                       audit_at = CASE WHEN d.is_current
                                       THEN coalesce(d.audit_at, tenantd.clock() + d.audit_after * interval '1 microsecond')
                                       ELSE t.audit_at END,
                       edited_at = CASE WHEN d.is_current
                                        THEN coalesce(d.edited_at, tenantd.clock() + d.edited_after * interval '1 microsecond')
                                        ELSE t.edited_at END,
                       repair_scope = CASE WHEN d.is_current THEN d.repair_scope ELSE t.repair_scope END,
                       due_at = CASE WHEN d.is_current OR d.keeps_lease
                                     THEN coalesce(d.due_at, tenantd.clock() + d.due_after * interval '1 microsecond')
                                     ELSE tenantd.clock() END,
                       lease_holder = CASE WHEN d.keeps_lease THEN t.lease_holder END,
                       leased_at = CASE WHEN d.keeps_lease THEN t.leased_at END,
                       lease_expires_at = CASE WHEN d.keeps_lease THEN t.lease_expires_at END,
                       lease_step = t.lease_step + 1,
                       updated_at = tenantd.clock()
                  FROM held AS d
                 WHERE t.tenant_id = d.tenant_id
                   -- So that Postgres takes the key, and not the table.
                   AND t.tenant_id = ANY (ARRAY(SELECT tenant_id FROM held))
                RETURNING t.tenant_id, t.region, d.is_current AND t.generation = d.generation AS is_current, d.secrets,
                          d.attempts
            ), secret AS (
                SELECT w.tenant_id, s.*
                  FROM written AS w
                 CROSS JOIN LATERAL json_to_recordset(w.secrets) AS s (
                       secret_id bigint, is_gone boolean, standing text, hint text, version integer,
                       proven_at timestamptz, proven_after bigint, retire_at timestamptz, retire_after bigint,
                       client_id text, sealed text, key_id text)
            ), sealed AS (
                INSERT INTO tenantd.secrets (tenant_id, client_id, hint, sealed, key_id)
                SELECT tenant_id, client_id, hint, sealed, key_id FROM secret WHERE secret_id IS NULL
                RETURNING tenant_id, secret_id
            ), changed AS (
                UPDATE tenantd.secrets AS s
                   SET standing = d.standing,
                       hint = d.hint,
                       version = d.version,
                       proven_at = coalesce(d.proven_at, tenantd.clock() + d.proven_after * interval '1 microsecond'),
                       retire_at = coalesce(d.retire_at, tenantd.clock() + d.retire_after * interval '1 microsecond')
                  FROM secret AS d
                 WHERE s.secret_id = d.secret_id AND s.tenant_id = d.tenant_id AND NOT d.is_gone
                   AND s.secret_id = ANY (ARRAY(SELECT secret_id FROM secret WHERE NOT is_gone))
            ), forgotten AS (
                DELETE FROM tenantd.secrets AS s
                 USING secret AS d
                 WHERE s.secret_id = d.secret_id AND s.tenant_id = d.tenant_id AND d.is_gone
                   AND s.secret_id = ANY (ARRAY(SELECT secret_id FROM secret WHERE is_gone))
            ), attempted AS (
                INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, http_status, error_code, trace_id,
                                              message, started_at, duration_ms, holder)
                SELECT w.tenant_id, a.phase, a.effect, a.outcome, a.http_status, a.error_code, a.trace_id, a.message,
                       tenantd.clock() - a.began_ms_ago * interval '1 millisecond', a.duration_ms, $3
                  FROM written AS w
                 CROSS JOIN LATERAL json_to_recordset(w.attempts) AS a (
                       phase text, effect text, outcome text, http_status smallint, error_code text, trace_id text,
                       message text, began_ms_ago integer, duration_ms integer)
            )
            SELECT w.tenant_id AS "tenant_id!", w.is_current AS "is_current!", tenantd.clock() AS "at!", s.secret_id AS "sealed?",
                   EXISTS (SELECT FROM tenantd.pauses AS p
                            WHERE p.region IN ('*', w.region)
                              AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock())) AS "is_stopped!"
              FROM written AS w
              LEFT JOIN sealed AS s ON s.tenant_id = w.tenant_id
            "#,
            decided,
            writes.iter().any(|write| write.is_held),
            self.holder.0,
        )
        .fetch_all(&self.connections)
        .await?;
        let done = rows.into_iter().map(|row| {
            let (at, is_current, is_stopped, sealed) = (row.at, row.is_current, row.is_stopped, row.sealed);
            (row.tenant_id, Answer::Done(Committed { at, is_current, is_stopped, sealed }))
        });
        Ok(done.collect())
    }

    /// Why nothing was written of these: it had landed before its answer was lost, somebody
    /// else has the row or has it locked, or the intent is not wanted any more.
    async fn absent(&self, writes: &[&Write]) -> Result<HashMap<Uuid, Answer>, StoreError> {
        let tenants: Vec<_> = writes.iter().map(|write| write.tenant.0).collect();
        let rows = sqlx::query!(
            r#"
            -- tenants.had_landed
            SELECT t.tenant_id, t.lease_epoch, t.lease_step, t.generation, t.updated_at AS at,
                   t.rejoin_epoch = (SELECT i.rejoin_epoch FROM tenantd.installation AS i) AS "is_believed!",
                   (SELECT max(s.secret_id) FROM tenantd.secrets AS s
                     WHERE s.tenant_id = t.tenant_id AND s.standing = 'unproven') AS sealed,
                   EXISTS (SELECT FROM tenantd.pauses AS p
                            WHERE p.region IN ('*', t.region)
                              AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock())) AS "is_stopped!"
              FROM tenantd.tenants AS t
             WHERE t.tenant_id = ANY ($1)
            "#,
            &tenants
        )
        .fetch_all(&self.connections)
        .await?;
        let told = writes.iter().filter_map(|write| {
            let row = rows.iter().find(|row| row.tenant_id == write.tenant.0)?;
            let is_current = row.generation == write.generation;
            let answer = match row.lease_step - write.fence.step {
                _ if row.lease_epoch != write.fence.epoch || !row.is_believed => Answer::Fenced,
                1 => Answer::Done(Committed {
                    at: row.at,
                    is_current,
                    is_stopped: row.is_stopped,
                    sealed: row.sealed,
                }),
                0 if write.is_intent && !is_current => Answer::Superseded,
                0 => Answer::Busy,
                _ => Answer::Fenced,
            };
            Some((row.tenant_id, answer))
        });
        Ok(told.collect())
    }
}
