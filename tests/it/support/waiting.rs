//! Waiting for daemons that work in real time.
//!
//! The rule: whoever waits in vain is told how the rows stand, and all of one that is
//! not as it should be.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use tenantd::ports::Clock;
use tenantd::system::SystemClock;

/// Longer than any daemon takes for anything.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits until so many rows of `tenantd.tenants` are so. A database that is away is waited for.
pub(crate) async fn until_rows(pool: &PgPool, wanted: i64, condition: &str) {
    let clock = SystemClock::start();
    let statement = format!("SELECT count(*) FROM tenantd.tenants WHERE {condition}");
    loop {
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(statement.clone())).fetch_one(pool).await;
        if count.as_ref().is_ok_and(|count| *count == wanted) {
            return;
        }
        if clock.elapsed() >= PATIENCE {
            let others = format!("(({condition}) IS TRUE) = ({wanted} = 0)");
            panic!(
                "{count:?}, not {wanted}: {condition}: {:#?}: {:?}",
                standing(pool).await,
                example(pool, &others).await
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn standing(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', count(*), phase, reason, message) FROM tenantd.status GROUP BY phase, reason, message",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// All that is kept of one such row.
async fn example(pool: &PgPool, condition: &str) -> Option<String> {
    let statement = format!(
        "SELECT json_build_object(
                    'row', t,
                    'secrets', (SELECT json_agg(s) FROM tenantd.secrets AS s WHERE s.tenant_id = t.tenant_id),
                    'installation', (SELECT i FROM tenantd.installation AS i),
                    'last', (SELECT json_agg(a) FROM (SELECT * FROM tenantd.attempts AS a
                                                       WHERE a.tenant_id = t.tenant_id
                                                       ORDER BY attempt_id DESC LIMIT 8) AS a))::text
           FROM tenantd.tenants AS t WHERE {condition} LIMIT 1"
    );
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_optional(pool).await.unwrap()
}
