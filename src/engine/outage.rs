//! An outage of the database is waited out, and said once, not once per tenant.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::postgres::StoreError;

/// Pause between attempts while the database is away.
pub const AGAIN: Duration = Duration::from_millis(250);

/// Whether the database is away, as this process last saw it.
#[derive(Debug, Default)]
pub struct Outage(AtomicBool);

impl Outage {
    /// The database did not serve us. Says so if that is news.
    pub fn began(&self, error: &StoreError) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %error, "the database is away; waiting for it, no tenant is harmed: {error}");
        }
    }

    /// The database served us. Says so if that is news.
    pub fn ended(&self) {
        if self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed) {
            tracing::info!("the database is back; going on");
        }
    }
}
