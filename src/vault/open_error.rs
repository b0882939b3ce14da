//! Why a sealed secret did not open.
//!
//! The rule: it names keys, members and fields, never anything that was opened.

use crate::domain::ids::KeyId;

/// Why a sealed secret did not open, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is not a compact JWE of our kind.
    #[error("the sealed text is damaged: {0}; restore the row from a backup, or rotate the secret")]
    Malformed(&'static str),
    /// Its header asks for something that we never write: `crit`, `zip`, `apu` or `apv`.
    #[error("the sealed text has a `{member}` header, which tenantd never writes; seal it again without it")]
    UnexpectedHeader {
        /// The header's name.
        member: &'static str,
    },
    /// Its header names another algorithm than the key is for.
    #[error(
        "the sealed text does not ask for {expected}, which is the only use of key {kid:?}; seal it again with that", kid = .kid.as_str()
    )]
    WrongAlgorithm {
        /// The key it names.
        kid: KeyId,
        /// What that key is used with.
        expected: &'static str,
    },
    /// The keyring has no such key.
    #[error("the secret is sealed by key {kid:?}, which the keyring does not hold; add that key to the keyring file", kid = .kid.as_str())]
    UnknownKey {
        /// The key it names.
        kid: KeyId,
    },
    /// Only the public half of the key is here.
    #[error("key {kid:?} has no private half here, so this keyring only seals; use a keyring file that holds its `d`", kid = .kid.as_str())]
    SealOnly {
        /// The key it names.
        kid: KeyId,
    },
    /// The text was changed, or the key is not the one that sealed it.
    #[error(
        "key {kid:?} does not open the sealed text: the text was changed, or another key stands under that kid; restore the row or the keyring from a backup", kid = .kid.as_str()
    )]
    Refused {
        /// The key it names.
        kid: KeyId,
    },
    /// It opened, but what is inside is not a tenantd secret.
    #[error("the sealed text opens to something that is no tenantd secret; rotate the secret")]
    NotASecret,
    /// It was sealed for another row and moved here.
    #[error(
        "the sealed text belongs to another row: its {field} is not this row's; restore the row from a backup, or rotate the secret"
    )]
    WrongRow {
        /// The first field that differs.
        field: &'static str,
    },
}
