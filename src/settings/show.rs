//! `tenantd config show`: what is set, to what, and by whom.
//!
//! The rule: a value is shown only if its key is known and is no secret, and only if it
//! looks like what the key asks for. An unknown key may be a mistyped secret, and
//! somebody may have written the content of a file where its name should stand.

use config::{Value, ValueKind};
use serde::Serialize;

use super::entry::Entry;
use super::misfit::has_password;
use super::parse::{is_content, quoted_path};
use super::raw::Tree;
use super::reader::Reader;
use super::sections;

/// What stands for a value that may not be told.
pub(super) const REDACTED: &str = "[redacted]";

/// One line of `config show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownKey {
    /// The dotted key.
    pub key: String,
    /// As it was written, or `[redacted]`.
    pub value: String,
    /// The file, the environment variable, `built-in default`, or `default (from KEY)`
    /// where it follows from a setting that somebody wrote.
    pub origin: String,
}

pub(super) fn rows(tree: &Tree) -> Vec<ShownKey> {
    let mut reader = Reader::new(tree);
    // Read for which keys it asks for; whether they are sound is not asked here.
    drop(sections::settings(&mut reader));
    let set = tree.entries().iter().filter(|entry| !matches!(entry.value.kind, ValueKind::Table(_)));
    set.map(|entry| row(&reader, entry)).collect()
}

fn row(reader: &Reader<'_>, entry: &Entry) -> ShownKey {
    ShownKey {
        key: entry.key.clone(),
        value: if is_shown(reader, entry) { written(&entry.value) } else { REDACTED.to_owned() },
        origin: entry.value.origin().unwrap_or_default().to_owned(),
    }
}

/// Whether the value may be told.
pub(super) fn is_shown(reader: &Reader<'_>, entry: &Entry) -> bool {
    reader.may_show(&entry.key) && !may_be_secret(reader, &entry.key, &written(&entry.value))
}

fn may_be_secret(reader: &Reader<'_>, key: &str, value: &str) -> bool {
    match key.strip_suffix("_file") {
        Some(of) => is_content(value) || (reader.is_secret(of) && quoted_path(value.as_ref()) != value),
        None if key.starts_with("profiles.") => has_password(value),
        None => value.contains('@'),
    }
}

fn written(value: &Value) -> String {
    if let ValueKind::Array(items) = &value.kind {
        let items: Vec<_> = items.iter().map(|item| format!("{:?}", item.kind.to_string())).collect();
        format!("[{}]", items.join(", "))
    } else {
        value.kind.to_string()
    }
}
