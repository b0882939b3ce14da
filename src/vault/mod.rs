//! Seals client secrets for the database, and opens them again.
//!
//! A sealed secret is a compact JWE (RFC 7516) and the keyring is a JWK Set file
//! (RFC 7517), so that a web app opens it with the JOSE library it already has:
//! see `examples/open-secret/`, and `docs/decisions/0002-jwe-for-sealed-secrets.md`
//! for why. The first key of the ring seals, every key opens. A ring that begins
//! with a public key can only seal: such a daemon never reads what it stored.
//!
//! The rule: **the key decides how a text is opened, never the text.** A header
//! is compared with what its key must be used for, and no header picks an
//! algorithm. What was opened must name the row it was found in.

mod base64url;
mod concat_kdf;
mod generate;
mod header;
mod jwe;
mod jwk;
mod key;
mod key_file;
mod key_wrap;
mod keyring;
mod keyring_fault;
mod open_error;
mod plaintext;
mod point;
mod random;
mod seal_anew;
#[cfg(test)]
mod tests;

use crate::domain::ids::KeyId;
use crate::domain::secret::ClientSecret;
use crate::ports::Entropy;

pub use generate::{KeySetText, generate_key_set};
pub use jwk::KeyFault;
pub use key::KeyKind;
pub use keyring::{KeyListing, Keyring, NoPublicHalf};
pub use keyring_fault::{KeyringError, KeyringFault};
pub use open_error::OpenError;
pub use plaintext::SealedFor;
pub use random::UnusableRandomness;
pub use seal_anew::SealAnewError;

/// Seals with the first key of a ring, opens with any. Its `Debug` names keys
/// and shows none.
#[derive(Debug)]
pub struct Vault {
    keyring: Keyring,
}

/// A sealed secret as it is stored: a compact JWE. Safe to show, though of no use
/// to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    compact: String,
    kid: KeyId,
}

impl Vault {
    /// A vault over these keys.
    #[must_use]
    pub fn new(keyring: Keyring) -> Self {
        Self { keyring }
    }

    /// The keys, for listing them.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Whether what is sealed from now on cannot be opened here, because the
    /// first key has no private half.
    #[must_use]
    pub fn is_seal_only(&self) -> bool {
        self.keyring.is_seal_only()
    }

    /// Seals a secret for its row with the first key.
    ///
    /// # Errors
    ///
    /// [`UnusableRandomness`], which a working operating system never causes.
    pub fn seal(
        &self,
        row: &SealedFor<'_>,
        secret: &ClientSecret,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, UnusableRandomness> {
        let key = self.keyring.sealing_key();
        let compact = jwe::encrypt(key, plaintext::write(row, secret), entropy)?;
        Ok(Sealed { compact, kid: key.id().clone() })
    }

    /// Opens a compact JWE found in `row`.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: what is wrong with the text, the keyring or the row, and
    /// the remedy. It never quotes what was opened.
    pub fn open(&self, compact: &str, row: &SealedFor<'_>) -> Result<ClientSecret, OpenError> {
        let parts = jwe::Parts::parse(compact)?;
        let kid = parts.kid();
        let key = self.keyring.find(kid).ok_or_else(|| OpenError::UnknownKey { kid: kid.clone() })?;
        let plaintext = parts.decrypt(key)?;
        plaintext::read(&plaintext, row)
    }

    /// Opens a compact JWE found in `row` and seals what is in it with the first key. It is handed
    /// out only after it was opened again and said the same: whoever stores it throws the old one away.
    ///
    /// # Errors
    ///
    /// [`SealAnewError`]. A ring whose first key only seals cannot do this.
    pub fn seal_anew(
        &self,
        compact: &str,
        row: &SealedFor<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, SealAnewError> {
        let secret = self.open(compact, row)?;
        let sealed = self.seal(row, &secret, entropy).map_err(SealAnewError::Seal)?;
        let again = self.open(sealed.as_str(), row).map_err(|_| SealAnewError::Unlike)?;
        if again.expose_to_vault() != secret.expose_to_vault() {
            return Err(SealAnewError::Unlike);
        }
        Ok(sealed)
    }
}

impl Sealed {
    /// The compact JWE: five base64url parts joined by dots (RFC 7516, section 3.1).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.compact
    }

    /// The key that sealed it.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }
}
