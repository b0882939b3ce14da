//! Traces: what happened to each tenant, sent to a collector where one is configured.
//!
//! The rule: **they cost the work nothing**. Where they are off, no span is made. Where they are
//! on, a span goes into a bounded queue, and one that finds it full is dropped and counted; the
//! end of the daemon waits for a few seconds and no more.

mod collector;
pub mod span;
mod wire;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use collector::{Collector, InvalidCollector};
use span::Span;

use super::metrics::DROPPED;
use crate::domain::ids::Holder;
use crate::domain::trace::Trace;

/// Most spans that wait to be sent: a few megabytes.
const WAITING: usize = 4096;
/// How long the end of the daemon waits for what is not sent yet.
const FLUSH: Duration = Duration::from_secs(5);

/// Where spans are given; clones give to the same queue. Off by default.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Queue>>);

#[derive(Debug)]
struct Queue {
    spans: mpsc::Sender<Span>,
    /// Of how many nobody knows yet what became of them.
    waiting: Arc<AtomicU64>,
    share: f64,
    stop: CancellationToken,
    is_full_told: AtomicBool,
    sending: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Sends this share of all traces to a collector, from a task of its own.
    #[must_use]
    pub fn start(collector: Collector, share: f64, holder: Holder) -> Self {
        let (spans, taken) = mpsc::channel(WAITING);
        let (stop, waiting) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let sending = tokio::spawn(collector.serve(holder, taken, Arc::clone(&waiting), stop.clone()));
        let sending = Mutex::new(Some(sending));
        let is_full_told = AtomicBool::new(false);
        Self(Some(Arc::new(Queue { spans, waiting, share, stop, is_full_told, sending })))
    }

    /// Whether anybody wants to know of anything.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this trace is kept.
    #[must_use]
    pub fn keeps(&self, trace: &Trace) -> bool {
        self.0.as_ref().is_some_and(|queue| trace.is_kept(queue.share))
    }

    /// Gives a span on. Never waits.
    pub fn send(&self, span: Span) {
        let Some(queue) = &self.0 else { return };
        queue.waiting.fetch_add(1, Ordering::Relaxed);
        if queue.spans.try_send(span).is_err() {
            queue.waiting.fetch_sub(1, Ordering::Relaxed);
            collector::count(DROPPED, 1);
            if !queue.is_full_told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "more spans are made than the collector of traces takes: what is over is dropped; lower traces.ratio"
                );
            }
        }
    }

    /// Sends what waits, for a few seconds at most. What comes later is dropped.
    pub async fn finish(&self) {
        let Some(queue) = &self.0 else { return };
        queue.stop.cancel();
        let sending = queue.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sending) = sending else { return };
        if tokio::time::timeout(FLUSH, &mut sending).await.is_err() {
            sending.abort();
            let spans = queue.waiting.swap(0, Ordering::Relaxed);
            collector::count(DROPPED, spans);
            tracing::warn!(
                spans,
                "the collector of traces did not take the last {spans} spans in time: they are dropped"
            );
        }
    }
}
