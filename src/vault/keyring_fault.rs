//! Why a keyring cannot be used, and how to mend it.
//!
//! The rule: no fault holds key material, and none quotes the file.

use std::fmt;
use std::path::PathBuf;

use super::jwk::KeyFault;
use crate::domain::ids::KeyId;
use crate::domain::secret::closing;

/// A keyring file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("keyring {}: {fault}", path.display())]
pub struct KeyringError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: KeyringFault,
}

/// What is wrong with a keyring, and how to mend it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringFault {
    /// The operating system does not let us read it.
    #[error(
        "cannot be read ({0}); check the path in `vault.keyring_file` and who may read the file, or make one with `tenantd keys generate`"
    )]
    Unreadable(std::io::ErrorKind),
    /// A directory, a pipe or a device.
    #[error("is not a regular file; let `vault.keyring_file` name one")]
    NotAFile,
    /// Others than its owner could read or change it.
    #[error(
        "has mode {mode:04o}, so that others than its owner and group may read it, or others than its owner change it; {}",
        closing(path, "0600")
    )]
    TooOpen {
        /// Its permission bits.
        mode: u32,
        /// Where the remedy applies.
        path: PathBuf,
    },
    /// More bytes than any keyring has.
    #[error("has more than {limit} bytes; name a keyring, which is a small JWK Set")]
    TooLarge {
        /// As many as are read.
        limit: usize,
    },
    /// Not JSON, or JSON of another shape. The parser's own words are left out:
    /// they quote the file.
    #[error(
        "is not a JWK Set at line {line}, column {column}; it must read {{\"keys\":[…]}}, as `tenantd keys generate` prints it"
    )]
    NotAKeySet {
        /// Counted from 1; 0 where it has no place.
        line: usize,
        /// Counted from 1; 0 at the start of a line.
        column: usize,
    },
    /// A character that nobody sees, and that JSON does not allow.
    #[error("holds {character}; save it as UTF-8 without it, or restore it from a backup")]
    Unseen {
        /// By its number and name.
        character: String,
    },
    /// A set without keys.
    #[error("holds no key; make one with `tenantd keys generate`")]
    Empty,
    /// One key is wrong.
    #[error("{key} {fault}")]
    Key {
        /// Which one.
        key: KeyName,
        /// What is wrong with it.
        fault: KeyFault,
    },
    /// A sealed secret could not say which of two keys it needs.
    #[error("two keys have the kid {:?}; give each its own", kid.as_str())]
    SameKid {
        /// The name they share.
        kid: KeyId,
    },
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
