//! What whoever helps wants to know of the server and of what failed.
//!
//! The rules: nothing here writes; **each answer is bounded**, whatever the size of the fleet and
//! of its history; and what is asked of the server works without a schema. What a login may not
//! see it is not told, and nothing else is lost by it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::domain::ids::TenantId;
use crate::postgres::{Store, StoreError, interval};

/// Most lines of the history that are looked at for failures.
const LINES: i64 = 20_000;
/// Nothing is older: a hundred years, because the server has no instant before its first.
const OLDEST: Duration = Duration::from_hours(100 * 366 * 24);

/// Settings of the server that bear on what a daemon meets.
const SETTINGS: [&str; 38] = [
    "autovacuum",
    "autovacuum_vacuum_cost_limit",
    "autovacuum_vacuum_scale_factor",
    "checkpoint_timeout",
    "client_connection_check_interval",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "effective_cache_size",
    "fsync",
    "full_page_writes",
    "hot_standby",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "jit",
    "lock_timeout",
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_size",
    "random_page_cost",
    "row_security",
    "server_encoding",
    "shared_buffers",
    "shared_preload_libraries",
    "ssl",
    "ssl_min_protocol_version",
    "statement_timeout",
    "superuser_reserved_connections",
    "synchronous_commit",
    "synchronous_standby_names",
    "TimeZone",
    "track_activities",
    "track_counts",
    "transaction_timeout",
    "vacuum_freeze_table_age",
    "wal_level",
    "work_mem",
    "zero_damaged_pages",
];

/// The server: version, role of the login, extensions, sessions, and what is set.
///
/// # Errors
///
/// [`StoreError::Driver`].
pub async fn server<'c>(executor: impl PgExecutor<'c>) -> Result<Value, StoreError> {
    let settings: Vec<String> = SETTINGS.map(str::to_owned).to_vec();
    Ok(sqlx::query_scalar!(
        r#"
        -- server.describe
        SELECT jsonb_build_object(
               'version', version(),
               'started_at', pg_postmaster_start_time(),
               'clock', clock_timestamp(),
               'is_standby', pg_is_in_recovery(),
               'database_bytes', pg_database_size(current_database()),
               'encoding', (SELECT pg_encoding_to_char(d.encoding) FROM pg_database AS d WHERE d.datname = current_database()),
               'collation', (SELECT d.datcollate FROM pg_database AS d WHERE d.datname = current_database()),
               'login', jsonb_build_object(
                        'role', current_user,
                        'is_superuser', (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user),
                        'connection_limit', (SELECT r.rolconnlimit FROM pg_roles AS r WHERE r.rolname = current_user),
                        'member_of', (SELECT coalesce(jsonb_agg(r.rolname ORDER BY r.rolname), '[]')
                                        FROM pg_roles AS r
                                       WHERE r.rolname LIKE 'tenantd\_%' AND pg_has_role(r.oid, 'MEMBER'))),
               'roles', (SELECT coalesce(jsonb_agg(r.rolname ORDER BY r.rolname), '[]')
                           FROM pg_roles AS r WHERE r.rolname LIKE 'tenantd\_%'),
               'extensions', (SELECT coalesce(jsonb_object_agg(e.extname, e.extversion), '{}') FROM pg_extension AS e),
               'sessions', (SELECT coalesce(jsonb_object_agg(s.state, s.sessions), '{}')
                              FROM (SELECT coalesce(a.state, 'unknown') AS state, count(*) AS sessions
                                      FROM pg_stat_activity AS a
                                     WHERE a.datname = current_database()
                                     GROUP BY 1) AS s),
               'settings', (SELECT jsonb_object_agg(p.name, jsonb_build_object(
                                       'value', current_setting(p.name), 'source', p.source))
                              FROM pg_settings AS p WHERE p.name = ANY ($1))) AS "server!"
        "#,
        &settings
    )
    .fetch_one(executor)
    .await?)
}

/// The tables of the schema: how large they are, and when they were last vacuumed and analysed.
///
/// # Errors
///
/// [`StoreError::Driver`].
pub async fn tables<'c>(executor: impl PgExecutor<'c>) -> Result<Value, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        -- server.tables
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'table', s.relname,
                   'bytes', pg_total_relation_size(s.relid),
                   'live_rows', s.n_live_tup,
                   'dead_rows', s.n_dead_tup,
                   'vacuumed_at', greatest(s.last_vacuum, s.last_autovacuum),
                   'analysed_at', greatest(s.last_analyze, s.last_autoanalyze),
                   'sequential_scans', s.seq_scan,
                   'index_scans', s.idx_scan) ORDER BY s.relname), '[]') AS "tables!"
          FROM pg_stat_all_tables AS s
         WHERE s.schemaname = 'tenantd'
        "#
    )
    .fetch_one(executor)
    .await?)
}

/// When a job is done, and when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    /// Which.
    pub job: String,
    /// When it is to be done next.
    pub due_at: DateTime<Utc>,
    /// When it was last taken.
    pub taken_at: Option<DateTime<Utc>>,
    /// By whom.
    pub holder: Option<Uuid>,
}

/// An attempt that failed, and whose it was.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the columns of tenantd.attempts and of its tenant")]
pub struct Failed {
    pub started_at: DateTime<Utc>,
    pub duration_ms: i32,
    pub tenant_id: Uuid,
    pub external_id: Option<String>,
    pub host: Option<String>,
    pub region: Option<String>,
    pub effect: String,
    pub outcome: String,
    pub phase: String,
    pub http_status: Option<i16>,
    pub error_code: Option<String>,
    pub trace_id: Option<String>,
    pub message: Option<String>,
    pub holder: Option<Uuid>,
}

/// The names by which people know a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The row, which names nobody.
    pub tenant_id: TenantId,
    /// The pipeline's key.
    pub external_id: String,
    /// Where it lives.
    pub host: String,
}

impl Store {
    /// Every job with its times.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn schedules(&self) -> Result<Vec<Scheduled>, StoreError> {
        Ok(sqlx::query_as!(
            Scheduled,
            r#"
            -- schedules.list
            SELECT job, due_at, taken_at, holder FROM tenantd.schedules ORDER BY job
            "#
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// The last attempts that failed and are not older than this, the newest first, of the last
    /// 20,000 lines of the history.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn failures(&self, since: Duration, limit: u32) -> Result<Vec<Failed>, StoreError> {
        Ok(sqlx::query_as!(
            Failed,
            r#"
            -- attempts.failures
            SELECT a.started_at, a.duration_ms, a.tenant_id,
                   -- A row that is gone leaves its history for a while.
                   t.external_id AS "external_id?", t.host AS "host?", t.region AS "region?",
                   a.effect, a.outcome, a.phase, a.http_status, a.error_code, a.trace_id, a.message, a.holder
              FROM (SELECT * FROM tenantd.attempts
                     WHERE started_at >= tenantd.clock() - $1::interval
                     ORDER BY started_at DESC
                     LIMIT $2) AS a
              LEFT JOIN tenantd.tenants AS t ON t.tenant_id = a.tenant_id
             WHERE a.outcome <> 'done'
             ORDER BY a.started_at DESC
             LIMIT $3
            "#,
            interval(since.min(OLDEST)),
            LINES,
            i64::from(limit)
        )
        .fetch_all(&self.connections)
        .await?)
    }

    /// Whom these keys and hosts name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn named(&self, keys: &[String], hosts: &[String]) -> Result<Vec<Names>, StoreError> {
        let rows = sqlx::query!(
            r#"
            -- tenants.names
            SELECT tenant_id, external_id, host FROM tenantd.tenants WHERE external_id = ANY ($1)
            UNION
            SELECT tenant_id, external_id, host FROM tenantd.tenants WHERE host = ANY ($2)
            "#,
            keys,
            hosts
        )
        .fetch_all(&self.connections)
        .await?;
        let names = rows.into_iter().filter_map(|row| {
            Some(Names {
                tenant_id: TenantId(row.tenant_id?),
                external_id: row.external_id?,
                host: row.host?,
            })
        });
        Ok(names.collect())
    }
}
