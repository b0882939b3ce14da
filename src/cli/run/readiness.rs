//! Whether the daemon can do its work: what `/readyz` and the watchdog ask.
//!
//! The rule: the sentences are for anybody who reaches the port, so they name
//! neither hosts nor tenants nor what the server said.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::app;
use crate::engine::Engine;
use crate::engine::dispatch::Pulse;
use crate::http::{Check, Readiness, Report};
use crate::postgres::{Connections, schema};
use crate::qlik::Cloud;

/// Shorter than the patience of `/readyz` itself, which could not say what hung.
const PATIENCE: Duration = Duration::from_secs(2);
/// The loop may stand still for so long whatever its poll.
const LEAST: Duration = Duration::from_secs(30);
/// And for so many polls.
const POLLS: u32 = 3;

/// Whether the worker's loop goes round. Clones share the same state.
#[derive(Clone)]
pub(super) struct Progress {
    pulse: Arc<Pulse>,
    engine: Arc<OnceLock<Arc<Engine<Cloud>>>>,
    most: Duration,
}

impl Progress {
    /// Of a loop that has not begun and will go round at least every `poll`.
    pub(super) fn new(poll: Duration) -> Self {
        Self { pulse: Arc::default(), engine: Arc::default(), most: (poll * POLLS).max(LEAST) }
    }

    /// The loop begins with this engine. Returns what it must beat.
    pub(super) fn begin(&self, engine: &Arc<Engine<Cloud>>) -> Arc<Pulse> {
        self.engine.get_or_init(|| Arc::clone(engine));
        Arc::clone(&self.pulse)
    }

    /// `Ok` while the loop goes round; else one sentence on why it does not.
    pub(super) fn check(&self) -> Check {
        let engine = self.engine.get().ok_or("waits for the database before it claims tenants")?;
        let age = self.pulse.age(engine.clock.elapsed());
        if age < self.most {
            Ok(())
        } else {
            Err(format!("its loop has not gone round for {} s", age.as_secs()))
        }
    }
}

/// Asks the database and the loop, afresh each time.
pub(super) fn of(connections: Connections, progress: Progress) -> Readiness {
    Readiness::new(move || {
        let (connections, progress) = (connections.clone(), progress.clone());
        async move {
            let asked = async { tokio::join!(database(&connections), migrations(&connections)) };
            let silent = || Err("does not answer".to_owned());
            let (database, schema) =
                tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| (silent(), silent()));
            Report { database, schema, worker: progress.check() }
        }
    })
}

async fn database(connections: &Connections) -> Check {
    match app::is_read_only(connections).await {
        Ok(false) => Ok(()),
        Ok(true) => Err("is read-only".to_owned()),
        Err(_) => Err("cannot be reached".to_owned()),
    }
}

async fn migrations(connections: &Connections) -> Check {
    match schema::steps(connections).await.map(|steps| steps.iter().filter(|step| !step.is_applied).count()) {
        Ok(0) => Ok(()),
        Ok(pending) => Err(format!("lacks {pending} migrations; run `tenantd migrate`")),
        Err(_) => Err("cannot be read".to_owned()),
    }
}
