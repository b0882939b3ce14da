//! Group commit: what is decided while a commit is under way goes with the next.
//!
//! Nobody waits on purpose while few tenants are worked on: an idle committer sends at once, and
//! a busy one sends all that came meanwhile as one statement, with one flush of the log between
//! them. Where most places are taken it gathers for a moment: a statement of ten costs little
//! more than one of a single member, and who waits for it holds no place. Each member has
//! an answer of its own; where the database refuses the statement, each is sent alone, so
//! that one bad row harms itself.
//!
//! The rules: at most one write of a tenant in a batch; **a row that somebody else has
//! locked is waited for here, without a connection and without a worker's place**; a batch
//! that is under way ends whoever asked for it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::places::Places;
use crate::postgres::work::commit::{Answer, Committed, Write};
use crate::postgres::{Store, StoreError};

/// Most members of one statement: some 100 KiB with sealed secrets.
const BATCH: usize = 64;
/// Most statements under way.
const FLIGHTS: usize = 4;
/// While one is younger than this, no other takes off: two at once only make both smaller, and
/// each has its price. An older one waits for a disk or for a lock, and nobody should wait for it.
const YOUNG: Duration = Duration::from_millis(10);
/// Where most places are taken, those who decide within so long share a statement.
const GATHER: Duration = Duration::from_millis(10);
/// How long a row that is locked is left alone, at first and at most.
const BUSY_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Sends what workers decide.
#[derive(Debug, Clone)]
pub struct Committer {
    store: Store,
    queue: Arc<Mutex<Queue>>,
    places: Places,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    flights: usize,
    /// One of them is younger than [`YOUNG`].
    is_one_young: bool,
}

#[derive(Debug)]
struct Waiting {
    write: Write,
    answer: oneshot::Sender<Result<Answer, Arc<StoreError>>>,
}

impl Committer {
    /// A committer to this store, for those who work at these places.
    #[must_use]
    pub fn new(store: Store, places: Places) -> Self {
        Self { store, queue: Arc::default(), places }
    }

    /// Writes it, as soon as nobody has its row locked.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] when another holder has the row;
    /// [`StoreError::Superseded`] when an intent was decided on less than is known by now;
    /// the database's otherwise: then it is unknown whether it was written, and it may be
    /// sent again.
    pub async fn write(&self, write: Write) -> Result<Committed, StoreError> {
        let mut again = BUSY_AGAIN.0;
        loop {
            match self.join(write.clone()).await? {
                Answer::Done(committed) => return Ok(committed),
                Answer::Fenced => return Err(StoreError::LeaseLost(write.tenant)),
                Answer::Superseded => return Err(StoreError::Superseded(write.tenant)),
                Answer::Busy => {
                    let _busy = self.places.wait_for_a_row();
                    tokio::time::sleep(again).await;
                    again = (again * 2).min(BUSY_AGAIN.1);
                }
            }
        }
    }

    /// Goes with the next batch.
    async fn join(&self, write: Write) -> Result<Answer, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue().waiting.push_back(Waiting { write, answer });
        self.take_off();
        match answered.await {
            Ok(answer) => answer.map_err(|error| Arc::try_unwrap(error).unwrap_or_else(StoreError::Shared)),
            // The runtime is being shut down around us.
            Err(_) => Err(StoreError::Driver(sqlx::Error::WorkerCrashed)),
        }
    }

    /// Has those who wait sent, unless enough is under way.
    fn take_off(&self) {
        let Some(mut flight) = Flight::of(self) else { return };
        tokio::spawn(async move {
            let committer = flight.committer.clone();
            if committer.places.are_most_taken() {
                tokio::time::sleep(GATHER).await;
            }
            let batch = committer.queue().next();
            let mut sending = std::pin::pin!(committer.send(batch));
            if tokio::time::timeout(YOUNG, &mut sending).await.is_err() {
                flight.grow_old();
                sending.await;
            }
        });
    }

    async fn send(&self, batch: Vec<Waiting>) {
        let writes: Vec<_> = batch.iter().map(|waiting| &waiting.write).collect();
        match self.store.commit(&writes).await {
            Ok(answers) => {
                for (waiting, answer) in batch.into_iter().zip(answers) {
                    waiting.answer.send(Ok(answer)).ok();
                }
            }
            Err(error) if batch.len() > 1 && (error.may_be_one_rows() || error.is_contended()) => {
                for waiting in batch {
                    let answer = self.store.commit(&[&waiting.write]).await;
                    let answer = answer.map(|answers| answers.first().copied().unwrap_or(Answer::Fenced));
                    waiting.answer.send(answer.map_err(Arc::new)).ok();
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for waiting in batch {
                    waiting.answer.send(Err(Arc::clone(&error))).ok();
                }
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in this file panics while it holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The next batch, in the order of arrival.
    fn next(&mut self) -> Vec<Waiting> {
        let (mut batch, mut left, mut tenants) = (Vec::new(), VecDeque::new(), HashSet::new());
        for waiting in self.waiting.drain(..) {
            if batch.len() < BATCH && tenants.insert(waiting.write.tenant) {
                batch.push(waiting);
            } else {
                left.push_back(waiting);
            }
        }
        self.waiting = left;
        batch
    }
}

/// One of the statements that are under way. However it ends, also by a panic, its place is
/// free again, and whoever came meanwhile is sent.
struct Flight {
    committer: Committer,
    is_young: bool,
}

impl Flight {
    /// The next one, if somebody waits and not enough is under way.
    fn of(committer: &Committer) -> Option<Self> {
        let mut queue = committer.queue();
        if queue.is_one_young || queue.flights >= FLIGHTS || queue.waiting.is_empty() {
            return None;
        }
        queue.flights += 1;
        queue.is_one_young = true;
        drop(queue);
        Some(Self { committer: committer.clone(), is_young: true })
    }

    /// Nobody waits for it any more.
    fn grow_old(&mut self) {
        self.is_young = false;
        self.committer.queue().is_one_young = false;
        self.committer.take_off();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut queue = self.committer.queue();
        queue.flights -= 1;
        queue.is_one_young &= !self.is_young;
        drop(queue);
        // Where the runtime is being shut down nobody is answered any more.
        if tokio::runtime::Handle::try_current().is_ok() {
            self.committer.take_off();
        }
    }
}
