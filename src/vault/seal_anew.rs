//! Sealing what is sealed anew, under the first key.
//!
//! The rule: **a text is handed out only after it was opened again and said the same**: whoever
//! stores it throws the old one away.

use super::{OpenError, Sealed, SealedFor, UnusableRandomness, Vault};
use crate::ports::Entropy;

/// Why a text was not sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum SealAnewError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operating system gave no usable randomness.
    #[error("{}", .0.message())]
    Seal(UnusableRandomness),
    /// What was sealed opened to something else: a fault of the machine, or ours.
    #[error(
        "what was sealed anew does not open to the same secret; nothing was stored: report it, and check the machine's memory"
    )]
    Unlike,
}

impl Vault {
    /// Opens a compact JWE found in `row` and seals what is in it with the first key.
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
        let again = self.open(sealed.as_str(), row)?;
        if again.expose_to_vault() != secret.expose_to_vault() {
            return Err(SealAnewError::Unlike);
        }
        Ok(sealed)
    }
}
