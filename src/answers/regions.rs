//! The regions: whether work on them goes on.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::postgres::fleet::rights::MissingRight;
use crate::postgres::operator::pauses::Pause;
use crate::postgres::{Store, StoreError};

/// Every region.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Regions {
    /// In the order of their names.
    pub regions: Vec<RegionStatus>,
}

/// A region, as it is now.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RegionStatus {
    /// Its name.
    pub region: String,
    /// Since when its breaker is open; none while it is closed.
    pub opened_at: Option<DateTime<Utc>>,
    /// When a tenant of the region last gave us a token, give or take a heartbeat.
    pub token_at: Option<DateTime<Utc>>,
    /// Its own pause; that of the whole fleet is told there.
    pub pause: Option<Pause>,
    /// Rights that its OAuth client lacks.
    pub rights_missing: Vec<MissingRight>,
}

impl RegionStatus {
    /// Every region that was ever used.
    ///
    /// # Errors
    ///
    /// [`StoreError::Driver`].
    pub async fn all(store: &Store) -> Result<Vec<Self>, StoreError> {
        let (breakers, pauses, rights) =
            (store.breakers().await?, store.pauses().await?, store.missing_rights().await?);
        let status = |breaker: crate::postgres::fleet::regions::Breaker| {
            let region = breaker.region.to_string();
            Self {
                opened_at: breaker.opened_at,
                token_at: breaker.token_at,
                pause: pauses.iter().find(|pause| pause.region == region).cloned(),
                rights_missing: rights.iter().filter(|right| right.region == region).cloned().collect(),
                region,
            }
        };
        Ok(breakers.into_iter().map(status).collect())
    }
}
