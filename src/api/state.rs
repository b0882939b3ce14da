//! What every page answers from.
//!
//! The rule: the store is opened when it is first asked, because the port answers before the
//! database does.

use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::domain::ids::Holder;
use crate::domain::rollout::Bounds;
use crate::http::Door;
use crate::postgres::work::claim::ClaimTerms;
use crate::postgres::{Connections, Store, StoreError};

/// What the API answers from.
#[derive(Clone)]
pub struct Api(pub(super) Arc<Parts>);

/// What the API is put together from.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct Parts {
    /// Few: it can hold nobody else up.
    pub connections: Connections,
    pub holder: Holder,
    pub door: Door,
    /// The regions and profiles of this daemon.
    pub terms: ClaimTerms,
    pub bounds: Bounds,
    /// Empty at first.
    pub store: OnceCell<Store>,
}

impl Api {
    /// Takes its parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(super) async fn store(&self) -> Result<&Store, StoreError> {
        let open = || Store::open(self.0.connections.clone(), self.0.holder);
        self.0.store.get_or_try_init(open).await
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api(..)")
    }
}
