//! Repairs of drift: whose client differs in what may be mended, and who is let through.
//!
//! The rule: what a repair did not mend is not tried again for a day.

use crate::domain::drift::DriftKind;
use crate::domain::tenant::RepairScope;
use crate::postgres::connections::Link;

pub(super) async fn is_due(connection: &mut Link, scope: RepairScope) -> Result<bool, sqlx::Error> {
    let kinds = mendable(scope);
    sqlx::query_scalar!(
        r#"
        -- repairs.are_due
        SELECT EXISTS (
               SELECT FROM tenantd.tenants AS t
                WHERE t.drift <> '{}' AND t.drift && $1::text[]
                  AND t.phase = 'ready' AND t.desired_state = 'present' AND t.parked_reason IS NULL
                  AND t.repair_scope IS NULL
                  AND t.region <> ALL ((SELECT tenantd.stopped_regions())::text[])
                  -- What a repair did not mend is not tried again at once.
                  AND NOT EXISTS (
                      SELECT FROM tenantd.changes AS c
                       WHERE c.kind = 'repair' AND c.tenant_id = t.tenant_id AND c.outcome = 'failed'
                         AND c.started_at >= t.drifted_at AND c.started_at > tenantd.clock() - interval '1 day')) AS "is_due!"
        "#,
        &kinds
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn admit(connection: &mut Link, scope: RepairScope, room: i64) -> Result<u64, sqlx::Error> {
    let kinds = mendable(scope);
    let admitted = sqlx::query!(
        r#"
        -- repairs.admit
        WITH next AS (
            SELECT t.tenant_id
              FROM tenantd.tenants AS t
             WHERE t.drift <> '{}' AND t.drift && $1::text[]
               AND t.phase = 'ready' AND t.desired_state = 'present' AND t.parked_reason IS NULL
               AND t.repair_scope IS NULL
                  AND t.region <> ALL ((SELECT tenantd.stopped_regions())::text[])
               -- What a repair did not mend is not tried again at once.
               AND NOT EXISTS (
                   SELECT FROM tenantd.changes AS c
                    WHERE c.kind = 'repair' AND c.tenant_id = t.tenant_id AND c.outcome = 'failed'
                      AND c.started_at >= t.drifted_at AND c.started_at > tenantd.clock() - interval '1 day')
               -- An audit under way would end the repair unseen.
               AND t.lease_holder IS NULL
             ORDER BY t.drifted_at
             LIMIT $2
               FOR NO KEY UPDATE SKIP LOCKED
        ), admitted AS (
            UPDATE tenantd.tenants AS t
               SET repair_scope = $3
              FROM next
             WHERE t.tenant_id = next.tenant_id
            RETURNING t.tenant_id
        )
        INSERT INTO tenantd.changes (kind, tenant_id)
        SELECT 'repair', tenant_id FROM admitted
        "#,
        &kinds,
        room,
        scope.as_str()
    )
    .execute(connection)
    .await?;
    Ok(admitted.rows_affected())
}

/// The kinds of drift that a repair of this scope mends.
/// What a rollout lets repair. A duplicate is deleted by audits and rechecks by themselves,
/// within the budget of removals, so that it neither asks for a repair nor fails one.
pub(super) fn mendable(scope: RepairScope) -> Vec<String> {
    let kinds = scope.mends().into_iter().filter(|kind| *kind != DriftKind::Duplicate);
    kinds.map(|kind| kind.to_string()).collect()
}
