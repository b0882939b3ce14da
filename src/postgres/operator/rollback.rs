//! The rollback: the previous secret becomes the current one again, while it lives.
//!
//! The rule: numbers never go back and never serve twice. The secret returns under
//! the next one, so that a consumer who takes the highest version takes the right one.

use std::time::Duration;

use super::owner::{Locked, lock};
use super::verbs::be_brief;
use crate::domain::ids::TenantId;
use crate::domain::phase::Phase;
use crate::postgres::connections::Link;
use crate::postgres::{Store, StoreError, interval};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollback {
    /// A previous secret is the current one.
    Done(Versions),
    /// There is no such tenant.
    Unknown,
    /// Its `desired_state` is absent.
    Unwanted,
    /// Somebody works on it at this moment.
    Leased,
    /// Only a tenant at rest may turn: it is in this phase.
    NotReady(String),
    /// No previous secret is left whose time is not over.
    NoPrevious,
    /// The youngest of them is newer than the current one: it was rolled back before.
    Before,
}

/// Whether a tenant that was rolled back may turn again, to the secret that it turned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    /// It may: somebody who named it meant it.
    Allowed,
    /// It may not: so that who is among many may be asked for again.
    Refused,
}

/// The numbers of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Which secret was promoted.
    pub promoted: i32,
    /// Its number now.
    pub version: i32,
    /// What was current, and is the previous one now.
    pub replaced: i32,
}

impl Store {
    /// Promotes a tenant's youngest previous secret under the next number; what was
    /// current lives for `overlap` as the previous one. `asked` says who wanted it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn roll_back(
        &self,
        external_id: &str,
        overlap: Duration,
        asked: &str,
        twice: Twice,
    ) -> Result<Rollback, StoreError> {
        let mut transaction = self.connections.begin().await?;
        be_brief(&mut transaction).await?;
        let Some(row) = lock(&mut transaction, external_id).await? else { return Ok(Rollback::Unknown) };
        if let Some(refusal) = refusal(&row) {
            return Ok(refusal);
        }
        if twice == Twice::Refused && was_turned(&mut transaction, row.tenant).await? {
            return Ok(Rollback::Before);
        }
        let Some(versions) = turn(&mut transaction, row.tenant, overlap).await? else {
            return Ok(Rollback::NoPrevious);
        };
        let Versions { promoted, version, replaced } = versions;
        let message = format!(
            "version {promoted} is current again as version {version}, {replaced} the previous one; asked for by {asked}"
        );
        self.record_in(&mut *transaction, row.tenant, "rollback", &message).await?;
        transaction.commit().await?;
        Ok(Rollback::Done(versions))
    }
}

fn refusal(row: &Locked) -> Option<Rollback> {
    if !row.is_wanted {
        Some(Rollback::Unwanted)
    } else if row.is_leased {
        Some(Rollback::Leased)
    } else if row.phase != Phase::Ready.as_str() {
        Some(Rollback::NotReady(row.phase.clone()))
    } else {
        None
    }
}

/// Whether the secret that would be promoted was made after the current one. Needs the row's lock.
async fn was_turned(connection: &mut Link, tenant: TenantId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        -- secrets.was_turned
        SELECT coalesce((SELECT s.secret_id
                           FROM tenantd.secrets AS s
                          WHERE s.tenant_id = $1 AND s.standing = 'previous'
                            AND (s.retire_at IS NULL OR s.retire_at > tenantd.clock())
                          ORDER BY s.version DESC
                          LIMIT 1)
                        > (SELECT s.secret_id FROM tenantd.secrets AS s
                            WHERE s.tenant_id = $1 AND s.standing = 'current'), false) AS "was_turned!"
        "#,
        tenant.0
    )
    .fetch_one(connection)
    .await?)
}

/// Needs the row's lock. Whoever let its lease run out is fenced out.
#[expect(clippy::too_many_lines, reason = "one statement, column by column")]
async fn turn(
    connection: &mut Link,
    tenant: TenantId,
    overlap: Duration,
) -> Result<Option<Versions>, StoreError> {
    Ok(sqlx::query_as!(
        Versions,
        r#"
        -- secrets.roll_back
        WITH chosen AS (
            SELECT secret_id, version
              FROM tenantd.secrets
             WHERE tenant_id = $1 AND standing = 'previous' AND (retire_at IS NULL OR retire_at > tenantd.clock())
             ORDER BY version DESC
             LIMIT 1
        ), turned AS (
            UPDATE tenantd.tenants AS t
               SET current_version = n.version,
                   last_version = n.version,
                   -- Whoever asked for another version has one.
                   served_version = t.desired_version,
                   acknowledged_version = NULL,
                   retire_at = r.retire_at,
                   generation = t.generation + 1,
                   lease_epoch = t.lease_epoch + 1,
                   lease_step = 0,
                   lease_holder = NULL,
                   leased_at = NULL,
                   lease_expires_at = NULL,
                   updated_at = tenantd.clock()
              FROM chosen,
                   (SELECT greatest(tenantd.version_after(greatest(x.desired_version, x.last_version, x.current_version)),
                                    i.version_floor) AS version
                      FROM tenantd.tenants AS x, tenantd.installation AS i
                     WHERE x.tenant_id = $1) AS n,
                   LATERAL (SELECT least(min(s.retire_at), tenantd.clock() + $2::interval) AS retire_at
                              FROM tenantd.secrets AS s
                             WHERE s.tenant_id = $1 AND s.standing = 'previous'
                               AND s.secret_id <> chosen.secret_id) AS r
             WHERE t.tenant_id = $1 AND t.phase = 'ready'
            RETURNING t.tenant_id, t.external_id, t.current_version
        ), restood AS (
            UPDATE tenantd.secrets AS s
               SET standing = CASE s.standing WHEN 'current' THEN 'previous' ELSE 'current' END,
                   version = CASE s.standing WHEN 'current' THEN s.version ELSE turned.current_version END,
                   -- Its age counts anew, or a rotation by age would undo this at once.
                   proven_at = CASE s.standing WHEN 'current' THEN s.proven_at ELSE tenantd.clock() END,
                   retire_at = CASE s.standing WHEN 'current' THEN tenantd.clock() + $2::interval END
              FROM turned, chosen
             WHERE s.tenant_id = turned.tenant_id
               AND (s.standing = 'current' OR s.secret_id = chosen.secret_id)
            RETURNING s.version, s.standing
        )
        -- The phase stays, so the schema tells nobody of the new version.
        SELECT chosen.version AS "promoted!", turned.current_version AS "version!",
               (SELECT version FROM restood WHERE standing = 'previous') AS "replaced!"
          FROM turned, chosen,
               pg_notify('tenantd_events', json_build_object('external_id', turned.external_id, 'event', 'ready',
                                                             'phase', 'ready', 'reason', NULL)::text)
        "#,
        tenant.0,
        interval(overlap)
    )
    .fetch_optional(connection)
    .await?)
}
