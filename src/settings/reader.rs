//! Reads keys one by one, remembers which there are, and collects what is wrong.
//!
//! The rule: whoever reads a section reads *all* its keys before it gives up on
//! the first, so that every fault is found in one round. [`Recorded`] can be
//! made only by recording a fault, so a value cannot go missing in silence.

use std::collections::BTreeSet;

use config::{Value, ValueKind};

use super::entry::Entry;
use super::fault::{Fault, InvalidSettings, Warning};
use super::layers::is_written;
use super::misfit::Misfit;
use super::raw::Tree;
use crate::domain::nearest::nearest;

/// A fault was recorded instead of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded(());

/// A value, or the promise that the reader holds the fault.
pub(super) type Read<T> = Result<T, Recorded>;

/// One pass over the tree.
pub(super) struct Reader<'a> {
    tree: &'a Tree,
    known: BTreeSet<String>,
    secret: BTreeSet<String>,
    warnings: Vec<Warning>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            known: BTreeSet::new(),
            secret: BTreeSet::new(),
            warnings: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// The same knowledge of keys with a clean slate.
    pub(super) fn without_faults(self) -> Self {
        Self { faults: Vec::new(), ..self }
    }

    /// A key that must be set.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&Value) -> Result<T, Misfit>,
    ) -> Read<T> {
        match self.optional(key, parse)? {
            Some(value) => Ok(value),
            None => Err(self.not_set(key, "set it; docs/configuration.md says to what")),
        }
    }

    /// A key that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&Value) -> Result<T, Misfit>,
    ) -> Read<Option<T>> {
        self.known.insert(key.to_owned());
        match self.tree.get(key).map(parse).transpose() {
            Ok(value) => Ok(value),
            Err(misfit) => Err(self.fault(key, misfit.problem, misfit.remedy)),
        }
    }

    /// A value that another function has read or will read: for rules between
    /// keys, which must not repeat its faults.
    pub(super) fn peek<T>(&self, key: &str, parse: impl FnOnce(&Value) -> Result<T, Misfit>) -> Option<T> {
        self.tree.get(key).and_then(|value| parse(value).ok())
    }

    /// Records a fault of this key.
    pub(super) fn fault(
        &mut self,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Recorded {
        let (key, origin) = (key.to_owned(), self.origin(key).map(str::to_owned));
        self.faults.push(Fault { key, origin, problem: problem.into(), remedy: remedy.into() });
        Recorded(())
    }

    /// Records that a key must be set; says so where a variable is nearly its.
    pub(super) fn not_set(&mut self, key: &str, remedy: impl Into<String>) -> Recorded {
        let upper = key.to_uppercase();
        let (meant, nearly) = (upper.replace('.', "__"), upper.replace('.', "_"));
        let is_meant = |suffix: &&str| self.tree.has_variable(&format!("TENANTD_{nearly}{suffix}"));
        let problem = match ["", "_FILE"].iter().find(|suffix| is_meant(suffix)) {
            Some(suffix) => format!(
                "is not set (TENANTD_{nearly}{suffix} is set; settings have two underscores: TENANTD_{meant}{suffix})"
            ),
            None => "is not set".to_owned(),
        };
        self.fault(key, problem, remedy)
    }

    /// Records what is unwise about this key, where only its reader can see it.
    pub(super) fn warn(&mut self, key: &str, message: impl Into<String>) {
        self.warnings.push(Warning { key: key.to_owned(), message: message.into() });
    }

    /// What the readers of keys found unwise.
    pub(super) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether this process has a variable of this name, whatever its value.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.tree.has_variable(name)
    }

    /// Where a key was set, if it was.
    pub(super) fn origin(&self, key: &str) -> Option<&'a str> {
        self.tree.get(key).and_then(Value::origin)
    }

    /// Whether somebody wrote this key, in a file or in the environment.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.tree.get(key).is_some_and(is_written)
    }

    /// Marks a key whose value must never be shown.
    pub(super) fn keep_secret(&mut self, key: &str) {
        self.secret.insert(key.to_owned());
    }

    /// How many `[[…]]` tables a list has.
    pub(super) fn tables(&self, list: &str) -> usize {
        let has = |index: usize| {
            let (table, inside) = (format!("{list}[{index}]"), format!("{list}[{index}]."));
            self.tree.entries().iter().any(|entry| entry.key == table || entry.key.starts_with(&inside))
        };
        (0..self.tree.entries().len()).take_while(|index| has(*index)).count()
    }

    /// The names of the tables below a section, as in `[profiles.NAME]`.
    pub(super) fn names(&self, section: &str) -> BTreeSet<&'a str> {
        let name = |entry: &'a Entry| {
            let rest = entry.key.strip_prefix(section)?.strip_prefix('.')?;
            // A quoted name may hold dots of its own.
            let parts = if rest.starts_with('"') { rest.rsplit_once('.') } else { rest.split_once('.') };
            parts.map(|(name, _)| name)
        };
        self.tree.entries().iter().filter_map(name).collect()
    }

    /// All values, for looking at where they came from.
    pub(super) fn entries(&self) -> &'a [Entry] {
        self.tree.entries()
    }

    /// Whether somebody read this key and it is no secret.
    pub(super) fn may_show(&self, key: &str) -> bool {
        self.known.contains(key) && !self.secret.contains(key)
    }

    /// Whether this key holds a secret.
    pub(super) fn is_secret(&self, key: &str) -> bool {
        self.secret.contains(key)
    }

    /// Every key that was asked for, set or not.
    #[cfg(test)]
    pub(super) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }

    /// The value, if there was no fault and every key in the tree was asked for.
    pub(super) fn finish<T>(mut self, value: Read<T>) -> Result<T, InvalidSettings> {
        let unknown: Vec<_> = self.tree.entries().iter().filter(|entry| !self.is_known(entry)).collect();
        for entry in unknown {
            self.refuse_unknown(&entry.key);
        }
        match value {
            Ok(value) if self.faults.is_empty() => Ok(value),
            Ok(_) | Err(Recorded(())) => Err(InvalidSettings::new(self.faults)),
        }
    }

    fn is_known(&self, entry: &Entry) -> bool {
        let is_empty_table = matches!(entry.value.kind, ValueKind::Table(_));
        self.known.contains(&entry.key) || (is_empty_table && self.is_section(&entry.key))
    }

    fn is_section(&self, key: &str) -> bool {
        let inside = format!("{key}.");
        self.known.iter().any(|known| known.starts_with(&inside))
    }

    /// Names the key, never its value: it may be a mistyped secret.
    fn refuse_unknown(&mut self, key: &str) {
        if key.starts_with("regions.") {
            self.fault(
                key,
                "is not in a list",
                "regions come from the file of --config, each under [[regions]]",
            );
        } else if self.is_section(key) {
            self.fault(key, "is a section, not a value", format!("write [{key}] and its keys below it"));
        } else {
            let remedy = match nearest(key, self.known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => "remove it; docs/configuration.md lists every key".to_owned(),
            };
            self.fault(key, "is not a known key", remedy);
        }
    }
}
