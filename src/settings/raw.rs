//! What the layers say together, merged by the `config` crate and flattened to dotted keys.
//!
//! The rule: nothing is checked here; an unknown key must reach the reader to be
//! told. Only what a later layer has replaced is dropped, and defaults follow from
//! what was written.

use std::collections::HashMap;
use std::ffi::OsString;

use config::{Config, Map, Value, ValueKind};

use super::derived::derive;
use super::entry::Entry;
use super::fault::Fault;
use super::layers::{
    BUILT_IN, ConfigFile, DEFAULTS, Layer, environment_layer, not_collected, rank, toml_layer,
};

/// All values of the merged layers, ordered by key.
pub(super) struct Tree {
    entries: Vec<Entry>,
    /// Names of all variables, for those that are nearly settings.
    variables: Vec<OsString>,
}

impl Tree {
    /// Merges the built-in defaults, the file and the variables; later ones win.
    pub(super) fn of_layers(
        file: Option<&ConfigFile>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Fault> {
        let variables: Vec<_> = variables.into_iter().collect();
        let names = variables.iter().map(|(name, _)| name.clone()).collect();
        let built_in = toml_layer(BUILT_IN, DEFAULTS)?;
        let mut layers = Config::builder().add_source(built_in.clone());
        if let Some(file) = file {
            layers = layers.add_source(toml_layer(&file.path, &file.text)?);
        }
        let merged = layers.add_source(environment_layer(variables)?).build();
        let mut tree = merged.map_err(|error| not_collected(&error))?.cache;
        complete_profiles(&mut tree, &built_in);
        let mut entries = Vec::new();
        flatten(String::new(), &tree, &mut entries);
        let mut entries = without_replaced(entries);
        derive(&mut entries);
        Ok(Self { entries, variables: names })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Whether a variable of this name is set.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| variable == name)
    }
}

/// Drops one form of a secret (`url`, `url_file`) where a later layer gives the other.
/// Where one layer gives both, both stay, so that the reader tells it.
fn without_replaced(entries: Vec<Entry>) -> Vec<Entry> {
    let ranks: HashMap<String, u8> =
        entries.iter().map(|entry| (entry.key.clone(), rank(&entry.value))).collect();
    let is_replaced = |entry: &Entry| {
        let file_form = format!("{}_file", entry.key);
        let other = entry.key.strip_suffix("_file").unwrap_or(&file_form);
        ranks.get(other).is_some_and(|other| *other > rank(&entry.value))
    };
    entries.into_iter().filter(|entry| !is_replaced(entry)).collect()
}

/// Gives every profile the built-in values of `[profiles.default]` for what it
/// does not say. Not the operator's own: redirect URIs must never spread by
/// inheritance.
fn complete_profiles(tree: &mut Value, built_in: &Layer) {
    let Some(defaults) = built_in.0.get("profiles").and_then(|profiles| child(profiles, "default")) else {
        return;
    };
    let Some(profiles) = table_mut(tree).and_then(|root| root.get_mut("profiles")).and_then(table_mut) else {
        return;
    };
    for profile in profiles.values_mut().filter_map(table_mut) {
        for (key, value) in defaults {
            profile.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

fn child<'a>(value: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    let ValueKind::Table(table) = &value.kind else { return None };
    let ValueKind::Table(child) = &table.get(key)?.kind else { return None };
    Some(child)
}

fn table_mut(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if let ValueKind::Table(table) = &mut value.kind { Some(table) } else { None }
}

/// An empty table stays an entry, so that a mistyped section is seen though nothing is in it.
fn flatten(key: String, value: &Value, entries: &mut Vec<Entry>) {
    if let ValueKind::Table(table) = &value.kind
        && !table.is_empty()
    {
        let mut names: Vec<_> = table.keys().collect();
        names.sort_unstable();
        for name in names {
            flatten(join(&key, name), &table[name], entries);
        }
    } else if let ValueKind::Array(items) = &value.kind
        && items.iter().any(|item| matches!(item.kind, ValueKind::Table(_)))
    {
        for (index, item) in items.iter().enumerate() {
            flatten(format!("{key}[{index}]"), item, entries);
        }
    } else {
        entries.push(Entry { key, value: value.clone() });
    }
}

/// Dots a key on, in quotes where TOML would need them.
fn join(key: &str, name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let name = if is_bare { name.to_owned() } else { format!("{name:?}") };
    if key.is_empty() { name } else { format!("{key}.{name}") }
}
