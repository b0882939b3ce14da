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
use crate::postgres::distrust::distrust;
use crate::postgres::{Store, StoreError, recognise};

/// A person waits until all rows are woken that nobody has locked.
const ALL: u32 = u32::MAX;

/// What came of agreeing to deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// Deletions go on.
    Done,
    /// They were not held.
    NotHeld,
    /// Nobody said yet that this is the real database.
    NotConfirmed,
    /// Tenants are left that nobody may look at before they are woken.
    NotWoken,
}

/// A rejoin that counts.
#[derive(Debug)]
pub struct Rejoined {
    /// Tenants that were woken for it here; somebody else may have woken others.
    pub woken: u64,
    /// What stopped that. The schedule wakes what is left.
    pub stopped: Option<StoreError>,
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
    /// Those that have not been woken for it yet: nobody works on them. One that nobody ever worked
    /// on needs no waking.
    pub to_wake: i64,
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
    /// found that out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`]: nothing counts then.
    #[tracing::instrument(name = "db.installation.rejoin", skip_all)]
    pub async fn rejoin(&self, reason: &str, settle: Duration) -> Result<Rejoined, StoreError> {
        let mut transaction = self.connections.begin().await?;
        match recognise::judge(&mut transaction, None).await? {
            Recognition::First | Recognition::Same | Recognition::Forgetful(_) => {
                distrust(&mut transaction, reason, Hold::Deletions).await?;
            }
            Recognition::Another(what) => {
                distrust(&mut transaction, &format!("{reason}: {what}"), Hold::Changes).await?;
            }
        }
        transaction.commit().await?;
        Ok(self.wake_all(settle).await)
    }

    async fn wake_all(&self, settle: Duration) -> Rejoined {
        match self.wake_distrusted(settle, ALL).await {
            Ok(woken) => Rejoined { woken, stopped: None },
            Err(error) => Rejoined { woken: 0, stopped: Some(error) },
        }
    }

    /// Somebody says that this is the real database: changes at Qlik go on. What was found
    /// meanwhile may be out of date, so every row is looked at again, and deletions stay
    /// held. `None` when changes were not held.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`]: nothing was lifted then.
    pub async fn confirm_as_real(
        &self,
        reason: &str,
        settle: Duration,
    ) -> Result<Option<Rejoined>, StoreError> {
        let mut transaction = self.connections.begin().await?;
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
        distrust(&mut transaction, reason, Hold::Deletions).await?;
        transaction.commit().await?;
        Ok(Some(self.wake_all(settle).await))
    }

    /// Lifts the hold on deletions, and wakes what waited for it. Refused while a tenant is asleep since the
    /// rejoin: what it says is not believed, and nobody can have looked at it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn agree_to_deletions(&self) -> Result<Agreed, StoreError> {
        let mut transaction = self.patient.begin().await?;
        // A rejoin that comes meanwhile waits, so that nobody is asleep who was not asked about.
        sqlx::query!("-- installation.lock\nSELECT rejoin_epoch FROM tenantd.installation FOR UPDATE")
            .fetch_one(&mut *transaction)
            .await?;
        let lifted = sqlx::query!(
            r#"
            -- installation.agree
            WITH asleep AS (
                SELECT EXISTS (SELECT FROM tenantd.tenants AS t
                                WHERE t.rejoin_epoch < i.rejoin_epoch AND t.lease_epoch <> 0) AS is_any
                  FROM tenantd.installation AS i
                 WHERE i.deletions_held_at IS NOT NULL
            ), lifted AS (
                UPDATE tenantd.installation
                   SET deletions_held_at = NULL, held_reason = NULL
                 WHERE deletions_held_at IS NOT NULL AND changes_held_at IS NULL
                   AND NOT EXISTS (SELECT FROM asleep WHERE is_any)
                RETURNING only_row
            )
            SELECT EXISTS (SELECT FROM lifted) AS "is_lifted!",
                   EXISTS (SELECT FROM tenantd.installation WHERE changes_held_at IS NOT NULL) AS "is_unconfirmed!",
                   EXISTS (SELECT FROM asleep WHERE is_any) AS "is_any_asleep!"
            "#
        )
        .fetch_one(&mut *transaction)
        .await?;
        if !lifted.is_lifted {
            return Ok(match (lifted.is_unconfirmed, lifted.is_any_asleep) {
                (true, _) => Agreed::NotConfirmed,
                (false, true) => Agreed::NotWoken,
                (false, false) => Agreed::NotHeld,
            });
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
                   counted.to_look_at AS "to_look_at!", counted.to_wake AS "to_wake!"
              FROM tenantd.installation AS i
             CROSS JOIN LATERAL (
                   SELECT count(*) FILTER (WHERE
                              t.parked_reason IS NULL
                              AND CASE WHEN t.phase = 'removed'
                                       -- It may have begun another life since, and its client be in use.
                                       THEN t.rejoin_epoch < i.rejoin_epoch AND t.region <> ''
                                            OR t.recheck_at IS NOT NULL AND t.wait_reason IS NULL
                                       ELSE (t.must_look OR t.rejoin_epoch < i.rejoin_epoch)
                                            AND t.phase <> 'pending' AND t.desired_state = 'present' END) AS to_look_at,
                          count(*) FILTER (WHERE t.rejoin_epoch < i.rejoin_epoch AND t.lease_epoch <> 0) AS to_wake
                     FROM tenantd.tenants AS t) AS counted
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
            to_wake: installation.to_wake,
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
