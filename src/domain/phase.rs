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
}

impl Phase {
    /// Every phase, in the order of the way.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Creating, Self::Created, Self::Trusted, Self::Ready];

    /// The spelling in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Trusted => "trusted",
            Self::Ready => "ready",
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
