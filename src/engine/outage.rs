//! An outage of the database is waited out, and said once, not once per tenant.
//!
//! The rule: it is said in the server's own words, and again when they change; what was
//! only in the way for a moment is not said at all, unless it goes on.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::postgres::StoreError;

/// Pause between attempts while the database is away.
pub const AGAIN: Duration = Duration::from_millis(250);
/// Pause after a statement that others were in the way of.
pub const AT_ONCE: Duration = Duration::from_millis(20);
/// So many different words are said of one outage.
const WORDS: usize = 8;
/// So many such statements in a row, none of which was served between, are an outage.
const MANY: u32 = 50;

/// Whether the database is away, as this process last saw it.
#[derive(Debug, Default)]
pub struct Outage(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    /// What was said of the outage that goes on; empty when there is none.
    outage: BTreeSet<String>,
    /// The last error that waiting does not mend, as it was said.
    defect: Option<String>,
    /// Statements that others were in the way of, since the last that was served.
    contended: u32,
}

impl Outage {
    /// The database did not serve us. Says so if that is news, and returns how long to wait
    /// before the next attempt.
    pub fn began(&self, error: &StoreError) -> Duration {
        if error.is_contended() && self.is_still_short() {
            return AT_ONCE;
        }
        let text = error.to_string();
        let mut told = self.told();
        if told.outage.len() < WORDS && !told.outage.contains(&text) {
            let again = if told.outage.is_empty() { "" } else { "still " };
            told.outage.insert(text);
            drop(told);
            tracing::warn!(error = %error, "the database is {again}away; waiting for it, no tenant is harmed: {error}");
        }
        AGAIN
    }

    /// The database served us. Says so if that is news.
    pub fn ended(&self) {
        let mut told = self.told();
        told.contended = 0;
        if !told.outage.is_empty() {
            told.outage.clear();
            drop(told);
            tracing::info!("the database is back; going on");
        }
    }

    /// Work that belongs to no tenant failed. Only what passes by itself is an
    /// outage; anything else is said as what it is, once until it is another.
    pub fn note(&self, error: &StoreError) {
        if error.is_outage() || error.is_contended() {
            self.began(error);
        } else if self.is_news(error.to_string()) {
            tracing::error!(error = %error, "the daemon's own upkeep fails and is tried again: {error}");
        }
    }

    fn is_still_short(&self) -> bool {
        let mut told = self.told();
        told.contended = told.contended.saturating_add(1);
        told.contended < MANY
    }

    fn is_news(&self, defect: String) -> bool {
        let mut told = self.told();
        let defect = Some(defect);
        let is_news = told.defect != defect;
        told.defect = defect;
        is_news
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        // Nothing in this file panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!(outage.told().outage.is_empty());

        outage.note(&StoreError::Driver(sqlx::Error::PoolTimedOut));
        assert_eq!(outage.told().outage.len(), 1);
        outage.ended();
        assert!(outage.told().outage.is_empty());
    }

    #[test]
    fn a_defect_is_said_once_until_it_is_another() {
        let outage = Outage::default();

        let said = ["one", "one", "two", "one"].map(|defect| outage.is_news(defect.to_owned()));

        assert_eq!(said, [true, false, true, true]);
    }
}
