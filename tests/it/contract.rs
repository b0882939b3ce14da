//! The SQL contract, kept by tests: who may do what, which rows are refused and
//! with what words, what an owner's edits do, what the views and events say.
//!
//! The rule: statements of the README, of `examples/` and of `deploy/` are run
//! as they stand, not as a test remembers them.

mod bad_rows;
mod catalog;
mod constraints;
mod daemon;
mod deleting;
mod edges;
mod events;
mod examples;
mod hosts;
mod owner;
mod pauses;
mod queue;
mod removal;
mod roles;
mod rotation;
mod status;
mod versions;
mod wants;

use sqlx::PgPool;
use uuid::Uuid;

/// A row that is ready, with a proven secret that is sealed but for its contents.
async fn given_ready(pool: &PgPool, name: &str) -> Uuid {
    let tenant_id: Uuid = sqlx::query_scalar(
        "INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, $1 || '.us.qlikcloud.com') RETURNING tenant_id",
    )
    .bind(name)
    .fetch_one(pool)
    .await
    .unwrap();
    sqlx::query(
        "UPDATE tenantd.tenants
            SET phase = 'ready', client_id = 'client-of-' || external_id, region = 'us', current_version = 1,
                ready_at = tenantd.clock(), due_at = NULL
          WHERE tenant_id = $1",
    )
    .bind(tenant_id)
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO tenantd.secrets (tenant_id, client_id, hint, standing, version, sealed, key_id, proven_at)
         VALUES ($1, 'client-of-' || $2, 'hint', 'current', 1, 'header.key.iv.text.tag', 'kid', tenantd.clock())",
    )
    .bind(tenant_id)
    .bind(name)
    .execute(pool)
    .await
    .unwrap();
    tenant_id
}

/// A row to which nothing has happened yet.
async fn given_pending(pool: &PgPool, name: &str) {
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, $1 || '.us.qlikcloud.com')")
        .bind(name)
        .execute(pool)
        .await
        .unwrap();
}
