//! How far a tenant has come.
//!
//! The rule: the spelling here is the spelling in SQL, JSON, metrics and docs.

use std::fmt;

/// The phase of a tenant's row. See `docs/architecture.md` for the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing was sent.
    Pending,
    /// A create, or a mint on a client of ours, may have been sent.
    Creating,
    /// The client is known; its secret is sealed and committed.
    Created,
    /// The client's consent is trusted.
    Trusted,
    /// The credential is proven.
    Ready,
    /// A further secret may have been minted; the current one still serves.
    Rotating,
    /// The further secret is sealed, not yet proven; the current one still serves.
    Proving,
    /// The tenant is to have no client: what is ours at Qlik is being deleted.
    Removing,
    /// Nothing of ours is left at Qlik.
    Removed,
}

impl Phase {
    /// Every phase, in the order of the way.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Creating,
        Self::Created,
        Self::Trusted,
        Self::Ready,
        Self::Rotating,
        Self::Proving,
        Self::Removing,
        Self::Removed,
    ];

    /// The spelling in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Trusted => "trusted",
            Self::Ready => "ready",
            Self::Rotating => "rotating",
            Self::Proving => "proving",
            Self::Removing => "removing",
            Self::Removed => "removed",
        }
    }

    /// Reads the spelling of the contract; `None` for a phase this version does not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
