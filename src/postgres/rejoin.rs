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

use super::{Store, StoreError, bounded};

/// What came of comparing where we run with where we ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// The same place, or the first one.
    Same,
    /// Another place: the database may have come out of a backup. It was rejoined.
    Moved {
        /// What differs.
        what: String,
    },
}

/// Where a rejoin stands.
#[derive(Debug, Clone, Serialize)]
pub struct Rejoining {
    /// When the database was last taken for a restored one.
    pub rejoined_at: Option<DateTime<Utc>>,
    /// Since when deletions are held.
    pub deletions_held_at: Option<DateTime<Utc>>,
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
    /// Compares the server and database we are on with those we remember. Another one
    /// is rejoined; the first one is remembered.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.installation.recognise", skip_all)]
    pub async fn recognise(&self) -> Result<Recognised, StoreError> {
        let seen = sqlx::query!(
            r#"
            -- installation.recognise
            SELECT i.system_identifier, i.database_id, i.timeline,
                   here.system_identifier AS "system_identifier_here!", here.database_id AS "database_id_here!",
                   here.timeline AS "timeline_here!"
              FROM tenantd.installation AS i
             CROSS JOIN (
                   SELECT (SELECT s.system_identifier::text FROM pg_control_system() AS s) AS system_identifier,
                          (SELECT d.datname || '/' || d.oid FROM pg_database AS d
                            WHERE d.datname = current_database()) AS database_id,
                          (SELECT c.timeline_id FROM pg_control_checkpoint() AS c) AS timeline) AS here
            "#
        )
        .fetch_one(&self.pool);
        let seen = bounded(seen).await?;
        let mut what = Vec::new();
        let mut compare = |name: &str, before: Option<String>, now: String| {
            if let Some(before) = before.filter(|before| *before != now) {
                what.push(format!("{name} {before} is now {now}"));
            }
        };
        compare("system identifier", seen.system_identifier.clone(), seen.system_identifier_here);
        compare("database", seen.database_id, seen.database_id_here);
        compare("timeline", seen.timeline.map(|t| t.to_string()), seen.timeline_here.to_string());
        if what.is_empty() {
            if seen.system_identifier.is_none() {
                self.remember_place().await?;
            }
            return Ok(Recognised::Same);
        }
        let what = what.join(", ");
        // Another replica may have been faster: then it has done all there is to do.
        match self.rejoin_once(&what, true).await? {
            Some(_) => Ok(Recognised::Moved { what }),
            None => Ok(Recognised::Same),
        }
    }

    async fn remember_place(&self) -> Result<(), StoreError> {
        let remembered = sqlx::query!(
            r#"
            -- installation.remember
            UPDATE tenantd.installation
               SET system_identifier = (SELECT s.system_identifier::text FROM pg_control_system() AS s),
                   database_id = (SELECT d.datname || '/' || d.oid FROM pg_database AS d
                                   WHERE d.datname = current_database()),
                   timeline = (SELECT c.timeline_id FROM pg_control_checkpoint() AS c)
            "#
        )
        .execute(&self.pool);
        bounded(remembered).await?;
        Ok(())
    }

    /// Takes the database for a restored one: every row is to be looked at before it is
    /// acted on, every holder is fenced out, and deletions at Qlik are held.
    ///
    /// Versions leave a gap: consumers may have seen numbers that this database has
    /// forgotten, and must not meet them again on another secret.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.installation.rejoin", skip_all)]
    pub async fn rejoin(&self, reason: &str) -> Result<u64, StoreError> {
        Ok(self.rejoin_once(reason, false).await?.unwrap_or(0))
    }

    /// With `only_elsewhere`, `None` when the place that is remembered is this one.
    async fn rejoin_once(&self, reason: &str, only_elsewhere: bool) -> Result<Option<u64>, StoreError> {
        let mut transaction = bounded(self.pool.begin()).await?;
        let held = sqlx::query!(
            r#"
            -- installation.rejoin
            UPDATE tenantd.installation
               SET system_identifier = (SELECT s.system_identifier::text FROM pg_control_system() AS s),
                   database_id = (SELECT d.datname || '/' || d.oid FROM pg_database AS d
                                   WHERE d.datname = current_database()),
                   timeline = (SELECT c.timeline_id FROM pg_control_checkpoint() AS c),
                   rejoined_at = tenantd.clock(),
                   deletions_held_at = tenantd.clock(),
                   held_reason = $1
             WHERE NOT $2
                OR (system_identifier, database_id, timeline) IS DISTINCT FROM
                   ((SELECT s.system_identifier::text FROM pg_control_system() AS s),
                    (SELECT d.datname || '/' || d.oid FROM pg_database AS d WHERE d.datname = current_database()),
                    (SELECT c.timeline_id FROM pg_control_checkpoint() AS c))
            "#,
            reason,
            only_elsewhere
        )
        .execute(&mut *transaction);
        if bounded(held).await?.rows_affected() == 0 {
            return Ok(None);
        }
        let rows = sqlx::query!(
            r#"
            -- tenants.distrust
            UPDATE tenantd.tenants
               SET must_look = true,
                   version_gap = 100,
                   -- Whoever held it is fenced out; its claim lets what it sent settle.
                   lease_epoch = lease_epoch + 1,
                   lease_expires_at = CASE WHEN lease_holder IS NOT NULL THEN tenantd.clock() END,
                   recheck_at = CASE WHEN phase = 'removed' AND region <> '' THEN tenantd.clock() ELSE recheck_at END,
                   due_at = CASE WHEN parked_reason IS NOT NULL THEN NULL
                                 WHEN desired_state = 'absent' AND removal_admitted_at IS NULL
                                      AND phase NOT IN ('removing', 'removed') THEN NULL
                                 WHEN phase = 'ready' OR phase = 'removed' AND region <> '' THEN tenantd.clock()
                                 ELSE due_at END
            "#
        )
        .execute(&mut *transaction);
        let rows = bounded(rows).await?.rows_affected();
        bounded(transaction.commit()).await?;
        Ok(Some(rows))
    }

    /// Lifts the hold on deletions. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn agree_to_deletions(&self) -> Result<bool, StoreError> {
        let lifted = sqlx::query!(
            r#"
            -- installation.agree
            WITH lifted AS (
                UPDATE tenantd.installation
                   SET deletions_held_at = NULL, held_reason = NULL
                 WHERE deletions_held_at IS NOT NULL
                RETURNING only_row
            ), woken AS (
                UPDATE tenantd.tenants AS t
                   SET due_at = least(t.due_at, tenantd.clock())
                  FROM lifted
                 WHERE t.parked_reason IS NULL
                   AND (t.desired_state = 'present' OR t.removal_admitted_at IS NOT NULL
                        OR t.phase IN ('removing', 'removed'))
                   AND (t.wait_reason = 'DeletionsHeld'
                        OR t.phase = 'ready' AND (t.is_adopted OR t.mint_snapshot IS NOT NULL
                           OR t.retire_at IS NOT NULL OR t.recheck_at IS NOT NULL
                           OR EXISTS (SELECT FROM tenantd.secrets AS s
                                       WHERE s.tenant_id = t.tenant_id AND s.standing = 'discarded')))
            )
            SELECT count(*) AS "lifted!", max(pg_notify('tenantd_work', '')::text) AS woken FROM lifted
            "#
        )
        .fetch_one(&self.pool);
        Ok(bounded(lifted).await?.lifted > 0)
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
            SELECT i.rejoined_at, i.deletions_held_at, i.held_reason,
                   (SELECT count(*) FROM tenantd.tenants AS t
                     WHERE t.must_look AND t.phase NOT IN ('pending', 'removed')) AS "to_look_at!"
              FROM tenantd.installation AS i
            "#
        )
        .fetch_one(&self.pool);
        let installation = bounded(installation).await?;
        let findings = sqlx::query_as!(
            Finding,
            r#"
            -- tenants.findings
            SELECT t.external_id AS "external_id!: String", t.host AS "host!: String", t.client_id,
                   CASE WHEN t.parked_reason = 'EarlierClientFound'
                        THEN 'a client of a row that this database does not know'
                        WHEN t.wait_reason = 'DeletionsHeld' THEN 'a deletion waits for your agreement'
                        WHEN 'client_missing' = ANY (t.drift) THEN 'the client of this row is not at Qlik'
                        WHEN 'duplicate' = ANY (t.drift) THEN 'a second client of this row'
                        WHEN 'secret_unknown' = ANY (t.drift) THEN 'a secret that this database does not know'
                        ELSE 'the client was found at Qlik; its earlier secrets are lost' END AS "finding!"
              FROM tenantd.tenants AS t
             WHERE t.parked_reason = 'EarlierClientFound'
                OR t.wait_reason = 'DeletionsHeld'
                OR t.drift && ARRAY['client_missing', 'duplicate', 'secret_unknown']
                OR t.is_adopted AND t.phase = 'ready'
             ORDER BY t.external_id
            "#
        )
        .fetch_all(&self.pool);
        Ok(Rejoining {
            rejoined_at: installation.rejoined_at,
            deletions_held_at: installation.deletions_held_at,
            held_reason: installation.held_reason,
            to_look_at: installation.to_look_at,
            findings: bounded(findings).await?,
        })
    }
}
