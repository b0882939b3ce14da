//! What the layers say, merged by the `config` crate and flattened to dotted keys.
//!
//! The rule: every value keeps its origin, and a value from the environment stays
//! the text it was. `try_parsing` is never turned on: it would make the secret
//! `0012345` the number 12345.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use config::{Config, ConfigError, Environment, FileFormat, Format, Map, Source, Value, ValueKind};

use super::fault::Fault;

/// The origin of values that nobody set.
pub(super) const BUILT_IN: &str = "built-in default";
/// What the origin of a value from the environment starts with.
const VARIABLE: &str = "environment variable ";
/// `config/default.toml`, compiled in.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The file given by `--config`, as it was read.
pub(super) struct ConfigFile {
    /// Its path, which becomes the origin of its values.
    pub(super) path: String,
    /// Whether its group or everybody may read it.
    pub(super) is_readable_by_others: bool,
    /// Its TOML.
    pub(super) text: String,
}

impl ConfigFile {
    pub(super) fn read(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(&name, &error))?;
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(&name, &error))?;
        let is_readable_by_others = metadata.permissions().mode() & 0o044 != 0;
        Ok(Self { path: name, is_readable_by_others, text })
    }
}

fn unreadable(path: &str, error: &std::io::Error) -> Fault {
    Fault {
        key: "--config".to_owned(),
        origin: Some(path.to_owned()),
        problem: format!("cannot be read: {error}"),
        remedy: "name a TOML file that the user tenantd runs as may read".to_owned(),
    }
}

/// One value with its dotted key, such as `regions[0].hosts`.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
}

/// All values of the merged layers, ordered by key.
pub(super) struct Tree(Vec<Entry>);

impl Tree {
    /// Merges the built-in defaults, the file and the variables; later ones win.
    pub(super) fn of_layers(
        file: Option<&ConfigFile>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Fault> {
        let built_in = toml_layer(BUILT_IN, DEFAULTS)?;
        let mut layers = Config::builder().add_source(built_in.clone());
        if let Some(file) = file {
            layers = layers.add_source(toml_layer(&file.path, &file.text)?);
        }
        let merged = layers.add_source(environment_layer(variables)?).build();
        let mut tree = merged.map_err(|error| unmergeable(&error))?.cache;
        complete_profiles(&mut tree, &built_in);
        let mut entries = Vec::new();
        flatten(String::new(), &tree, &mut entries);
        Ok(Self(entries))
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }
}

/// Whether the value came from the environment, where all is text.
pub(super) fn is_variable(value: &Value) -> bool {
    value.origin().is_some_and(|origin| origin.starts_with(VARIABLE))
}

/// One layer, parsed.
#[derive(Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// `config` asks for it; secrets stand in a layer, so it says nothing.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer(..)")
    }
}

fn toml_layer(origin: &str, text: &str) -> Result<Layer, Fault> {
    let parsed = FileFormat::Toml.parse(Some(&origin.to_owned()), text);
    parsed.map(Layer).map_err(|error| Fault {
        key: "--config".to_owned(),
        origin: Some(origin.to_owned()),
        problem: format!("is not TOML: {}", without_excerpt(&error.to_string())),
        remedy: "mend that line; text stands in quotes, and https://toml.io has the rules".to_owned(),
    })
}

/// The parser's message without the line it quotes, which may hold a secret:
/// its first line says where, its last line says what.
fn without_excerpt(message: &str) -> String {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    match (first.strip_prefix("TOML parse error at "), lines.next_back()) {
        (Some(place), Some(what)) => format!("{place}: {what}"),
        _ => first.to_owned(),
    }
}

/// One source for each variable, because `config` would else forget which it was.
fn environment_layer(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Layer, Fault> {
    let mut layer = Map::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| is_setting(name)) else { continue };
        let origin = format!("{VARIABLE}{name}");
        let value = value.into_string().map_err(|_| not_utf8(&origin))?;
        let source = Environment::with_prefix("TENANTD")
            .prefix_separator("_")
            .separator("__")
            .ignore_empty(true)
            .source(Some(Map::from([(name.to_owned(), value)])));
        let collected = source.collect().map_err(|error| unmergeable(&error))?;
        layer.extend(collected.into_iter().map(|(key, value)| (key, Value::new(Some(&origin), value.kind))));
    }
    Ok(Layer(layer))
}

fn is_setting(name: &str) -> bool {
    name.strip_prefix("TENANTD_").is_some_and(|rest| rest.contains("__"))
}

fn not_utf8(origin: &str) -> Fault {
    Fault {
        key: "the environment".to_owned(),
        origin: Some(origin.to_owned()),
        problem: "holds bytes that are not UTF-8".to_owned(),
        remedy: "set it to plain text".to_owned(),
    }
}

fn unmergeable(error: &ConfigError) -> Fault {
    Fault {
        key: "the configuration".to_owned(),
        origin: None,
        problem: format!("cannot be merged: {error}"),
        remedy: "compare it with config/default.toml".to_owned(),
    }
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
