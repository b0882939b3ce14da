//! Secrets: given in place, or as a file that holds nothing else.
//!
//! The rule: what was read is wrapped at once, and no message here quotes it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use config::Value;
use secrecy::SecretString;

use super::misfit::Misfit;
use super::parse;
use super::reader::{Read, Reader};

impl Reader<'_> {
    /// A secret that must be given as `key` or as `key_file`.
    pub(super) fn required_secret(&mut self, key: &str) -> Read<SecretString> {
        if let Some(secret) = self.secret(key)? {
            return Ok(secret);
        }
        let remedy = format!("set {key}_file to the path of a file that holds it, or {key} itself");
        Err(self.not_set(key, remedy))
    }

    /// A secret that may be given as `key` or as `key_file`, but not as both.
    pub(super) fn secret(&mut self, key: &str) -> Read<Option<SecretString>> {
        let file_key = format!("{key}_file");
        self.keep_secret(key);
        let inline = self.optional(key, in_place);
        let file = self.optional(&file_key, parse::path);
        match (inline?, file?) {
            (None, None) => Ok(None),
            (Some(secret), None) => Ok(Some(secret)),
            (None, Some(path)) => self.secret_in_file(&file_key, &path).map(Some),
            (Some(_), Some(_)) => {
                let other = self.origin(&file_key).unwrap_or_default();
                let problem = format!("is given, and so is {file_key} ({other})");
                Err(self.fault(key, problem, "keep one of the two"))
            }
        }
    }

    /// The content of a file without its last line break, which editors add.
    pub(super) fn secret_in_file(&mut self, key: &str, path: &Path) -> Read<SecretString> {
        let shown = path.display();
        let mut text = std::fs::read_to_string(path).map_err(|error| {
            let remedy = "name a file that the user tenantd runs as may read";
            self.fault(key, format!("names {shown}, which cannot be read: {error}"), remedy)
        })?;
        if is_open_to_everybody(path) {
            self.expose(key, path);
        }
        if text.ends_with('\n') {
            text.pop();
        }
        if text.ends_with('\r') {
            text.pop();
        }
        if text.is_empty() {
            let problem = format!("names {shown}, which is empty");
            return Err(self.fault(key, problem, "write the secret into it"));
        }
        Ok(text.into())
    }
}

/// Groups may read secrets: systemd and Kubernetes hand them out so.
fn is_open_to_everybody(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

fn in_place(value: &Value) -> Result<SecretString, Misfit> {
    match parse::text(value)? {
        empty if empty.is_empty() => Err(Misfit::new("is empty", "write the secret, or remove the key")),
        secret => Ok(secret.into()),
    }
}
