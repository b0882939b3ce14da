//! A token of those who may look or act, and what it is for.
//!
//! The rule: **the token itself is kept nowhere**, only its digest, which is compared in
//! constant time.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A token, kept as its SHA-256 digest only, and whose it is.
#[derive(Clone)]
pub struct Token {
    pub(super) name: Option<String>,
    pub(super) digest: [u8; 32],
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To read.
    Look,
    /// To change something.
    Act,
}

impl Token {
    /// Takes a token, and the name of whose it is.
    #[must_use]
    pub fn new(text: &SecretString, name: Option<String>) -> Self {
        Self { name, digest: digest(text.expose_secret()) }
    }

    pub(super) fn is(&self, other: &[u8; 32]) -> bool {
        are_same(&self.digest, other)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Whether two texts are the same, in a time that tells nothing about how much of them is.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    are_same(&digest(one), &digest(other))
}

fn are_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    // No early end: every byte is looked at.
    one.iter().zip(other).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
