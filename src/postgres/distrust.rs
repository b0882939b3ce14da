//! Taking the database for a restored one: no row of it is believed before it was looked at.
//!
//! The rule: what follows stands in the same transaction as the verdict, so that nobody works
//! on a row in between.

use std::time::Duration;

use super::connections::Link;
use super::{StoreError, interval};
use crate::domain::place::Hold;

/// Takes the database for a restored one. What is held already stays held.
///
/// * Whoever held a row is fenced out, also by a claim that the database forgot: epochs go on
///   from the microseconds since 2026. Its next claim lets what it sent settle.
/// * A create may have been sent of which the database knows nothing: where no client is
///   known, it settles first.
/// * A removal that was under way or let through begins anew, once somebody has agreed:
///   the row may have begun another life since, and its client be in use.
/// * No version is given that consumers may have seen: see `docs/decisions/0009`.
pub(super) async fn distrust(
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
