//! An outage of the database is waited out, and said once, not once per tenant.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::postgres::StoreError;

/// Pause between attempts while the database is away.
pub const AGAIN: Duration = Duration::from_millis(250);

/// Whether the database is away, as this process last saw it.
#[derive(Debug, Default)]
pub struct Outage {
    is_on: AtomicBool,
    /// The last error that waiting does not mend, as it was said.
    defect: Mutex<Option<String>>,
}

impl Outage {
    /// The database did not serve us. Says so if that is news.
    pub fn began(&self, error: &StoreError) {
        if !self.is_on.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "the database is away; waiting for it, no tenant is harmed: {error}");
        }
    }

    /// The database served us. Says so if that is news.
    pub fn ended(&self) {
        if self.is_on.load(Ordering::Relaxed) && self.is_on.swap(false, Ordering::Relaxed) {
            tracing::info!("the database is back; going on");
        }
    }

    /// Work that belongs to no tenant failed. Only what passes by itself is an
    /// outage; anything else is said as what it is, once until it is another.
    pub fn note(&self, error: &StoreError) {
        if error.is_outage() {
            self.began(error);
        } else if self.is_news(error.to_string()) {
            tracing::error!(error = %error, "the daemon's own upkeep fails and is tried again: {error}");
        }
    }

    fn is_news(&self, defect: String) -> bool {
        let mut said = self.defect.lock().unwrap_or_else(PoisonError::into_inner);
        let defect = Some(defect);
        let is_news = *said != defect;
        *said = defect;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::TenantId;

    #[test]
    fn what_waiting_does_not_mend_is_no_outage() {
        let outage = Outage::default();

        outage.note(&StoreError::LeaseLost(TenantId(uuid::Uuid::nil())));
        assert!(!outage.is_on.load(Ordering::Relaxed));

        outage.note(&StoreError::Driver(sqlx::Error::PoolTimedOut));
        assert!(outage.is_on.load(Ordering::Relaxed));
    }

    #[test]
    fn a_defect_is_said_once_until_it_is_another() {
        let outage = Outage::default();

        let said = ["one", "one", "two", "one"].map(|defect| outage.is_news(defect.to_owned()));

        assert_eq!(said, [true, false, true, true]);
    }
}
