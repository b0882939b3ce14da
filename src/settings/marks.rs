//! Which settings differ between two configurations, without what they say.
//!
//! The rules: a setting is compared by a digest, and with it the file that it names, so that no
//! secret is kept to compare with; **what only a restart takes over is listed here and nowhere
//! else**, and what is not listed is taken over at once.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Value, ValueKind};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::plain_file;
use super::raw::Tree;

/// Settings, and whole sections where a dot ends them, that hold until the process ends: connections
/// are made, leases measured, and the port opened by them.
pub(super) const AT_RESTART: [&str; 13] = [
    "database.",
    "worker.lease",
    "qlik.request_timeout",
    "qlik.connect_timeout",
    "qlik.read_timeout",
    "qlik.settle",
    "qlik.ca_file",
    "qlik.connect_to",
    "qlik.proxy",
    "qlik.proxy_file",
    "http.",
    "traces.",
    "log.format",
];

/// Tokens of the port are read at every request: what is in their files is no change of a setting.
const READ_EACH_TIME: &str = "http.";

/// Larger files are compared up to here; none that we read is as large.
const MOST_BYTES: u64 = 1 << 20;

type Mark = [u8; 32];

/// A digest of each setting, and of the file that it names.
#[derive(Clone, PartialEq, Eq)]
pub struct Marks(BTreeMap<String, Mark>);

/// The names of settings that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Those that are taken over at once.
    pub at_once: Vec<String>,
    /// Those that keep their old value until the process is started again.
    pub at_restart: Vec<String>,
}

/// Whether only a restart takes this setting over.
#[must_use]
pub(super) fn needs_restart(key: &str) -> bool {
    AT_RESTART
        .iter()
        .any(|listed| if listed.ends_with('.') { key.starts_with(listed) } else { key == *listed })
}

impl Marks {
    pub(super) fn of(tree: &Tree) -> Self {
        let set = tree.entries().iter().filter(|entry| !matches!(entry.value.kind, ValueKind::Table(_)));
        Self(set.map(|entry| (named(tree, &entry.key), mark(&entry.key, &entry.value))).collect())
    }

    /// What has changed since `self`.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> Changed {
        let here = self.0.iter().filter(|(key, mark)| other.0.get(*key) != Some(mark));
        let new = other.0.keys().filter(|key| !self.0.contains_key(*key));
        let mut names: Vec<String> = here.map(|(key, _)| key).chain(new).cloned().collect();
        names.sort_unstable();
        let (at_restart, at_once) = names.into_iter().partition(|key| needs_restart(key));
        Changed { at_once, at_restart }
    }

    /// The other configuration was taken over, but for what needs a restart.
    pub fn take_over(&mut self, other: Self) {
        self.0.retain(|key, _| needs_restart(key));
        self.0.extend(other.0.into_iter().filter(|(key, _)| !needs_restart(key)));
    }
}

/// Digests of secrets are nobody's to read.
impl std::fmt::Debug for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Marks").field("keys", &self.0.len()).finish_non_exhaustive()
    }
}

/// A region is told by its name and not by its place, which others before it move.
fn named(tree: &Tree, key: &str) -> String {
    let region = || {
        let (place, rest) = key.strip_prefix("regions[")?.split_once(']')?;
        let name = tree.get(&format!("regions[{place}].name"))?;
        Some(format!("regions[{}]{rest}", name.kind))
    };
    region().unwrap_or_else(|| key.to_owned())
}

fn mark(key: &str, value: &Value) -> Mark {
    let mut digest = Sha256::new();
    digest.update(&*Zeroizing::new(format!("{:?}", value.kind)));
    if let ValueKind::String(path) = &value.kind
        && key.ends_with("_file")
        && !key.starts_with(READ_EACH_TIME)
    {
        digest.update(&*content(Path::new(path)));
    }
    digest.finalize().into()
}

/// Its beginning. What cannot be read is told by who reads it for good.
fn content(path: &Path) -> Zeroizing<Vec<u8>> {
    plain_file::read(path, MOST_BYTES).unwrap_or_else(|_| Zeroizing::new(vec![0]))
}
