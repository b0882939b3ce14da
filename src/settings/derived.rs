//! Defaults that follow from what was written.
//!
//! The rule: **only what a person wrote can contradict.** A setting that nobody wrote
//! gives way to those that somebody wrote: it keeps its usual value where that fits, and
//! takes the nearest sensible one where not. `config show` says which setting it follows.

use std::ops::RangeInclusive;
use std::time::Duration;

use config::Value;

use super::entry::Entry;
use super::layers::{derived_origin, is_written};
use super::parse::{count, duration, interval, shown};
use super::ranges::{
    BASE, CANARY, CAP, CONNECT_TIMEOUT, LEASE, OVERLAP, PER_HOUR, READ_TIMEOUT, REQUEST_TIMEOUT,
    ROTATE_EVERY, SETTLE,
};

/// A duration, and the setting that somebody wrote and that it comes from.
#[derive(Clone, Copy)]
struct Firm {
    value: Duration,
    from: &'static str,
}

/// Gives every default the value that fits to what was written.
pub(super) fn derive(entries: &mut [Entry]) {
    let mut defaults = Defaults(entries);
    if let Some(request) = request(&mut defaults) {
        defaults.raise("worker.lease", LEASE, request.times(3));
        defaults.lower("qlik.connect_timeout", CONNECT_TIMEOUT, request.over(2));
        defaults.lower("qlik.read_timeout", READ_TIMEOUT, request);
        defaults.raise("qlik.settle", SETTLE, request);
    }
    if let Some(cap) = defaults.written("retry.cap", CAP) {
        defaults.lower("retry.base", BASE, cap);
    }
    if let Some(base) = defaults.written("retry.base", BASE) {
        defaults.raise("retry.cap", CAP, base);
    }
    if let Some(every) = defaults.written_interval("rotation.every", ROTATE_EVERY) {
        defaults.lower("rotation.overlap", OVERLAP, Firm { value: every.value / 5 * 4, ..every });
    }
    defaults.keep_the_canary_within_its_budget();
}

/// The longest request, where somebody wrote it or anything that it depends on.
fn request(defaults: &mut Defaults<'_>) -> Option<Firm> {
    const KEY: &str = "qlik.request_timeout";
    if let Some(written) = defaults.written(KEY, REQUEST_TIMEOUT) {
        return Some(written);
    }
    let lease = defaults.written("worker.lease", LEASE);
    let connect = defaults.written("qlik.connect_timeout", CONNECT_TIMEOUT);
    let read = defaults.written("qlik.read_timeout", READ_TIMEOUT);
    let usual = Firm { value: defaults.usual(KEY)?, from: KEY };
    let mut chosen = match lease.map(|lease| lease.over(3)) {
        Some(third) if third.value < usual.value => third,
        Some(_) | None => usual,
    };
    if let Some(connect) = connect.filter(|connect| connect.value >= chosen.value) {
        chosen = connect.times(2);
    }
    if let Some(read) = read.filter(|read| read.value > chosen.value) {
        chosen = read;
    }
    if let Some(lease) = lease.filter(|lease| lease.value <= chosen.value * 2) {
        let parts = [connect, read].into_iter().flatten().map(|part| part.value).max().unwrap_or_default();
        // Where nothing fits, `rules` tells who contradicts whom.
        chosen = Firm { value: between(parts, lease.value).unwrap_or(lease.value / 3), ..lease };
    }
    if chosen.from == KEY {
        return None;
    }
    defaults.set(KEY, REQUEST_TIMEOUT, chosen);
    Some(chosen)
}

/// A request that takes longer than its parts and fits into a lease twice, if there is one.
pub(super) fn between(parts: Duration, lease: Duration) -> Option<Duration> {
    let most = lease / 2;
    let middle = parts + most.saturating_sub(parts) / 2;
    (middle > parts && middle < most).then_some(middle)
}

impl Firm {
    fn times(self, factor: u32) -> Self {
        Self { value: self.value.saturating_mul(factor), ..self }
    }

    /// In whole milliseconds, which read better.
    fn over(self, divisor: u32) -> Self {
        let millis = u64::try_from((self.value / divisor).as_millis()).unwrap_or(u64::MAX);
        Self { value: Duration::from_millis(millis), ..self }
    }
}

/// All settings, of which only those that nobody wrote are changed.
struct Defaults<'a>(&'a mut [Entry]);

impl Defaults<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// What somebody wrote, if it is within its range: what is not is told elsewhere.
    fn written(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Firm> {
        let value = self.value(key).filter(|value| is_written(value))?;
        duration(range)(value).ok().map(|value| Firm { value, from: key })
    }

    fn written_interval(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Firm> {
        let value = self.value(key).filter(|value| is_written(value))?;
        interval(range)(value).ok().flatten().map(|value| Firm { value, from: key })
    }

    /// What holds where nobody wrote anything.
    fn usual(&self, key: &str) -> Option<Duration> {
        let value = self.value(key).filter(|value| !is_written(value))?;
        duration(Duration::ZERO..=Duration::MAX)(value).ok()
    }

    fn lower(&mut self, key: &str, range: RangeInclusive<Duration>, most: Firm) {
        if self.usual(key).is_some_and(|usual| usual > most.value) {
            self.set(key, range, most);
        }
    }

    fn raise(&mut self, key: &str, range: RangeInclusive<Duration>, least: Firm) {
        if self.usual(key).is_some_and(|usual| usual < least.value) {
            self.set(key, range, least);
        }
    }

    fn set(&mut self, key: &str, range: RangeInclusive<Duration>, firm: Firm) {
        let value = firm.value.clamp(*range.start(), *range.end());
        self.replace(key, shown(value), firm.from);
    }

    fn replace(&mut self, key: &str, value: impl Into<config::ValueKind>, from: &str) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.key == key) {
            entry.value = Value::new(Some(&derived_origin(from)), value);
        }
    }

    /// A canary that nobody asked for is no larger than what may change in an hour.
    fn keep_the_canary_within_its_budget(&mut self) {
        const BUDGET: &str = "budget.changes_per_hour";
        let written = self.value(BUDGET).filter(|value| is_written(value));
        let budget = written.and_then(|value| count(PER_HOUR)(value).ok());
        let usual = self.value("canary.size").filter(|value| !is_written(value));
        let size = usual.and_then(|value| count(CANARY)(value).ok());
        if let (Some(budget), Some(size)) = (budget, size)
            && size > budget
        {
            self.replace("canary.size", i64::from(budget), BUDGET);
        }
    }
}
