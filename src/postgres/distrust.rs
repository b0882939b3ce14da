//! Taking the database for a restored one: no row of it is believed before it was looked at.
//!
//! One number says so at once ([`distrust`]): whoever is behind it is not claimed, and whoever
//! held it cannot write any more. The rows are woken after that, slice by slice, by whoever did
//! it and by the job of that name; each is worked on as soon as it is woken.
//!
//! The rule: **no statement here takes longer for a larger fleet, and none waits for a row**: one
//! that somebody has locked is passed by, and asked once more.

use std::time::Duration;

use sqlx::types::Uuid;

use super::connections::Link;
use super::{Store, StoreError, interval};
use crate::domain::place::Hold;

/// Rows that are woken by one statement.
const SLICE: i64 = 1_000;

/// From now on the database is one that was restored. What is held already stays held.
///
/// No version is given that consumers may have seen: see `docs/decisions/0009`.
pub(super) async fn distrust(connection: &mut Link, reason: &str, hold: Hold) -> Result<(), StoreError> {
    let epoch = sqlx::query_scalar!(
        r#"
        -- installation.distrust
        UPDATE tenantd.installation AS i
           SET system_identifier = p.system_identifier,
               database_id = p.database_id,
               timeline = p.timeline,
               rejoin_epoch = i.rejoin_epoch + 1,
               rejoined_at = tenantd.clock(),
               deletions_held_at = tenantd.clock(),
               changes_held_at = CASE WHEN $2 THEN tenantd.clock() ELSE i.changes_held_at END,
               held_reason = $1,
               version_floor = greatest(i.version_floor + 1000, tenantd.version_of(tenantd.clock()))
          FROM tenantd.place() AS p
        RETURNING i.rejoin_epoch
        "#,
        reason,
        hold == Hold::Changes
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        -- passes.distrust
        INSERT INTO tenantd.passes (pass, asked, since)
        VALUES ('distrust', $1, tenantd.clock())
        ON CONFLICT (pass) DO UPDATE
           SET asked = excluded.asked, since = excluded.since, resume_after = NULL, ended_at = NULL, is_once_more = false
        "#,
        epoch.to_string()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What came of one slice.
enum Woken {
    /// So many rows were woken, and there are more.
    Some(u64),
    /// The same, and the pass begins anew for those that somebody had locked.
    Round(u64),
    /// So many, and nobody is left.
    All(u64),
    /// There was nothing to do, or somebody else is at it.
    Nothing,
}

/// Where the pass stands.
struct Stand {
    /// The rejoin that the pass is of: a later one begins a pass of its own.
    epoch: i32,
    after: Option<Uuid>,
    is_once_more: bool,
}

impl Store {
    /// Wakes the rows that no slice has reached since the last rejoin, in no more than
    /// `slices`; returns how many. What is left goes on where this ended, as does a row that
    /// somebody has locked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    #[tracing::instrument(name = "db.tenants.distrust", level = "debug", skip_all)]
    pub async fn wake_distrusted(&self, settle: Duration, slices: u32) -> Result<u64, StoreError> {
        self.begin_waking().await?;
        let (mut all, mut round) = (0, 0);
        for _ in 0..slices {
            match self.wake_slice(settle).await? {
                Woken::Some(woken) => (all, round) = (all + woken, round + woken),
                // Only those that are locked are left: they are asked another time.
                Woken::Round(woken) if round + woken == 0 => return Ok(all),
                Woken::Round(woken) => (all, round) = (all + woken, 0),
                Woken::All(woken) => return Ok(all + woken),
                Woken::Nothing => return Ok(all),
            }
        }
        Ok(all)
    }

    /// Whoever empties the table of passes has all asked anew.
    async fn begin_waking(&self) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            -- passes.begin_distrust
            INSERT INTO tenantd.passes (pass, asked, since)
            SELECT 'distrust', i.rejoin_epoch::text, tenantd.clock()
              FROM tenantd.installation AS i
             WHERE i.rejoin_epoch > 0 AND NOT EXISTS (SELECT FROM tenantd.passes WHERE pass = 'distrust')
            ON CONFLICT DO NOTHING
            "#
        )
        .execute(&self.connections)
        .await?;
        Ok(())
    }

    async fn wake_slice(&self, settle: Duration) -> Result<Woken, StoreError> {
        let mut transaction = self.connections.begin().await?;
        let Some(stand) = stand(&mut transaction).await? else { return Ok(Woken::Nothing) };
        let slice = lock_slice(&mut transaction, &stand).await?;
        let woken = wake(&mut transaction, &slice.free, stand.epoch, settle).await?;
        let is_once_more = stand.is_once_more || slice.is_any_locked;
        let is_last = slice.to.is_none();
        go_on(&mut transaction, slice.to, is_last && !is_once_more, is_once_more && !is_last).await?;
        transaction.commit().await?;
        Ok(match (is_last, is_once_more) {
            (false, _) => Woken::Some(woken),
            (true, true) => Woken::Round(woken),
            (true, false) => Woken::All(woken),
        })
    }
}

/// Where the pass stands, unless it has ended or somebody else is at it. One that has ended is
/// begun once more an hour after the rejoin, because a daemon of an earlier version may have been
/// at work until then, and every day. The same statement reads what is asked and how far it came:
/// the installation may have gone on to the next rejoin, whose pass begins anew.
async fn stand(connection: &mut Link) -> Result<Option<Stand>, StoreError> {
    let row = sqlx::query!(
        r#"
        -- passes.distrusted
        SELECT p.asked::integer AS "epoch!", p.resume_after AS after, p.is_once_more
          FROM tenantd.passes AS p
         WHERE p.pass = 'distrust'
           AND (p.ended_at IS NULL
                OR p.ended_at < tenantd.clock() - interval '1 day'
                OR p.ended_at < p.since + interval '1 hour' AND p.since <= tenantd.clock() - interval '1 hour')
           FOR UPDATE OF p SKIP LOCKED
        "#
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Stand { epoch: row.epoch, after: row.after, is_once_more: row.is_once_more }))
}

/// The next rows of the pass.
struct Slice {
    /// Those to be woken, which are locked by us.
    free: Vec<Uuid>,
    /// Whether somebody else had locked one.
    is_any_locked: bool,
    /// The last of them; `None` where no more come.
    to: Option<Uuid>,
}

/// A statement of its own: the next must see what whoever held the rows wrote last.
async fn lock_slice(connection: &mut Link, stand: &Stand) -> Result<Slice, StoreError> {
    let rows = sqlx::query!(
        r#"
        -- tenants.lock_slice
        WITH page AS MATERIALIZED (
            SELECT tenant_id, rejoin_epoch < $2 AS is_behind
              FROM tenantd.tenants
             WHERE tenant_id > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000')
             ORDER BY tenant_id
             LIMIT $3
        ), free AS MATERIALIZED (
            SELECT t.tenant_id
              FROM tenantd.tenants AS t
             WHERE t.tenant_id = ANY (ARRAY(SELECT tenant_id FROM page WHERE is_behind))
               AND t.rejoin_epoch < $2
               FOR NO KEY UPDATE SKIP LOCKED
        )
        SELECT page.tenant_id, page.is_behind AS "is_behind!", free.tenant_id IS NOT NULL AS "is_free!"
          FROM page
          LEFT JOIN free ON free.tenant_id = page.tenant_id
         ORDER BY page.tenant_id
        "#,
        stand.after,
        stand.epoch,
        SLICE
    )
    .fetch_all(connection)
    .await?;
    let is_last = i64::try_from(rows.len()).is_ok_and(|found| found < SLICE);
    Ok(Slice {
        free: rows.iter().filter(|row| row.is_free).map(|row| row.tenant_id).collect(),
        is_any_locked: rows.iter().any(|row| row.is_behind && !row.is_free),
        to: rows.last().map(|row| row.tenant_id).filter(|_| !is_last),
    })
}

/// One that is begun once more has ended for whoever asks meanwhile, which is the version before.
async fn go_on(
    connection: &mut Link,
    to: Option<Uuid>,
    has_ended: bool,
    is_once_more: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        -- passes.go_on
        UPDATE tenantd.passes
           SET resume_after = $1,
               ended_at = CASE WHEN $2 THEN tenantd.clock() ELSE ended_at END,
               is_once_more = $3
         WHERE pass = 'distrust'
        "#,
        to,
        has_ended,
        is_once_more
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// * Whoever held a row is fenced out, also by a claim that the database forgot: epochs go on
///   from the microseconds since 2026. Its next claim lets what it sent settle.
/// * A create may have been sent of which the database knows nothing: where no client is
///   known, it settles first.
/// * A removal that was under way or let through begins anew, once somebody has agreed:
///   the row may have begun another life since, and its client be in use.
async fn wake(
    connection: &mut Link,
    tenants: &[Uuid],
    epoch: i32,
    settle: Duration,
) -> Result<u64, StoreError> {
    let rows = sqlx::query!(
        r#"
        -- tenants.distrust
        UPDATE tenantd.tenants AS t
           SET must_look = true,
               rejoin_epoch = $3,
               -- By the clock: claims that the database forgot counted on from where it stands now, and
               -- whoever made them may still be at work.
               lease_epoch = greatest(t.lease_epoch + 1, tenantd.epoch_of(tenantd.clock())),
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
                                               WHERE z.tenant_id = r.tenant_id AND z.standing = 'unproven') AS is_any) AS u
                         WHERE r.tenant_id = ANY ($2)) AS x) AS s
         WHERE t.tenant_id = s.tenant_id
        "#,
        interval(settle) as _,
        tenants,
        epoch
    )
    .execute(connection)
    .await?;
    Ok(rows.rows_affected())
}
