//! The file: what may leave the machine, packed.
//!
//! The rules: names become pseudonyms first, then **every text goes through the redactor**, the
//! README too; no part is longer than its share; and no file is ever overwritten.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::bundle::{Body, Bundle};
use super::names::Names;
use super::readme;
use super::redact::Redactor;
use crate::cli::exit::Misuse;
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

/// Creates the file that nobody else may read.
pub(super) fn create(path: &Path) -> anyhow::Result<File> {
    let shown = path.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return Misuse(format!("{shown} is there already; choose another name with --out")).into();
        }
        anyhow!(
            "{shown} cannot be created: {error}; name a file in a directory that you may write to with --out"
        )
    })
}

/// Everything that was gathered, fit to be sent.
pub(super) fn pack(bundle: &Bundle, terms: &str, names: Option<&Names>, redactor: &Redactor) -> Packed {
    let mut packed = Packed { parts: Vec::new(), notes: Vec::new(), redacted: 0 };
    let clean = |text: &str, redacted: &mut usize| {
        let (text, places) = redactor.redact(text);
        *redacted += places;
        text
    };
    let nameless = |text: &str| names.map_or_else(|| text.to_owned(), |names| names.text(text));
    for part in &bundle.parts {
        let text = match &part.body {
            Body::Text(text) => nameless(text).lines().map(|line| plain(line) + "\n").collect(),
            Body::Json(value) => {
                let value = names.map_or_else(|| value.clone(), |names| names.value(value));
                // What was a value a moment ago can be written.
                let json = serde_json::to_string_pretty(&value).unwrap_or_default();
                plain_json(&json) + "\n"
            }
        };
        let mut text = clean(&text, &mut packed.redacted);
        if let Some(end) = cut(&text) {
            text.truncate(end);
            text.push_str("\n… cut off\n");
            packed.notes.push(format!("{}: only its first {MOST_BYTES} bytes", part.file));
        }
        let about = clean(&nameless(&part.about), &mut packed.redacted);
        packed.parts.push(PackedPart { file: part.file.clone(), bytes: text.len(), about, text });
    }
    for note in &bundle.notes {
        let note = clean(&nameless(note), &mut packed.redacted);
        packed.notes.push(note);
    }
    let parts: Vec<_> = packed.parts.iter().map(|part| (part.file.as_str(), part.about.as_str())).collect();
    let text = readme::text(terms, &parts, &packed.notes, packed.redacted);
    let about = "what each file is, and what was left out".to_owned();
    packed.parts.insert(0, PackedPart { file: README.to_owned(), bytes: text.len(), about, text });
    packed
}

/// Where a text ends that is too long.
fn cut(text: &str) -> Option<usize> {
    (text.len() > MOST_BYTES)
        .then(|| (0..=MOST_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0))
}

/// Writes it, and returns how long the file is.
pub(super) fn write(file: File, packed: &Packed, now: DateTime<Utc>) -> io::Result<u64> {
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for part in &packed.parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(part.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.timestamp()).unwrap_or(0));
        tar.append_data(&mut header, format!("{ROOM}/{}", part.file), part.text.as_bytes())?;
    }
    let mut file = tar.into_inner()?.finish()?;
    file.flush()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemClock;

    #[test]
    fn a_part_that_is_too_long_is_cut_off_and_says_so() {
        let mut bundle = Bundle::new(SystemClock::start());
        bundle.text("long.txt", "", "ä".repeat(MOST_BYTES));
        bundle.text("short.txt", "", "ä".to_owned());

        let packed = pack(&bundle, "", None, &Redactor::new(&[]));

        let sizes: Vec<_> = packed.parts[1..].iter().map(|part| part.bytes).collect();
        assert_eq!(sizes, [MOST_BYTES + "\n… cut off\n".len(), "ä\n".len()]);
        assert!(packed.notes[0].starts_with("long.txt: only its first"), "{:?}", packed.notes);
        assert!(packed.parts[0].text.contains(&packed.notes[0]));
    }
}
