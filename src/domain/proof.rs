//! Whether a new credential must be shown to work before consumers see it.
//!
//! The rule: only an operator waives it, never the daemon.

/// Whether and how a new credential is proven (`prove.method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// By getting a token with it.
    Token,
    /// Not at all: the credential counts as proven.
    Waived,
}
