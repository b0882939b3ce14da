//! Opens connections, and judges whether one that lay idle is used again.
//!
//! The rule: what the server said when it refused is passed on as it is, and not tried
//! again in silence.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::checks::{check_settings, examine};
use super::link::Link;
use super::session::Session;
use crate::domain::place::Written;
use crate::postgres::raised::SetBack;

/// A connection that nobody used for longer is closed: what stands between us and the
/// server may have forgotten it.
const IDLE: Duration = Duration::from_mins(2);
/// Nor is one used for ever: a server behind a balancer gets its share again.
const AGE: Duration = Duration::from_mins(30);

/// A connection, and in which generation it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) link: Link,
    generation: u64,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Opener {
    options: PgConnectOptions,
    session: Session,
    /// Counts the times that all connections were suspected.
    generation: AtomicU64,
    /// How far the server had written when it was last asked.
    written: Mutex<Option<Written>>,
}

impl Opener {
    pub(super) fn new(options: PgConnectOptions, session: Session) -> Self {
        let options = session.applied_to(options);
        Self { options, session, generation: AtomicU64::default(), written: Mutex::default() }
    }

    /// A connection that has our settings, and nothing else is known of.
    pub(super) async fn open(&self) -> Result<Link, sqlx::Error> {
        let mut link = Link::new(self.options.connect().await?, self.session.pooler);
        check_settings(self.session, &mut link).await?;
        Ok(link)
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    pub(super) fn session(&self) -> Session {
        self.session
    }

    /// A statement was not answered: none of the connections that are open now is used again.
    pub(super) fn suspect_all(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    pub(super) fn written(&self) -> Option<Written> {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whatever comes next is believed.
    pub(super) fn forget_written(&self) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notes how far the server has written. `before` is what was noted before it was
    /// asked: an answer that was overtaken on its way says nothing.
    pub(super) fn note(&self, before: Option<Written>, now: Option<Written>) -> Result<(), sqlx::Error> {
        let Some(now) = now else { return Ok(()) };
        if before.is_some_and(|before| now.is_behind(&before)) {
            return Err(sqlx::Error::AnyDriverError(Box::new(SetBack)));
        }
        let mut noted = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.is_none_or(|noted| !now.is_behind(&noted)) {
            *noted = Some(now);
        }
        Ok(())
    }
}

impl Manager for Opener {
    type Type = Opened;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Opened, sqlx::Error> {
        // Before: what is suspected meanwhile includes this one.
        let (generation, before) = (self.generation(), self.written());
        let mut link = self.open().await?;
        self.note(before, examine(self.session, &mut link).await?)?;
        Ok(Opened { link, generation })
    }

    async fn recycle(&self, opened: &mut Opened, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.last_used() > IDLE || metrics.age() > AGE || opened.generation != self.generation() {
            return Err(RecycleError::message("old"));
        }
        Ok(())
    }
}
