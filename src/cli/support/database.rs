//! The database server and the schema.
//!
//! The rule: a database that does not answer is said once, and nothing more is asked of it.

use serde_json::{Value, json};

use super::bundle::{Bundle, QUESTION};
use crate::app;
use crate::postgres::operator::support;
use crate::postgres::{Connections, Store, StoreError, schema};
use crate::settings::Layered;

/// The store, if the database is good enough for one.
pub(super) async fn ask(bundle: &mut Bundle, layered: &Layered) -> Option<Store> {
    let connections = bundle.within("database, fleet and tenants", QUESTION, reached(layered)).await?;
    let server = async { Ok(support::server(&connections).await?) };
    bundle
        .ask("database/server.json", "version, login, roles, extensions, sessions and settings", server)
        .await;
    let tables = async { Ok(support::tables(&connections).await?) };
    bundle.ask("database/tables.json", "the schema's tables: how large, when vacuumed", tables).await;
    let about = "which migrations are applied; whether somebody changed the schema by hand is not looked at";
    bundle.ask("database/schema.json", about, migrations(&connections)).await;
    let store = async { Ok(app::open_store(&connections).await?) };
    bundle.within("fleet and tenants", QUESTION, store).await
}

async fn reached(layered: &Layered) -> anyhow::Result<Connections> {
    let connections = app::connections(&layered.database()?)?.within(QUESTION);
    app::reach(&connections).await?;
    Ok(connections)
}

async fn migrations(connections: &Connections) -> anyhow::Result<Value> {
    let steps = schema::steps(connections).await.map_err(StoreError::from)?;
    let pending: Vec<i64> = steps.iter().filter(|step| !step.is_applied).map(|step| step.version).collect();
    let applied = steps.iter().filter(|step| step.is_applied);
    Ok(json!({
        "last_applied": applied.map(|step| step.version).max(),
        "last_of_this_version": steps.iter().map(|step| step.version).max(),
        "pending": pending,
        "of_a_newer_version": schema::beyond(connections).await.map_err(StoreError::from)?,
    }))
}
