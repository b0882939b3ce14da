//! What runs but is seldom meant.
//!
//! The rule: nothing here stops the daemon, and a default never warns.

use std::time::Duration;

use super::fault::Warning;
use super::layers::ConfigFile;
use super::parse::{count, flag, share, shown, text};
use super::reader::Reader;
use super::rules::peek_duration;

/// Shorter than this, slow creates would still land after we looked.
const SHORT_SETTLE: Duration = Duration::from_secs(30);

/// Everything unwise, in the order of `config/default.toml`.
pub(super) fn of(from: &Reader<'_>, file: Option<&ConfigFile>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    warnings.extend(file.into_iter().flat_map(|file| exposed_secrets(from, file)));
    warnings.extend_from_slice(from.warnings());
    warnings.extend(short_settle(from));
    warnings.extend(no_proof(from));
    warnings.extend(repair_without_audits(from));
    warnings.extend(canary_over_budget(from));
    warnings.extend(canary_that_never_halts(from));
    warnings
}

fn warning(key: &str, message: impl Into<String>) -> Warning {
    Warning { key: key.to_owned(), message: message.into() }
}

fn exposed_secrets(from: &Reader<'_>, file: &ConfigFile) -> Vec<Warning> {
    let path = &file.path;
    let is_exposed = |key: &str, origin: Option<&str>| {
        file.is_readable_by_others && from.is_secret(key) && origin == Some(path.as_str())
    };
    let exposed = from.entries().iter().filter(|entry| is_exposed(&entry.key, entry.value.origin()));
    let told = exposed.map(|entry| {
        let key = &entry.key;
        warning(
            key,
            format!("stands in {path}, which others may read: run `chmod 600 {path}`, or use {key}_file"),
        )
    });
    told.collect()
}

fn short_settle(from: &Reader<'_>) -> Option<Warning> {
    let settle = peek_duration(from, "qlik.settle")?;
    let request = peek_duration(from, "qlik.request_timeout")?;
    let least = SHORT_SETTLE.max(request);
    (settle < least).then(|| {
        let (settle, least) = (shown(settle), shown(least));
        warning(
            "qlik.settle",
            format!("is {settle}: a slow create may land after we have looked; {least} or more is safer"),
        )
    })
}

fn no_proof(from: &Reader<'_>) -> Option<Warning> {
    let method = from.peek("prove.method", text)?;
    (method == "none").then(|| {
        warning("prove.method", "is none: tenants become ready with credentials that nobody has tried")
    })
}

/// Only audits find what there is to repair.
fn repair_without_audits(from: &Reader<'_>) -> Option<Warning> {
    let repairs = from.peek("audit.repair", flag)?;
    let every = from.peek("audit.every", text)?;
    (repairs && every == "never").then(|| {
        warning("audit.repair", "is true, but audit.every is never: nothing is found to be repaired")
    })
}

fn canary_over_budget(from: &Reader<'_>) -> Option<Warning> {
    let any = || count(0..=u32::MAX);
    let size = from.peek("canary.size", any())?;
    let budget = from.peek("budget.changes_per_hour", any())?;
    (size > budget).then(|| {
        warning(
            "canary.size",
            format!("is {size}, more than budget.changes_per_hour ({budget}): the canary alone takes hours"),
        )
    })
}

fn canary_that_never_halts(from: &Reader<'_>) -> Option<Warning> {
    let size = from.peek("canary.size", count(0..=u32::MAX))?;
    let ratio = from.peek("canary.max_failure_ratio", share)?;
    (size > 0 && ratio >= 1.0).then(|| {
        let message = "is 1: a rollout goes on even if all tenants of its canary fail; lower it";
        warning("canary.max_failure_ratio", message)
    })
}
