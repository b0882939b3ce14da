//! Why a sealed text is not sealed anew.
//!
//! The rule: what opens to something else than before is never handed out.

use super::open_error::OpenError;
use super::random::UnusableRandomness;

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
