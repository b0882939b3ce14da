//! Whether the daemon can do its work: what `/readyz` and the watchdog ask.
//!
//! The rule: the sentences are for anybody who reaches the port, so they name
//! neither hosts nor tenants nor what the server said.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::app;
use crate::engine::Engine;
use crate::engine::generations::Generations;
use crate::engine::pulse::Task;
use crate::http::{Check, Readiness, Report};
use crate::postgres::{Connections, schema};
use crate::qlik::Cloud;

/// Shorter than the patience of `/readyz` itself, which could not say what hung.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the daemon's tasks go round. Clones share the same state.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<OnceLock<Arc<Generations<Cloud>>>>);

impl Progress {
    /// The tasks begin with these.
    pub(super) fn begin(&self, generations: &Arc<Generations<Cloud>>) {
        self.0.get_or_init(|| Arc::clone(generations));
    }

    /// `Ok` while all of them go round; else one sentence on why not.
    pub(super) fn check(&self) -> Check {
        let engine = self.engine()?;
        engine.pulse.check_all(engine.clock.elapsed())
    }

    /// The same for the one that the process would be restarted for.
    pub(super) fn of_claims(&self) -> Check {
        let engine = self.engine()?;
        engine.pulse.check(Task::Claims, engine.clock.elapsed())
    }

    fn engine(&self) -> Result<Arc<Engine<Cloud>>, String> {
        let generations = self.0.get();
        let waits = || "waits for the database before it claims tenants".to_owned();
        generations.map(|generations| generations.now()).ok_or_else(waits)
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
