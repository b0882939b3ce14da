//! What every page is made from.

use std::fmt;
use std::sync::Arc;

use crate::api::{self, Api, Given, Room};
use crate::http::Door;
use crate::ports::Clock;
use crate::postgres::{Store, StoreError};

/// What the pages are made from.
#[derive(Clone)]
pub struct Page(Arc<Parts>);

/// What [`Page`] is put together from.
pub struct Parts {
    /// Its store, its door, and room for answers.
    pub api: Api,
    /// For the age of sessions.
    pub clock: Box<dyn Clock>,
}

impl Page {
    /// Takes its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(super) fn parts(&self) -> &api::Parts {
        self.0.api.parts()
    }

    /// What the configuration says now.
    pub(super) fn given(&self) -> Arc<Given> {
        self.parts().given()
    }

    pub(super) fn door(&self) -> &Door {
        &self.parts().door
    }

    pub(super) fn room(&self) -> Room {
        self.0.api.room()
    }

    /// Since 1970.
    pub(super) fn seconds(&self) -> i64 {
        self.0.clock.now().timestamp()
    }

    /// Since the database may come later than the port.
    pub(super) async fn store(&self) -> Result<&Store, StoreError> {
        self.0.api.store().await
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page(..)")
    }
}
