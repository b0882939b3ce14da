//! Secrets: given in place, or as a file that holds nothing else.
//!
//! The rules: what was read is wrapped at once, and no message here quotes it. **What
//! surely cannot work is refused here**, and the character is named: with an invisible
//! mark in it a secret looks right, and Qlik refuses it hours later.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use config::Value;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::misfit::Misfit;
use super::reader::{Read, Reader, Recorded};
use super::{parse, plain_file};
use crate::domain::secret::closing;
use crate::domain::text::{is_hidden, named};

/// No secret of ours is longer; the rest of a larger file is not read.
const MOST_BYTES: u64 = 64 * 1024;

/// A secret, and where it stood: what else is wrong with it is told there.
pub(super) struct Given {
    pub(super) secret: SecretString,
    key: String,
    file: Option<PathBuf>,
}

impl Given {
    pub(super) fn text(&self) -> &str {
        self.secret.expose_secret()
    }

    /// The key that gave it, with `_file` where that did.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// A sentence about the secret, which begins with a verb.
    pub(super) fn told(&self, sentence: &str) -> String {
        told_of(self.file.as_deref(), sentence)
    }

    /// Records what is wrong with it.
    pub(super) fn fault(&self, from: &mut Reader<'_>, misfit: &Misfit) -> Recorded {
        from.fault(&self.key, self.told(&misfit.problem), misfit.remedy.clone())
    }
}

fn told_of(file: Option<&Path>, sentence: &str) -> String {
    match file {
        Some(file) => format!("names {}, which {sentence}", parse::quoted_path(file)),
        None => sentence.to_owned(),
    }
}

impl Reader<'_> {
    /// A secret that must be given as `key` or as `key_file`.
    pub(super) fn required_secret(&mut self, key: &str) -> Read<Given> {
        if let Some(secret) = self.secret(key)? {
            return Ok(secret);
        }
        let remedy = format!("set {key}_file to the path of a file that holds it, or {key} itself");
        Err(self.not_set(key, remedy))
    }

    /// A secret that may be given as `key` or as `key_file`, but not as both.
    pub(super) fn secret(&mut self, key: &str) -> Read<Option<Given>> {
        let file_key = format!("{key}_file");
        self.keep_secret(key);
        let inline = self.optional(key, in_place);
        let file = self.optional(&file_key, parse::path);
        match (inline?, file?) {
            (None, None) => Ok(None),
            (Some(secret), None) => Ok(Some(Given { secret, key: key.to_owned(), file: None })),
            (None, Some(path)) => self.secret_in_file(&file_key, &path).map(Some),
            (Some(_), Some(_)) => {
                let other = self.origin(&file_key).unwrap_or_default();
                let problem = format!("is given, and so is {file_key} ({other})");
                Err(self.fault(key, problem, "keep one of the two"))
            }
        }
    }

    /// The content of a file without its last line break, which editors add.
    pub(super) fn secret_in_file(&mut self, key: &str, path: &Path) -> Read<Given> {
        let given = |secret: String| Given {
            secret: secret.into(),
            key: key.to_owned(),
            file: Some(path.to_owned()),
        };
        let line = match line_of(path) {
            Ok(line) => line,
            Err(misfit) => return Err(given(String::new()).fault(self, &misfit)),
        };
        if is_open_to_everybody(path) {
            let sentence = format!("everybody may read: {}", closing(path, "o-rwx"));
            self.warn(key, told_of(Some(path), &sentence));
        }
        Ok(given(line.to_string()))
    }
}

/// What a file of one secret holds.
pub(super) fn line_of(path: &Path) -> Result<Zeroizing<String>, Misfit> {
    let text = content(path)?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match blemish(line) {
        None => Ok(Zeroizing::new(line.to_owned())),
        Some(misfit) => Err(misfit),
    }
}

fn content(path: &Path) -> Result<Zeroizing<String>, Misfit> {
    let bytes = plain_file::read(path, MOST_BYTES).map_err(|error| {
        let remedy = "name a file that the user tenantd runs as may read";
        Misfit::new(format!("cannot be read: {error}"), remedy)
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        let problem = format!("has more than {MOST_BYTES} bytes");
        return Err(Misfit::new(problem, "name a file that holds the secret and nothing else"));
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        let problem = "begins with a byte order mark (U+FEFF) of UTF-16";
        return Err(Misfit::new(problem, "save it as UTF-8 without a byte order mark"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Misfit::new("holds bytes that are not UTF-8", "save it as UTF-8, or write it anew")),
    }
}

/// Groups may read secrets: systemd and Kubernetes hand them out so.
fn is_open_to_everybody(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

fn in_place(value: &Value) -> Result<SecretString, Misfit> {
    let secret = parse::text(value)?;
    match blemish(&secret) {
        None => Ok(secret.into()),
        Some(misfit) => Err(misfit),
    }
}

/// What no secret has: nothing in it, a blank at an end, more than one line, a
/// character that nobody sees.
fn blemish(secret: &str) -> Option<Misfit> {
    let is_unseen = |c: &char| is_hidden(*c) || c.is_whitespace();
    let Some(first) = secret.chars().next() else {
        return Some(Misfit::new("is empty", "write the secret, or remove the key"));
    };
    let told =
        |problem: &str, c: char, remedy: &str| Some(Misfit::new(format!("{problem} {}", named(c)), remedy));
    if first == '\u{FEFF}' {
        return told("begins with", first, "save it as UTF-8 without a byte order mark");
    }
    if is_unseen(&first) {
        return told("begins with", first, "remove it");
    }
    let last = secret.chars().next_back().filter(is_unseen);
    match (secret.chars().find(|c| is_unseen(c) && *c != ' '), last) {
        (Some(c @ ('\n' | '\r')), _) => {
            told("has more than one line:", c, "keep the line with the secret, and nothing else")
        }
        (_, Some(c)) => told("ends in", c, "remove it"),
        (Some(c), None) => told("holds", c, "remove it; no secret has one"),
        (None, None) => None,
    }
}
