//! A database that came out of a backup, and how it finds its way back to what Qlik knows.
//!
//! After a restore the rows say what was true then. Clients, secrets and deletions since
//! are known to Qlik alone. So every row is looked at before it is acted on, and
//! nothing is deleted at Qlik until an operator has read what was found.
//!
//! The rule: **only an operator lifts the hold on deletions**; a client or secret that
//! this database does not know may be in use.

use chrono::{DateTime, Utc};
use serde::Serialize;

use std::time::Duration;

use crate::domain::place::{Hold, Recognition};
use crate::postgres::connections::Link;
use crate::postgres::{Store, StoreError, interval, recognise};

/// What came of agreeing to deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// Deletions go on.
    Done,
    /// They were not held.
    NotHeld,
    /// Nobody said yet that this is the real database.
    NotConfirmed,
}

/// Where a rejoin stands.
#[derive(Debug, Clone, Serialize)]
pub struct Rejoining {
    /// When the database was last taken for a restored one.
    pub rejoined_at: Option<DateTime<Utc>>,
    /// Since when deletions are held.
    pub deletions_held_at: Option<DateTime<Utc>>,
    /// Since when nothing at all is changed, because this may be a copy.
    pub changes_held_at: Option<DateTime<Utc>>,
    /// Why.
    pub held_reason: Option<String>,
    /// Tenants that have not been looked at yet.
    pub to_look_at: i64,
    /// What was found that this database does not know, and what waits for the hold.
    pub findings: Vec<Finding>,
}

/// Something for the operator to read before agreeing to deletions.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The pipeline's key.
    pub external_id: String,
    /// Where the tenant lives.
    pub host: String,
    /// The client, where one is known.
    pub client_id: Option<String>,
    /// What it is.
    pub finding: String,
}

impl Store {
    /// Takes the database for a restored one: every row is to be looked at before it is
    /// acted on, every holder is fenced out, and deletions at Qlik are held; all changes
    /// where it is another one than that which was recognised, as before any daemon had
    /// found that out. Returns how many rows that are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.installation.rejoin", skip_all)]
    pub async fn rejoin(&self, reason: &str, settle: Duration) -> Result<u64, StoreError> {
        let mut transaction = self.patient.begin().await?;
        let recognition = recognise::judge(&mut transaction, None).await?;
        let rows = match recognition {
            Recognition::First | Recognition::Same | Recognition::Forgetful(_) => {
                distrust(&mut transaction, reason, Hold::Deletions, settle).await?
            }
            Recognition::Another(what) => {
                distrust(&mut transaction, &format!("{reason}: {what}"), Hold::Changes, settle).await?
            }
        };
        transaction.commit().await?;
        Ok(rows)
    }

    /// Somebody says that this is the real database: changes at Qlik go on. What was found
    /// meanwhile may be out of date, so every row is looked at again, and deletions stay
    /// held. `None` when changes were not held.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn confirm_as_real(&self, reason: &str, settle: Duration) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.patient.begin().await?;
        let lifted = sqlx::query!(
            r#"
            -- installation.confirm
            UPDATE tenantd.installation SET changes_held_at = NULL WHERE changes_held_at IS NOT NULL
            "#
        )
        .execute(&mut *transaction)
        .await?;
        if lifted.rows_affected() == 0 {
            return Ok(None);
        }
        let rows = distrust(&mut transaction, reason, Hold::Deletions, settle).await?;
        transaction.commit().await?;
        Ok(Some(rows))
    }

    /// Lifts the hold on deletions, and wakes what waited for it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn agree_to_deletions(&self) -> Result<Agreed, StoreError> {
        let mut transaction = self.patient.begin().await?;
        let lifted = sqlx::query!(
            r#"
            -- installation.agree
            WITH lifted AS (
                UPDATE tenantd.installation
                   SET deletions_held_at = NULL, held_reason = NULL
                 WHERE deletions_held_at IS NOT NULL AND changes_held_at IS NULL
                RETURNING only_row
            )
            SELECT EXISTS (SELECT FROM lifted) AS "is_lifted!",
                   EXISTS (SELECT FROM tenantd.installation WHERE changes_held_at IS NOT NULL) AS "is_unconfirmed!"
            "#
        )
        .fetch_one(&mut *transaction)
        .await?;
        if !lifted.is_lifted {
            return Ok(if lifted.is_unconfirmed { Agreed::NotConfirmed } else { Agreed::NotHeld });
        }
        wake_held(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Agreed::Done)
    }

    /// Where the rejoin stands, and what was found.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn rejoining(&self) -> Result<Rejoining, StoreError> {
        let installation = sqlx::query!(
            r#"
            -- installation.rejoining
            SELECT i.rejoined_at, i.deletions_held_at, i.changes_held_at, i.held_reason,
                   (SELECT count(*) FROM tenantd.tenants AS t
                     WHERE t.parked_reason IS NULL
                       AND CASE WHEN t.phase = 'removed'
                                -- It may have begun another life since, and its client be in use.
                                THEN t.recheck_at IS NOT NULL AND t.wait_reason IS NULL
                                ELSE t.must_look AND t.phase <> 'pending' AND t.desired_state = 'present' END) AS "to_look_at!"
              FROM tenantd.installation AS i
            "#
        )
        .fetch_one(&self.connections);
        let installation = installation.await?;
        let findings = sqlx::query_as!(
            Finding,
            r#"
            -- tenants.findings
            SELECT t.external_id, t.host, t.client_id,
                   CASE WHEN t.parked_reason = 'EarlierClientFound'
                        THEN 'a client of a row that this database does not know'
                        WHEN t.phase = 'removed' AND t.wait_reason IN ('DeletionsHeld', 'ChangesHeld')
                        THEN 'removed here, but its client is at Qlik: set desired_state to present to keep it, or agree to its deletion'
                        WHEN t.desired_state = 'absent' AND t.phase <> 'removed' THEN 'its removal waits for your agreement'
                        WHEN t.wait_reason = 'DeletionsHeld' THEN 'a deletion waits for your agreement'
                        WHEN 'client_missing' = ANY (t.drift) THEN 'the client of this row is not at Qlik'
                        WHEN 'duplicate' = ANY (t.drift) THEN 'a second client of this row'
                        WHEN 'secret_unknown' = ANY (t.drift) THEN 'a secret that this database does not know'
                        ELSE 'the client was found at Qlik; its earlier secrets are lost' END AS "finding!"
              FROM tenantd.tenants AS t
             WHERE t.parked_reason = 'EarlierClientFound'
                OR t.wait_reason IN ('DeletionsHeld', 'ChangesHeld') AND (t.wait_reason = 'DeletionsHeld' OR t.phase = 'removed')
                OR t.desired_state = 'absent' AND t.phase <> 'removed'
                OR t.drift && ARRAY['client_missing', 'duplicate', 'secret_unknown']
                OR t.is_adopted AND t.phase = 'ready'
             ORDER BY t.external_id
            "#
        )
        .fetch_all(&self.connections);
        Ok(Rejoining {
            rejoined_at: installation.rejoined_at,
            deletions_held_at: installation.deletions_held_at,
            changes_held_at: installation.changes_held_at,
            held_reason: installation.held_reason,
            to_look_at: installation.to_look_at,
            findings: findings.await?,
        })
    }
}

/// Wakes what waited for the agreement. A statement of its own, after the hold was lifted: it
/// must see what those wrote last who still knew of the hold.
async fn wake_held(connection: &mut Link) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        -- tenants.wake_held
        WITH woken AS (
            UPDATE tenantd.tenants AS t
               SET generation = t.generation + 1
             WHERE t.parked_reason IS NULL
               AND (t.desired_state = 'present' OR t.removal_admitted_at IS NOT NULL
                    OR t.phase IN ('removing', 'removed'))
               AND (t.wait_reason = 'DeletionsHeld'
                    OR t.phase = 'ready' AND (t.is_adopted OR t.mint_snapshot IS NOT NULL
                       OR t.retire_at IS NOT NULL OR t.recheck_at IS NOT NULL
                       OR EXISTS (SELECT FROM tenantd.secrets AS s
                                   WHERE s.tenant_id = t.tenant_id AND s.standing = 'discarded')))
        )
        SELECT pg_notify('tenantd_work', '')::text AS woken
        "#
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// See [`Store::rejoin`]. What is held already stays held.
///
/// * Whoever held a row is fenced out, also by a claim that the database forgot: epochs go on
///   from the microseconds since 2026. Its next claim lets what it sent settle.
/// * A create may have been sent of which the database knows nothing: where no client is
///   known, it settles first.
/// * A removal that was under way or let through begins anew, once somebody has agreed:
///   the row may have begun another life since, and its client be in use.
/// * No version is given that consumers may have seen: see `docs/decisions/0009`.
pub(in crate::postgres) async fn distrust(
    connection: &mut Link,
    reason: &str,
    hold: Hold,
    settle: Duration,
) -> Result<u64, StoreError> {
    sqlx::query!(
        r#"
        -- installation.distrust
        UPDATE tenantd.installation AS i
           SET system_identifier = p.system_identifier,
               database_id = p.database_id,
               timeline = p.timeline,
               rejoined_at = tenantd.clock(),
               deletions_held_at = tenantd.clock(),
               changes_held_at = CASE WHEN $2 THEN tenantd.clock() ELSE i.changes_held_at END,
               held_reason = $1,
               version_floor = greatest(i.version_floor + 1000, tenantd.version_of(tenantd.clock()))
          FROM tenantd.place() AS p
        "#,
        reason,
        hold == Hold::Changes
    )
    .execute(&mut *connection)
    .await?;
    distrust_rows(connection, settle).await
}

async fn distrust_rows(connection: &mut Link, settle: Duration) -> Result<u64, StoreError> {
    // A statement of its own: the next must see what whoever held the rows wrote last.
    sqlx::query!(
        r#"
        -- tenants.lock_all
        SELECT count(*) FROM (SELECT FROM tenantd.tenants ORDER BY tenant_id FOR NO KEY UPDATE) AS locked
        "#
    )
    .fetch_one(&mut *connection)
    .await?;
    let rows = sqlx::query!(
        r#"
        -- tenants.distrust
        UPDATE tenantd.tenants AS t
           SET must_look = true,
               -- By the clock: claims that the database forgot counted on from where it stands now, and
               -- whoever made them may still be at work.
               lease_epoch = greatest(t.lease_epoch + 1, (extract(epoch FROM tenantd.clock() - '2026-01-01 00:00:00+00'::timestamptz)
                                                          * 1000000)::bigint),
               lease_expires_at = CASE WHEN t.lease_holder IS NOT NULL THEN tenantd.clock() END,
               phase = s.phase,
               removal_admitted_at = CASE WHEN t.phase = 'removed' THEN t.removal_admitted_at END,
               unanswered = CASE WHEN s.may_land THEN 'create' ELSE t.unanswered END,
               settles_at = CASE WHEN s.may_land THEN tenantd.clock() + $1::interval ELSE t.settles_at END,
               recheck_at = CASE WHEN s.may_land THEN greatest(t.recheck_at, tenantd.clock() + 2 * $1::interval)
                                 WHEN t.phase = 'removed' AND t.region <> '' THEN tenantd.clock() + $1::interval
                                 ELSE t.recheck_at END,
               wait_reason = CASE WHEN s.keeps_reason THEN t.wait_reason END,
               message = CASE WHEN s.keeps_reason OR t.parked_reason IS NOT NULL THEN t.message END,
               reason_since = CASE WHEN s.phase = t.phase THEN t.reason_since ELSE tenantd.clock() END,
               backoff_at = CASE WHEN s.keeps_reason THEN t.backoff_at END,
               -- Nothing is to be done about the others.
               generation = t.generation + (t.parked_reason IS NULL AND NOT (t.phase = 'removed' AND t.region = ''))::integer
          FROM (SELECT x.tenant_id, x.phase, x.keeps_reason,
                       -- Also while a worker has just sent one: then it settles from now on.
                       x.phase = 'creating' AND x.client_id IS NULL AND x.parked_reason IS NULL AS may_land
                  FROM (SELECT r.tenant_id, r.client_id, r.parked_reason,
                               r.phase <> 'removing'
                                   AND coalesce(r.wait_reason, '') NOT IN ('DeletionsHeld', 'ChangesHeld') AS keeps_reason,
                               CASE WHEN r.phase <> 'removing' THEN r.phase
                                    WHEN r.client_id IS NULL THEN 'creating'
                                    WHEN r.current_version IS NULL
                                    THEN CASE WHEN u.is_any THEN 'created' ELSE 'creating' END
                                    WHEN u.is_any THEN 'proving'
                                    ELSE 'ready' END AS phase
                          FROM tenantd.tenants AS r
                         CROSS JOIN LATERAL (
                               SELECT EXISTS (SELECT FROM tenantd.secrets AS z
                                               WHERE z.tenant_id = r.tenant_id AND z.standing = 'unproven') AS is_any) AS u) AS x) AS s
         WHERE t.tenant_id = s.tenant_id
        "#,
        interval(settle) as _
    )
    .execute(connection)
    .await?;
    Ok(rows.rows_affected())
}
