//! The file: what may leave the machine, packed.
//!
//! The rules: **every text goes through the redactor as it was gathered**, before a pseudonym could
//! stand in the middle of a secret; JSON is walked and never looked through as text, so it stays
//! JSON with all its members; no part is longer than its share; and no file is ever overwritten.

use std::fs::File;
use std::io::{self, Write as _};

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::Value;

use super::bundle::{Body, Bundle};
use super::names::Names;
use super::readme;
use super::redact::Redactor;
use crate::domain::text::{plain, plain_json};

/// Most of one part.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What all files are under, so that whoever unpacks it finds them together.
const ROOM: &str = "tenantd-support";
const README: &str = "README.txt";

/// A file, as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct PackedPart {
    pub(super) file: String,
    pub(super) bytes: usize,
    /// What it is.
    pub(super) about: String,
    #[serde(skip)]
    text: String,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) parts: Vec<PackedPart>,
    pub(super) notes: Vec<String>,
    /// In how many places there was a secret, or something like one.
    pub(super) redacted: usize,
}

/// Everything that was gathered, fit to be sent.
pub(super) fn pack(bundle: &Bundle, terms: &str, names: Option<&Names>, redactor: &Redactor) -> Packed {
    let mut packed = Packed { parts: Vec::new(), notes: Vec::new(), redacted: 0 };
    let fit = |text: &str, redacted: &mut usize| {
        let (text, places) = redactor.redact(text);
        *redacted += places;
        names.map_or(text.clone(), |names| names.text(&text))
    };
    for part in &bundle.parts {
        let mut text: String = match &part.body {
            Body::Text(text) => {
                fit(text, &mut packed.redacted).lines().map(|line| plain(line) + "\n").collect()
            }
            Body::Json(value) => {
                let (value, places) = redactor.redact_json(value);
                packed.redacted += places;
                let value = names.map_or(value.clone(), |names| each_text(&value, &|text| names.text(text)));
                // What was a value a moment ago can be written.
                let json = serde_json::to_string_pretty(&value).unwrap_or_default();
                plain_json(&json) + "\n"
            }
        };
        if let Some(end) = cut(&text) {
            text.truncate(end);
            text.push_str("\n… cut off\n");
            packed.notes.push(format!("{}: only its first {MOST_BYTES} bytes", part.file));
        }
        let about = fit(&part.about, &mut packed.redacted);
        packed.parts.push(PackedPart { file: part.file.clone(), bytes: text.len(), about, text });
    }
    for note in &bundle.notes {
        let note = fit(note, &mut packed.redacted);
        packed.notes.push(note);
    }
    let parts: Vec<_> = packed.parts.iter().map(|part| (part.file.as_str(), part.about.as_str())).collect();
    let text = readme::text(terms, &parts, &packed.notes, packed.redacted);
    let about = "what each file is, and what was left out".to_owned();
    packed.parts.insert(0, PackedPart { file: README.to_owned(), bytes: text.len(), about, text });
    packed
}

/// The value with another text for each. The names of members stay: they are words of ours, and
/// none of them is a tenant or a host, so a tenant with the id `ready` must not take one.
fn each_text(value: &Value, change: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) => items.iter().map(|item| each_text(item, change)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), each_text(value, change))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Where a text ends that is too long.
fn cut(text: &str) -> Option<usize> {
    (text.len() > MOST_BYTES)
        .then(|| (0..=MOST_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0))
}

/// Writes it.
pub(super) fn write(file: &mut File, packed: &Packed, now: DateTime<Utc>) -> io::Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for part in &packed.parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(part.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.timestamp()).unwrap_or(0));
        tar.append_data(&mut header, format!("{ROOM}/{}", part.file), part.text.as_bytes())?;
    }
    tar.into_inner()?.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemClock;

    /// A pseudonym in the middle of a secret would leave both its ends.
    #[test]
    fn a_secret_that_holds_a_tenants_name_is_found_all_the_same() {
        let mut bundle = Bundle::new(SystemClock::start());
        let told = serde_json::json!({ "external_id": "acme", "message": "said acme/S3cr3t.xyz", "acme": 1,
            "a": ["acme", { "b": "x acme" }] });
        bundle.value("told.json", "", &told);
        bundle.text("told.txt", "", "acme/S3cr3t.xyz of acme".to_owned());
        let names = Names::found_in(&bundle, &[], vec![]);

        let packed = pack(&bundle, "", Some(&names), &Redactor::new(&["acme/S3cr3t.xyz".to_owned().into()]));

        assert_eq!(packed.parts[2].text, "[redacted] of tenant-unknown-1\n");
        let json: Value = serde_json::from_str(&packed.parts[1].text).unwrap();
        let wanted = serde_json::json!({
            "external_id": "tenant-unknown-1", "message": "said [redacted]", "acme": 1,
            "a": ["tenant-unknown-1", { "b": "x tenant-unknown-1" }],
        });
        assert_eq!(json, wanted);
    }

    /// Each is harmless alone.
    #[test]
    fn a_value_is_looked_at_beside_its_name() {
        let mut bundle = Bundle::new(SystemClock::start());
        bundle.value("told.json", "", &serde_json::json!({ "client_secret": "a-word-of-it", "x": "y" }));

        let packed = pack(&bundle, "", None, &Redactor::new(&[]));

        let json: Value = serde_json::from_str(&packed.parts[1].text).unwrap();
        assert_eq!(json, serde_json::json!({ "client_secret": "[redacted]", "x": "y" }));
        assert_eq!(packed.redacted, 1);
    }

    #[test]
    fn a_part_that_is_too_long_is_cut_off_and_says_so() {
        let mut bundle = Bundle::new(SystemClock::start());
        bundle.text("long.txt", "", "x".to_owned() + &"ä".repeat(MOST_BYTES));
        bundle.text("short.txt", "", "ä".to_owned());

        let packed = pack(&bundle, "", None, &Redactor::new(&[]));

        let sizes: Vec<_> = packed.parts[1..].iter().map(|part| part.bytes).collect();
        // Between two characters.
        assert_eq!(sizes, [MOST_BYTES - 1 + "\n… cut off\n".len(), "ä\n".len()]);
        assert!(packed.notes[0].starts_with("long.txt: only its first"), "{:?}", packed.notes);
        assert!(packed.parts[0].text.contains(&packed.notes[0]));
    }

    /// Whatever stands in a text, a part of JSON stays JSON and loses no neighbour.
    #[test]
    fn every_part_of_json_still_parses_and_keeps_its_members() {
        let hard = [
            "see the client_secret:",
            "wrong password='",
            "it's",
            "password=",
            "\"token\": \"",
            "authorization: ",
            "basic authentication failed",
            "-----BEGIN PRIVATE KEY-----",
            "https://me:",
            "@host",
            "\\\"password\\\":\\\"",
            "token: [",
            "\n\u{7f}\u{202e}\"",
            "123456",
        ];
        let mut bundle = Bundle::new(SystemClock::start());
        let told = |one: &str, other: &str| serde_json::json!({ "m": one, "n": other, "o": [other, one], "p": 1_234_567 });
        for (number, one) in hard.iter().enumerate() {
            let told: Vec<_> = hard.iter().map(|other| told(one, other)).collect();
            bundle.value(&format!("{number}.json"), "", &told);
        }
        // Secrets that would take punctuation of JSON, or parts of numbers.
        let secrets = ["\", \"n\"", "123456", "p\": 1234"].map(|secret| secret.to_owned().into());

        let packed = pack(&bundle, "", None, &Redactor::new(&secrets));

        for (part, one) in packed.parts[1..].iter().zip(hard) {
            let left: Value =
                serde_json::from_str(&part.text).unwrap_or_else(|error| panic!("{error}: {}", part.text));
            for (left, other) in left.as_array().unwrap().iter().zip(hard) {
                let whole = |text: &str| ["-----BEGIN PRIVATE KEY-----", "123456"].contains(&text);
                let wanted = |text: &str| if whole(text) { "[redacted]".to_owned() } else { text.to_owned() };
                assert_eq!(left, &told(&wanted(one), &wanted(other)), "{}", part.file);
            }
        }
    }

    #[test]
    fn a_tenant_named_like_a_member_renames_none() {
        let mut bundle = Bundle::new(SystemClock::start());
        let told = serde_json::json!({ "external_id": "ready", "host": "h.us.qlikcloud.com", "ready": 1,
            "a": [{ "external_id": "host", "phase": "x" }, { "external_id": "phase", "host": "ready" }] });
        bundle.value("told.json", "", &told);
        let names = Names::found_in(&bundle, &[], vec![]);

        let packed = pack(&bundle, "", Some(&names), &Redactor::new(&[]));

        let left: Value = serde_json::from_str(&packed.parts[1].text).unwrap();
        let wanted = serde_json::json!({ "external_id": "tenant-unknown-3",
            "host": "host-unknown-1.us.qlikcloud.com", "ready": 1,
            "a": [{ "external_id": "tenant-unknown-1", "phase": "x" },
                { "external_id": "tenant-unknown-2", "host": "tenant-unknown-3" }] });
        assert_eq!(left, wanted);
    }
}
