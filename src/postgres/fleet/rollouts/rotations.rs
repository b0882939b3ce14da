//! Rotations by age: whose secret is old enough, and who is let through.
//!
//! The rule: secrets are found slot by slot in the index of their ages, and nobody looks through
//! the fleet.

use std::time::Duration;

use crate::postgres::connections::Link;
use crate::postgres::interval;

pub(super) async fn is_due(connection: &mut Link, every: Duration) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        -- rotations.are_due
        SELECT EXISTS (
               SELECT FROM generate_series(0, 255) AS slot
                CROSS JOIN LATERAL (
                      SELECT FROM tenantd.secrets AS s
                       WHERE s.standing = 'current' AND tenantd.slot_of(s.tenant_id) = slot
                         -- No sooner than by the first share of the slot: there the index ends.
                         AND s.proven_at <= tenantd.clock() - $1::interval * (0.9 + 0.1 * slot / 256)::float8
                         AND s.proven_at <= tenantd.clock() - tenantd.spread($1, s.tenant_id)
                         -- Asked one by one, in the order of the index: a join would fetch all.
                         AND (SELECT true FROM tenantd.tenants AS t
                               WHERE t.tenant_id = s.tenant_id
                                 AND t.phase = 'ready' AND t.desired_state = 'present' AND t.parked_reason IS NULL
                                 AND t.desired_version <= coalesce(t.served_version, t.current_version)
                                 AND t.aged_version IS DISTINCT FROM t.current_version AND t.current_version < 2147483647
                                 AND t.region <> ALL ((SELECT tenantd.stopped_regions())::text[]))
                       LIMIT 1) AS due) AS "is_due!"
        "#,
        interval(every)
    )
    .fetch_one(connection)
    .await
}

/// Says of the oldest secrets that their time has come.
pub(super) async fn admit(connection: &mut Link, every: Duration, room: i64) -> Result<u64, sqlx::Error> {
    let admitted = sqlx::query!(
        r#"
        -- rotations.admit
        WITH oldest AS (
            -- Of each slot more than its share of the room, so that the oldest of all are among them.
            SELECT due.tenant_id, due.proven_at
              FROM generate_series(0, 255) AS slot
             CROSS JOIN LATERAL (
                   SELECT s.tenant_id, s.proven_at
                     FROM tenantd.secrets AS s
                    WHERE s.standing = 'current' AND tenantd.slot_of(s.tenant_id) = slot
                      AND s.proven_at <= tenantd.clock() - $1::interval * (0.9 + 0.1 * slot / 256)::float8
                      AND s.proven_at <= tenantd.clock() - tenantd.spread($1, s.tenant_id)
                      AND (SELECT true FROM tenantd.tenants AS t
                            WHERE t.tenant_id = s.tenant_id
                              AND t.phase = 'ready' AND t.desired_state = 'present' AND t.parked_reason IS NULL
                              AND t.desired_version <= coalesce(t.served_version, t.current_version)
                              AND t.aged_version IS DISTINCT FROM t.current_version AND t.current_version < 2147483647
                              AND t.region <> ALL ((SELECT tenantd.stopped_regions())::text[]))
                    ORDER BY s.proven_at
                    LIMIT $2::bigint / 32 + 8) AS due
        ), next AS (
            SELECT t.tenant_id
              FROM oldest
              JOIN tenantd.tenants AS t ON t.tenant_id = oldest.tenant_id
             -- As it is once its lock is had.
             WHERE t.phase = 'ready' AND t.desired_state = 'present' AND t.parked_reason IS NULL
               AND t.desired_version <= coalesce(t.served_version, t.current_version)
               AND t.aged_version IS DISTINCT FROM t.current_version
             ORDER BY oldest.proven_at
             LIMIT $2::bigint
               FOR NO KEY UPDATE OF t SKIP LOCKED
        ), admitted AS (
            UPDATE tenantd.tenants AS t
               SET aged_version = t.current_version
              FROM next
             WHERE t.tenant_id = next.tenant_id
            RETURNING t.tenant_id, t.current_version + 1 AS target_version
        )
        INSERT INTO tenantd.changes (kind, tenant_id, target_version)
        SELECT 'rotation', tenant_id, target_version FROM admitted
        "#,
        interval(every),
        room
    )
    .execute(connection)
    .await?;
    Ok(admitted.rows_affected())
}

/// Wakes those that were let through and put to rest by a daemon of the version before, which does
/// not know of it: whoever knows rests for a reason that stands in the row.
pub(super) async fn wake_unheard(connection: &mut Link) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        -- rotations.wake
        WITH unheard AS (
            SELECT t.tenant_id
              FROM tenantd.changes AS c
              JOIN tenantd.tenants AS t ON t.tenant_id = c.tenant_id
             WHERE c.kind = 'rotation' AND c.ended_at IS NULL
               AND t.phase = 'ready' AND t.desired_state = 'present' AND t.aged_version = t.current_version
               AND t.lease_holder IS NULL AND t.parked_reason IS NULL AND t.wait_reason IS NULL
               AND t.paused_at IS NULL AND coalesce(t.due_at > tenantd.clock(), true)
               FOR NO KEY UPDATE OF t SKIP LOCKED
        )
        UPDATE tenantd.tenants AS t
           SET generation = t.generation + 1
          FROM unheard
         WHERE t.tenant_id = unheard.tenant_id
        "#
    )
    .execute(connection)
    .await?;
    Ok(())
}
