//! What sealing anew came to.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::exit::Code;
use crate::cli::keys::holdings::{self, Holding};
use crate::cli::output::{Format, count};
use crate::domain::ids::KeyId;
use crate::postgres::operator::rekey::Stored;
use crate::vault::{OpenError, Vault};

/// So many tenants are named of those whose secret does not open.
const NAMED: usize = 10;

/// What was done and what is left; this is what JSON shows.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The key that seals.
    key: String,
    /// Whether nothing was to be changed.
    dry_run: bool,
    /// How many were to be sealed anew at first.
    found: u64,
    /// How many were.
    pub(super) sealed_anew: u64,
    /// How often one had changed, was gone or was busy, and was passed by.
    pub(super) passed_by: u64,
    /// How many other keys still hold.
    left: u64,
    /// How many each key holds now.
    keys: Vec<Holding>,
    /// What does not open, by what is wrong with it.
    pub(super) unopened: BTreeMap<String, Group>,
}

/// Secrets that do not open for one reason.
#[derive(Debug, Default, Serialize)]
pub(super) struct Group {
    secrets: u64,
    /// Some of them.
    tenants: Vec<String>,
}

/// Why a secret does not open, without what differs from one to another.
pub(super) struct Unopened(String);

impl Unopened {
    pub(super) fn of(error: &OpenError) -> Self {
        Self(error.to_string())
    }
}

impl Report {
    pub(super) fn new(key: &KeyId, dry_run: bool, vault: &Vault, used: &[(KeyId, i64)]) -> Self {
        let mut report = Self {
            key: key.as_str().to_owned(),
            dry_run,
            found: 0,
            sealed_anew: 0,
            passed_by: 0,
            left: 0,
            keys: Vec::new(),
            unopened: BTreeMap::new(),
        };
        report.left(vault, used);
        report.found = report.left;
        report
    }

    /// What each key holds now.
    pub(super) fn left(&mut self, vault: &Vault, used: &[(KeyId, i64)]) {
        self.keys = holdings::of(vault, Some(used));
        let others = self.keys.iter().filter(|held| held.kid != self.key);
        self.left = others.filter_map(|held| held.secrets).filter_map(|held| u64::try_from(held).ok()).sum();
    }

    /// One that does not open.
    pub(super) fn unopened(&mut self, stored: &Stored, why: Unopened) {
        let group = self.unopened.entry(why.0).or_default();
        group.secrets += 1;
        if group.tenants.len() < NAMED {
            group.tenants.push(stored.external_id.clone());
        }
    }

    /// How far it is.
    pub(super) fn progress(&self, format: Format) -> String {
        match format {
            Format::Json => serde_json::json!({ "found": self.found, "sealed_anew": self.sealed_anew, "passed_by": self.passed_by }).to_string(),
            Format::Table => format!("sealed {} of {} anew", self.sealed_anew, self.found),
        }
    }

    /// For people.
    pub(super) fn sheet(&self) -> String {
        holdings::sheet(&self.keys)
    }

    /// What a person should know besides the table.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut said = vec![self.done()];
        for (why, group) in &self.unopened {
            let more = group.secrets.saturating_sub(group.tenants.len() as u64);
            let mut named = group.tenants.join(", ");
            if more > 0 {
                // Cannot fail: a text takes all that is written.
                write!(named, " and {more} more").ok();
            }
            said.push(format!("{} not sealed anew: {why} ({named})", secrets(group.secrets)));
        }
        said
    }

    fn done(&self) -> String {
        if self.dry_run {
            let shut = self.shut();
            let opens = secrets(self.left.saturating_sub(shut));
            let left = if shut > 0 { left_shut(shut) } else { String::new() };
            return format!("{opens} would be sealed anew under key {:?}{left}", self.key);
        }
        let done = format!("{} sealed anew under key {:?}", secrets(self.sealed_anew), self.key);
        let passed = match self.passed_by {
            0 => String::new(),
            1 => ", one passed by once because it had changed or was busy".to_owned(),
            passed => format!(", one passed by {passed} times because it had changed or was busy"),
        };
        let left = match self.left {
            0 => "; no other key is needed any more".to_owned(),
            left if self.is_sealed_by_others() => format!(
                "; other keys hold {}, so none may be taken out yet: run it again, with daemons that seal under this key",
                secrets(left)
            ),
            left => left_shut(left),
        };
        done + &passed + &left
    }

    /// How many are held by keys of which it is known beforehand that they do not open.
    fn shut(&self) -> u64 {
        let shut = self.keys.iter().filter(|held| held.is_needed_and_shut());
        shut.filter_map(|held| held.secrets).filter_map(|held| u64::try_from(held).ok()).sum()
    }

    fn not_opened(&self) -> u64 {
        self.unopened.values().map(|group| group.secrets).sum()
    }

    /// Whether something is left that could be sealed anew.
    fn is_sealed_by_others(&self) -> bool {
        self.left > self.not_opened()
    }

    pub(super) fn code(&self) -> Code {
        if self.not_opened() > 0 || self.keys.iter().any(Holding::is_needed_and_shut) {
            return Code::NeedsHuman;
        }
        if self.left > 0 { Code::Differences } else { Code::Done }
    }
}

fn left_shut(left: u64) -> String {
    format!("; left under other keys, because no key here opens it: {}", secrets(left))
}

fn secrets(number: u64) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX), "secret")
}
