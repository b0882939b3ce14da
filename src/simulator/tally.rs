//! How often each endpoint was called, and what was answered.
//!
//! The rule: an answer that never came is counted too, as none.

use std::collections::{BTreeMap, HashMap};

use super::endpoint::Endpoint;

#[derive(Debug, Default)]
pub(super) struct Tally {
    arrivals: HashMap<(String, Endpoint), u64>,
    answers: BTreeMap<(Endpoint, Option<u16>), u64>,
}

impl Tally {
    /// Counts an arrival and returns how many came before it.
    pub(super) fn arrived(&mut self, host: &str, endpoint: Endpoint) -> u64 {
        let count = self.arrivals.entry((host.to_owned(), endpoint)).or_default();
        *count += 1;
        *count - 1
    }

    /// Counts what was answered, `None` where nothing was.
    pub(super) fn answered(&mut self, endpoint: Endpoint, status: Option<u16>) {
        *self.answers.entry((endpoint, status)).or_default() += 1;
    }

    /// How many requests were sent to each host, one item an endpoint.
    pub(super) fn arrivals(&self) -> impl Iterator<Item = (&str, u64)> {
        self.arrivals.iter().map(|((host, _), count)| (host.as_str(), *count))
    }

    /// How often each endpoint was answered with each status.
    pub(super) fn answers(&self) -> impl Iterator<Item = (Endpoint, Option<u16>, u64)> {
        self.answers.iter().map(|((endpoint, status), count)| (*endpoint, *status, *count))
    }
}
