//! `tenantd run --once`: does what is due and ends, for cron and for scripts.
//!
//! The rule: it never waits, neither for a tenant that is due later nor for the database.
//! It says how many tenants wait, and until when.

use std::fmt::Write as _;

use super::summary;
use crate::app::{self, Parts, RunError};
use crate::cli::exit::Code;
use crate::cli::output;
use crate::engine::dispatch::Mode;
use crate::engine::shutdown::Stop;
use crate::postgres::{Store, StoreError};
use crate::settings::Settings;

pub(super) async fn run(mut settings: Settings, stop: Stop) -> anyhow::Result<Code> {
    let parts = Parts::of(&mut settings)?;
    let store = app::open_for_work(&settings.database, settings.qlik.settle).await?;
    let engine = parts.engine(store.clone());
    let left = app::run(engine, stop.clone(), Mode::Once).await;
    let left = left.map_err(|error| match error {
        RunError::Store(error) => anyhow::Error::from(app::started(&error)),
        RunError::TaskEnded(_) => error.into(),
    })?;
    if stop.drain.is_cancelled() {
        return summary::of_daemon(&store, left, &stop).await;
    }
    let (rest, mut text) = summary::of(&store).await?;
    let wanting = wanting(&store).await?;
    for want in &wanting {
        write!(text, "; {want}")?;
    }
    output::line(&text)?;
    Ok(if rest.parked > 0 || !wanting.is_empty() { Code::NeedsHuman } else { Code::Done })
}

/// What regions lack: their tenants wait for nothing that comes by itself.
async fn wanting(store: &Store) -> Result<Vec<String>, StoreError> {
    let breakers = store.breakers().await?.into_iter().filter(|breaker| breaker.open_for.is_some());
    let refused = breakers.map(|breaker| format!("the credential of region {} is refused", breaker.region));
    let missing = store.missing_rights().await?.into_iter();
    let missing = missing.map(|right| format!("region {} lacks the right to {}", right.region, right.effect));
    Ok(refused.chain(missing).collect())
}
