//! `tenantd run --once`: does what is due and ends, for cron and for scripts.
//!
//! The rule: it never waits, for a later time no more than for the database; it says
//! how many tenants wait, and until when.

use super::last_word;
use crate::app::{self, Parts, RunError};
use crate::cli::exit::Code;
use crate::cli::output;
use crate::engine::dispatch::Mode;
use crate::engine::shutdown::Stop;
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
        return last_word::of_daemon(&store, left, &stop).await;
    }
    let (rest, text) = last_word::of(&store).await?;
    output::line(&text)?;
    Ok(if rest.parked > 0 { Code::NeedsHuman } else { Code::Done })
}
