//! Whether this process can do its work, asked afresh each time.
//!
//! The rule: an answer always comes, and in time. Where the check hangs, the answer is
//! that it hangs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Kubernetes and load balancers give up after a few seconds, and then say less than we can.
const PATIENCE: Duration = Duration::from_secs(3);

/// `Ok`, or one sentence on why not, fit for anybody's eyes.
pub type Check = Result<(), String>;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The database is reachable and may be written to.
    pub database: Check,
    /// Every migration of this version is there.
    pub schema: Check,
    /// The worker's loop goes round.
    pub worker: Check,
}

impl Report {
    /// Everything is as it should be.
    #[must_use]
    pub fn ready() -> Self {
        Self { database: Ok(()), schema: Ok(()), worker: Ok(()) }
    }

    /// A line for each piece that is not; none when ready.
    pub(super) fn complaints(&self) -> Vec<String> {
        [("database", &self.database), ("schema", &self.schema), ("worker", &self.worker)]
            .into_iter()
            .filter_map(|(piece, check)| check.as_ref().err().map(|why| format!("{piece}: {why}")))
            .collect()
    }
}

type Asking = Pin<Box<dyn Future<Output = Report> + Send>>;

/// How to find out: a closure given by whoever puts the program together.
#[derive(Clone)]
pub struct Readiness(Arc<dyn Fn() -> Asking + Send + Sync>);

impl Readiness {
    /// Asks by calling `ask`.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Report> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    /// What is wrong right now; empty when nothing is.
    pub(super) async fn complaints(&self) -> Vec<String> {
        match tokio::time::timeout(PATIENCE, (self.0)()).await {
            Ok(report) => report.complaints(),
            Err(_) => vec![format!("the checks did not finish within {} s", PATIENCE.as_secs())],
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness(..)")
    }
}
