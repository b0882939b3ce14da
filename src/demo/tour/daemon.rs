//! The real daemon, in this process.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::error::{TourError, daemon_ended};
use crate::app::{self, Parts, RunError};
use crate::engine::dispatch::{Left, Mode};
use crate::engine::shutdown::Stop;

use crate::settings::Settings;

/// How long steps in flight may take when the tour ends.
const GRACE: Duration = Duration::from_secs(3);

pub(super) struct Daemon {
    stop: Stop,
    task: JoinHandle<Result<Left, RunError>>,
}

impl Daemon {
    /// Starts what `tenantd run` would start, but for its pages.
    pub(super) async fn start(mut settings: Settings) -> Result<Self, TourError> {
        let store = app::open_for_work(&settings.database, settings.qlik.settle).await?;
        let engine = Parts::of(&mut settings)?.engine(store);
        let stop = Stop::new();
        let task = tokio::spawn(app::run(engine, stop.clone(), Mode::Daemon));
        Ok(Self { stop, task })
    }

    /// Waits until it ends by itself, which it should not, and says why.
    pub(super) async fn ended(&mut self) -> TourError {
        daemon_ended((&mut self.task).await)
    }

    /// Lets it finish the steps in flight, for a moment.
    pub(super) async fn stop(mut self) {
        if self.task.is_finished() {
            return;
        }
        self.stop.request();
        let drained = tokio::time::timeout(GRACE, &mut self.task).await;
        if drained.is_err() {
            self.stop.request();
            let ended = self.task.await;
            tracing::debug!("the daemon did not drain in time: {}", daemon_ended(ended));
        }
    }
}
