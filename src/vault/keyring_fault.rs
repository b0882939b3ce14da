//! Why a keyring cannot be used, and how to mend it.
//!
//! The rule: no fault holds key material, and none quotes the file.

use std::fmt;
use std::path::PathBuf;

use super::jwk::KeyFault;
use crate::domain::ids::KeyId;
use crate::domain::message::Message;
use crate::domain::secret::closing;

/// A keyring file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct KeyringError {
    pub path: PathBuf,
    pub fault: KeyringFault,
}

/// What is wrong with a keyring.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are words of the message")]
pub enum KeyringFault {
    /// The operating system does not let us read it.
    Unreadable(std::io::ErrorKind),
    /// A directory, a pipe or a device.
    NotAFile,
    /// Others than its owner could read or change it.
    TooOpen { mode: u32, path: PathBuf },
    /// More bytes than any keyring has.
    TooLarge { limit: usize },
    /// Not JSON, or JSON of another shape. The parser's own words are left out:
    /// they quote the file.
    NotAKeySet {
        /// Counted from 1; 0 where it has no place.
        line: usize,
        /// Counted from 1; 0 at the start of a line.
        column: usize,
    },
    /// A character that nobody sees, and that JSON does not allow.
    Unseen { character: String },
    /// A set without keys.
    Empty,
    /// One key is wrong.
    Key { key: KeyName, fault: KeyFault },
    /// A sealed secret could not say which of two keys it needs.
    SameKid { kid: KeyId },
}

impl KeyringError {
    /// What is wrong with which file, and what to do.
    #[must_use]
    pub fn message(&self) -> Message {
        self.fault.message().of(format_args!("keyring {}:", self.path.display()))
    }
}

impl KeyringFault {
    /// What is wrong, as the rest of a sentence that starts with the file, and what to do.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Unreadable(kind) => Message::new(
                format!("cannot be read ({kind})"),
                "check the path in `vault.keyring_file` and who may read the file, or make one with `tenantd keys generate`",
            ),
            Self::NotAFile => Message::new("is not a regular file", "let `vault.keyring_file` name one"),
            Self::TooOpen { mode, path } => Message::new(
                format!(
                    "has mode {mode:04o}, so that others than its owner and group may read it, or others than its owner change it"
                ),
                closing(path, "0600"),
            ),
            Self::TooLarge { limit } => Message::new(
                format!("has more than {limit} bytes"),
                "name a keyring, which is a small JWK Set",
            ),
            Self::NotAKeySet { line, column } => Message::new(
                format!("is not a JWK Set at line {line}, column {column}"),
                "it must read {\"keys\":[…]}, as `tenantd keys generate` prints it",
            ),
            Self::Unseen { character } => Message::new(
                format!("holds {character}"),
                "save it as UTF-8 without it, or restore it from a backup",
            ),
            Self::Empty => Message::new("holds no key", "make one with `tenantd keys generate`"),
            Self::Key { key, fault } => fault.message().of(key),
            Self::SameKid { kid } => {
                Message::new(format!("two keys have the kid {:?}", kid.as_str()), "give each its own")
            }
        }
    }
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl fmt::Display for KeyringFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

/// A key by its `kid`, or by its place where it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyName {
    /// Its `kid`.
    Kid(KeyId),
    /// Its place in the set, counted from 1.
    Place(usize),
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kid(kid) => write!(f, "key {:?}", kid.as_str()),
            Self::Place(place) => write!(f, "key number {place}"),
        }
    }
}
