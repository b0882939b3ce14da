//! Every text of the configuration that must never be told, for whoever looks through what is
//! about to leave the machine.
//!
//! The rule: **whatever `config show` would not show is one**, and so is what stands in a file of
//! secrets, whether or not the configuration is sound: a mistyped key may hold a secret too. But
//! what stands under such a key and is no secret elsewhere (`is_ours`) is hidden there alone.

use std::path::Path;

use config::{Value, ValueKind};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value as Json;

use super::authority::{decoded, split};
use super::database_url::DatabaseUrl;
use super::entry::Entry;
use super::layers::DEFAULTS;
use super::raw::Tree;
use super::reader::Reader;
use super::{plain_file, sections, show};
use crate::domain::host::HostPattern;

/// A part of a secret that is shorter would be found in many a harmless word.
const SHORTEST_PART: usize = 8;
/// The same of a whole.
const SHORTEST: usize = 6;
/// No file of secrets is longer.
const MOST_BYTES: u64 = 256 * 1024;
/// The members of a JWK that are no secret (RFC 7517).
const PUBLIC: [&str; 10] = ["kid", "kty", "alg", "use", "key_ops", "crv", "x", "y", "x5t", "n"];

pub(super) fn texts(tree: &Tree) -> Vec<SecretString> {
    let mut reader = Reader::new(tree);
    // Read for which keys hold secrets; whether they are sound is not asked here.
    drop(sections::settings(&mut reader));
    let shown: Vec<String> =
        show::rows(tree).into_iter().map(|row| row.value).filter(|value| value != show::REDACTED).collect();
    let mut found = Vec::new();
    for entry in tree.entries() {
        if !show::is_shown(&reader, entry) {
            let mut texts = Vec::new();
            in_value(&entry.value, &mut texts);
            let is_known = reader.may_show(&entry.key) || reader.is_secret(&entry.key);
            texts.retain(|text| is_known || !is_ours(text.expose_secret(), &shown));
            found.append(&mut texts);
        }
        if may_name_secrets(&reader, entry)
            && let ValueKind::String(path) = &entry.value.kind
        {
            in_file(Path::new(path), &mut found);
        }
    }
    found
}

/// Whether a text under an unknown key would make the rest unreadable if it were sought there, and is
/// told anyway: what is short, a host or a pattern of hosts, or a word of `config/default.toml` or of
/// a value that is shown.
fn is_ours(text: &str, shown: &[String]) -> bool {
    text.len() < SHORTEST_PART
        || HostPattern::parse(text).is_ok()
        || DEFAULTS.contains(text)
        || shown.iter().any(|value| value.contains(text))
}

fn may_name_secrets(reader: &Reader<'_>, entry: &Entry) -> bool {
    ["http.token_file", "http.act_token_file", "vault.keyring_file"].contains(&entry.key.as_str())
        || entry.key.strip_suffix("_file").is_some_and(|of| reader.is_secret(of))
}

fn in_value(value: &Value, found: &mut Vec<SecretString>) {
    match &value.kind {
        ValueKind::String(text) => in_text(text, found),
        ValueKind::Array(items) => items.iter().for_each(|item| in_value(item, found)),
        // A secret of figures alone that nobody put into quotes.
        ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_) => in_text(&value.kind.to_string(), found),
        ValueKind::Nil | ValueKind::Boolean(_) | ValueKind::Table(_) => {}
    }
}

/// One that cannot be read has told nobody anything.
fn in_file(path: &Path, found: &mut Vec<SecretString>) {
    let Ok(bytes) = plain_file::read(path, MOST_BYTES) else { return };
    let text = SecretString::from(String::from_utf8_lossy(&bytes).into_owned());
    match serde_json::from_str(text.expose_secret()) {
        Ok(json) => in_key_set(&json, found),
        Err(_) => in_text(text.expose_secret(), found),
    }
}

fn in_key_set(json: &Json, found: &mut Vec<SecretString>) {
    match json {
        Json::Object(members) => {
            for (_, value) in members.iter().filter(|(name, _)| !PUBLIC.contains(&name.as_str())) {
                in_key_set(value, found);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| in_key_set(item, found)),
        Json::String(text) => in_text(text, found),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The whole, and what of it could be told without the rest.
fn in_text(text: &str, found: &mut Vec<SecretString>) {
    let mut add = |part: &str, shortest: usize| {
        if part.trim().len() >= shortest {
            found.push(part.trim().to_owned().into());
        }
    };
    add(text, SHORTEST);
    for line in text.lines() {
        add(line, SHORTEST_PART);
        // As headers are written.
        for pair in line.split(',') {
            let value = pair.split_once('=').map_or(pair, |(_, value)| value);
            let read = decoded(value).unwrap_or_default();
            for part in [pair, value, read.as_str()] {
                add(part, SHORTEST_PART);
                part.split_whitespace().for_each(|word| add(word, SHORTEST_PART));
            }
        }
        if let Some((_, rest)) = line.split_once("://") {
            of_url(line.trim(), rest.trim(), &mut add);
        }
    }
}

/// Of a sound one the password; where it cannot be told which part that is, every part.
fn of_url(url: &str, rest: &str, add: &mut impl FnMut(&str, usize)) {
    let of_database = DatabaseUrl::parse(url);
    match split(rest) {
        Ok(parts) if of_database.is_some() || !url.starts_with("postgres") => {
            let written = parts.password.unwrap_or_default();
            add(written, SHORTEST);
            add(&decoded(written).unwrap_or_default(), SHORTEST);
            if let Some(password) = of_database.as_ref().and_then(|url| url.password.as_ref()) {
                add(password.expose_secret(), SHORTEST);
            }
        }
        Ok(_) | Err(_) => {
            rest.split([':', '/', '@', '?', '&', '=', '#']).for_each(|part| add(part, SHORTEST));
        }
    }
}
