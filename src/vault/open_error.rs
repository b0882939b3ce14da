//! Why a sealed secret did not open.
//!
//! The rule: it names keys, members and fields, never anything that was opened.

use std::fmt;

use crate::domain::ids::KeyId;
use crate::domain::message::Message;

/// Why a sealed secret did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are words of the message")]
pub enum OpenError {
    /// It is not a compact JWE of our kind.
    Malformed(&'static str),
    /// Its header asks for something that we never write: `crit`, `zip`, `apu` or `apv`.
    UnexpectedHeader { member: &'static str },
    /// Its header names another algorithm than the key is for.
    WrongAlgorithm {
        kid: KeyId,
        /// What that key is used with.
        expected: &'static str,
    },
    /// The keyring has no such key.
    UnknownKey { kid: KeyId },
    /// Only the public half of the key is here.
    SealOnly { kid: KeyId },
    /// The text was changed, or the key is not the one that sealed it.
    Refused { kid: KeyId },
    /// It opened, but what is inside is not a tenantd secret.
    NotASecret,
    /// It was sealed for another row and moved here.
    WrongRow {
        /// The first field that differs.
        field: &'static str,
    },
}

impl OpenError {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn message(&self) -> Message {
        const RESTORE: &str = "restore the row from a backup, or rotate the secret";
        match self {
            Self::Malformed(what) => Message::new(format!("the sealed text is damaged: {what}"), RESTORE),
            Self::UnexpectedHeader { member } => Message::new(
                format!("the sealed text has a `{member}` header, which tenantd never writes"),
                "seal it again without it",
            ),
            Self::WrongAlgorithm { kid, expected } => Message::new(
                format!(
                    "the sealed text does not ask for {expected}, which is the only use of key {:?}",
                    kid.as_str()
                ),
                "seal it again with that",
            ),
            Self::UnknownKey { kid } => Message::new(
                format!("the secret is sealed by key {:?}, which the keyring does not hold", kid.as_str()),
                "add that key to the keyring file",
            ),
            Self::SealOnly { kid } => Message::new(
                format!("key {:?} has no private half here, so this keyring only seals", kid.as_str()),
                "use a keyring file that holds its `d`",
            ),
            Self::Refused { kid } => Message::new(
                format!(
                    "key {:?} does not open the sealed text: the text was changed, or another key stands under that kid",
                    kid.as_str()
                ),
                "restore the row or the keyring from a backup",
            ),
            Self::NotASecret => Message::new(
                "the sealed text opens to something that is no tenantd secret",
                "rotate the secret",
            ),
            Self::WrongRow { field } => Message::new(
                format!("the sealed text belongs to another row: its {field} is not this row's"),
                RESTORE,
            ),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}
