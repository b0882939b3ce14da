//! What every page answers from.
//!
//! The rule: the store is opened when it is first asked, because the port answers before the
//! database does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use tokio::sync::OnceCell;

use super::bounds::Room;
use crate::domain::ids::{Holder, KeyId};
use crate::domain::rollout::Bounds;
use crate::http::Door;
use crate::postgres::work::claim::ClaimTerms;
use crate::postgres::{Connections, Store, StoreError};

/// What the API answers from, and the room for its answers. The page for people shares both.
#[derive(Clone)]
pub struct Api(pub(super) Arc<Parts>, pub(super) Room);

/// What the API is put together from.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Parts {
    /// Few: it can hold nobody else up.
    pub connections: Connections,
    pub holder: Holder,
    pub door: Door,
    /// Taken once for each answer.
    pub given: Arc<ArcSwap<Given>>,
    /// Empty at first.
    pub store: OnceCell<Store>,
}

/// What the configuration says to those who answer.
#[derive(Debug, Clone)]
pub struct Given {
    /// The regions and profiles of this daemon.
    pub terms: ClaimTerms,
    /// What bounds changes to the fleet.
    pub bounds: Bounds,
    /// The age at which secrets are renewed by themselves.
    pub rotate_every: Option<Duration>,
    /// The last time that somebody asked for it to be read anew.
    pub reload: Option<Reload>,
}

/// How reading the configuration anew went.
#[derive(Debug, Clone)]
pub struct Reload {
    /// When.
    pub at: DateTime<Utc>,
    /// What became of it; or why all is as it was.
    pub outcome: Result<TakenOver, String>,
    /// The settings that keep their old value until the process is started again: since this time,
    /// or where nothing could be read, since the last time that it could.
    pub at_restart: Vec<String>,
}

/// What another configuration brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// The settings that changed.
    pub changed: Vec<String>,
    /// The keys that were in the keyring and are not any more: what they sealed opens no longer.
    pub keys_gone: Vec<KeyId>,
}

impl Parts {
    /// What the configuration says now.
    #[must_use]
    pub fn given(&self) -> Arc<Given> {
        self.given.load_full()
    }
}

impl Api {
    /// Takes its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts), Room::new())
    }

    /// What it was put together from.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.0
    }

    /// Room for answers.
    #[must_use]
    pub fn room(&self) -> Room {
        self.1.clone()
    }

    /// Where the answers come from.
    ///
    /// # Errors
    ///
    /// [`StoreError`] where the database cannot be asked.
    pub async fn store(&self) -> Result<&Store, StoreError> {
        let open = || Store::open(self.0.connections.clone(), self.0.holder);
        self.0.store.get_or_try_init(open).await
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api(..)")
    }
}
