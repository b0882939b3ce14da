//! The layers one by one: the built-in defaults, the file of `--config`, the environment.
//!
//! The rule: every value keeps its origin, and a value from the environment stays
//! the text it was. `try_parsing` is never turned on: it would make the secret
//! `0012345` the number 12345.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use config::{ConfigError, Environment, FileFormat, Format, Map, Source, Value};

use super::fault::Fault;

/// The origin of values that nobody set.
pub(super) const BUILT_IN: &str = "built-in default";
/// What the origin of a default starts with that follows from what somebody wrote.
const DERIVED: &str = "default (from ";
/// Largest file; thousands of regions and profiles fit.
const MOST_BYTES: u64 = 4 << 20;
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
    pub(super) text: String,
}

impl ConfigFile {
    pub(super) fn read(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let mut text = String::new();
        // A pipe too: `--config <(command)`.
        let file = File::open(path).map_err(|error| unreadable(&name, &error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&name, &error))?;
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| unreadable(&name, &error))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(unreadable(&name, &io::Error::other(format!("it has more than {MOST_BYTES} bytes"))));
        }
        let is_readable_by_others = metadata.permissions().mode() & 0o044 != 0;
        Ok(Self { path: name, is_readable_by_others, text })
    }
}

fn unreadable(path: &str, error: &io::Error) -> Fault {
    Fault {
        key: "--config".to_owned(),
        origin: Some(path.to_owned()),
        problem: format!("cannot be read: {error}"),
        remedy: "name a TOML file that the user tenantd runs as may read".to_owned(),
    }
}

#[derive(Clone)]
pub(super) struct Layer(pub(super) Map<String, Value>);

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

/// The values of a TOML text, each with this origin.
pub(super) fn toml_layer(origin: &str, text: &str) -> Result<Layer, Fault> {
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

/// The values of those variables that are settings: one source for each, because
/// `config` would else forget which variable it was.
pub(super) fn environment_layer(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Layer, Fault> {
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
        let collected = source.collect().map_err(|error| not_collected(&error))?;
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

/// Neither parsing nor merging text can fail in `config`; should it ever, it is told.
pub(super) fn not_collected(error: &ConfigError) -> Fault {
    Fault {
        key: "the configuration".to_owned(),
        origin: None,
        problem: format!("cannot be merged: {error}"),
        remedy: "compare it with config/default.toml".to_owned(),
    }
}

/// Which layer a value came from; a later layer is greater.
pub(super) fn rank(value: &Value) -> u8 {
    match value.origin() {
        None | Some(BUILT_IN) => 0,
        Some(origin) if origin.starts_with(DERIVED) => 0,
        Some(_) if is_variable(value) => 2,
        Some(_) => 1,
    }
}

/// Whether somebody wrote the value, in a file or in the environment.
pub(super) fn is_written(value: &Value) -> bool {
    rank(value) > 0
}

/// The origin of a default that follows from this setting.
pub(super) fn derived_origin(key: &str) -> String {
    format!("{DERIVED}{key})")
}

/// Whether the value came from the environment, where all is text.
pub(super) fn is_variable(value: &Value) -> bool {
    value.origin().is_some_and(|origin| origin.starts_with(VARIABLE))
}
