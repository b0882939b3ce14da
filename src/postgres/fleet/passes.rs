//! Passes: one question put to every tenant, after the configuration has changed.
//!
//! The rules: a pass goes in slices in the order of ids, each a statement of its own, and
//! remembers how far it came, so that no statement takes long and no restart begins anew.
//! Its question may be put twice, so that replicas need not agree who goes on.

use std::fmt;

use sqlx::types::Uuid;

use crate::postgres::{Store, StoreError};

/// Tenants that are asked by one statement.
const SLICE: usize = 5_000;
/// Most tenants that one statement changes.
pub(super) const CHANGES: i64 = 1_000;

/// What every tenant is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// In which region it is.
    SortRegions,
    /// When it is to be audited.
    PlanAudits,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SortRegions => "sort_regions",
            Self::PlanAudits => "plan_audits",
        })
    }
}

/// The next tenants of a pass.
#[derive(Debug)]
pub(super) struct Slice {
    /// After whom they come; `None` where they are the first.
    after: Option<Uuid>,
    /// Who they are.
    pub(super) tenants: Vec<Uuid>,
}

impl Store {
    /// The next tenants that were not asked yet by these settings; `None` when all were. Each
    /// slice is ended by [`Store::end_slice`].
    ///
    /// A pass begins when the settings are others than those of the last, once more an hour
    /// later, because a daemon with the settings of before may have been at work until then,
    /// and every day.
    pub(super) async fn next_slice(&self, pass: Pass, asked: &str) -> Result<Option<Slice>, StoreError> {
        let Some(after) = self.begin_pass(pass, asked).await? else { return Ok(None) };
        let tenants = sqlx::query_scalar!(
            r#"
            -- passes.slice
            SELECT tenant_id
              FROM tenantd.tenants
             WHERE tenant_id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000')
             ORDER BY tenant_id
             LIMIT $2
            "#,
            after,
            i64::try_from(SLICE).unwrap_or(i64::MAX)
        )
        .fetch_all(&self.connections)
        .await?;
        Ok(Some(Slice { after, tenants }))
    }

    /// Remembers that the slice was asked, unless somebody else has done so; one of which as
    /// many were changed as one statement may is asked once more.
    pub(super) async fn end_slice(
        &self,
        pass: Pass,
        asked: &str,
        slice: Slice,
        changed: u64,
    ) -> Result<(), StoreError> {
        if changed >= CHANGES.unsigned_abs() {
            return Ok(());
        }
        let is_last = slice.tenants.len() < SLICE;
        let to = slice.tenants.last().copied().filter(|_| !is_last);
        sqlx::query!(
            r#"
            -- passes.move
            UPDATE tenantd.passes
               SET resume_after = $4,
                   ended_at = CASE WHEN $4::uuid IS NULL THEN tenantd.clock() END
             WHERE pass = $1 AND asked = $2 AND ended_at IS NULL AND resume_after IS NOT DISTINCT FROM $3
            "#,
            pass.to_string(),
            asked,
            slice.after,
            to
        )
        .execute(&self.connections)
        .await?;
        Ok(())
    }

    /// After whom the pass goes on, which is nobody at its beginning; `None` when it has ended.
    async fn begin_pass(&self, pass: Pass, asked: &str) -> Result<Option<Option<Uuid>>, StoreError> {
        let row = sqlx::query!(
            r#"
            -- passes.begin
            WITH begun AS (
                INSERT INTO tenantd.passes AS p (pass, asked, since)
                VALUES ($1, $2, tenantd.clock())
                ON CONFLICT (pass) DO UPDATE
                   SET asked = $2,
                       since = CASE WHEN p.asked = $2 THEN p.since ELSE tenantd.clock() END,
                       resume_after = NULL,
                       ended_at = NULL
                 WHERE p.asked <> $2
                    OR p.ended_at < tenantd.clock() - interval '1 day'
                    OR p.ended_at < p.since + interval '1 hour' AND p.since <= tenantd.clock() - interval '1 hour'
                RETURNING resume_after, ended_at
            )
            SELECT resume_after, ended_at IS NOT NULL AS "has_ended!" FROM begun
            UNION ALL
            SELECT resume_after, ended_at IS NOT NULL FROM tenantd.passes
             WHERE pass = $1 AND NOT EXISTS (SELECT FROM begun)
            "#,
            pass.to_string(),
            asked
        )
        .fetch_optional(&self.connections)
        .await?;
        Ok(row.filter(|row| !row.has_ended).map(|row| row.resume_after))
    }
}
