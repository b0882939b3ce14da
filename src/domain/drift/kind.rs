//! The ways in which a client differs, and what can be done about each.
//!
//! The rule: the spelling of a kind is part of the contract; the list only grows.

use std::fmt;

use crate::domain::field::{Change, Field, Value};
use crate::domain::hints::Standing;
use crate::domain::ids::{ClientId, Hint, UserId};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// The committed client is not there.
    ClientMissing,
    /// A second client bears the row's mark and looks made by us.
    Duplicate(ClientId),
    /// A second client bears the row's mark, but does not look made by us.
    CopiedMark(ClientId),
    /// Consent is not trusted.
    Consent,
    /// The client is disabled. No request of Qlik's API enables it.
    Disabled,
    /// A field is not as wanted.
    Field {
        /// As it should be.
        wanted: Change,
        /// As it is.
        found: Value,
    },
    /// The current or a previous secret is not among the client's hints any more.
    SecretMissing {
        /// Its hint.
        hint: Hint,
        /// What it was good for.
        standing: Standing,
    },
    /// A secret that the store does not know.
    SecretUnknown {
        /// Its hint.
        hint: Hint,
        /// Who made it, where Qlik says so.
        created_by: Option<UserId>,
    },
}

/// A difference without its particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DriftKind {
    /// See [`Drift::ClientMissing`].
    ClientMissing,
    /// See [`Drift::Duplicate`].
    Duplicate,
    /// See [`Drift::CopiedMark`].
    CopiedMark,
    /// See [`Drift::Consent`].
    Consent,
    /// See [`Drift::Disabled`].
    Disabled,
    /// [`Field::Name`] differs.
    Name,
    /// [`Field::Description`] lost the mark.
    Mark,
    /// [`Field::Scopes`] differ.
    Scopes,
    /// [`Field::Grants`] differ.
    Grants,
    /// [`Field::RedirectUris`] differ.
    RedirectUris,
    /// [`Field::Origins`] differ.
    Origins,
    /// See [`Drift::SecretMissing`].
    SecretMissing,
    /// See [`Drift::SecretUnknown`].
    SecretUnknown,
}

/// A difference that only people can mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForPeople {
    /// Another is made only when somebody asks for it.
    ClientMissing,
    /// Whose a client is that only bears our mark, somebody must say.
    CopiedMark,
    /// No request of Qlik's API enables a client.
    Disabled,
    /// A secret that is not stored may be somebody's.
    SecretUnknown,
}

impl Drift {
    /// The difference without its particulars.
    #[must_use]
    pub const fn kind(&self) -> DriftKind {
        match self {
            Self::ClientMissing => DriftKind::ClientMissing,
            Self::Duplicate(_) => DriftKind::Duplicate,
            Self::CopiedMark(_) => DriftKind::CopiedMark,
            Self::Consent => DriftKind::Consent,
            Self::Disabled => DriftKind::Disabled,
            Self::Field { wanted, .. } => wanted.field.drift(),
            Self::SecretMissing { .. } => DriftKind::SecretMissing,
            Self::SecretUnknown { .. } => DriftKind::SecretUnknown,
        }
    }
}

impl Field {
    /// What a difference in it is called.
    #[must_use]
    pub const fn drift(self) -> DriftKind {
        match self {
            Self::Name => DriftKind::Name,
            Self::Description => DriftKind::Mark,
            Self::Scopes => DriftKind::Scopes,
            Self::Grants => DriftKind::Grants,
            Self::RedirectUris => DriftKind::RedirectUris,
            Self::Origins => DriftKind::Origins,
        }
    }
}

impl DriftKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::ClientMissing,
        Self::Duplicate,
        Self::CopiedMark,
        Self::Consent,
        Self::Disabled,
        Self::Name,
        Self::Mark,
        Self::Scopes,
        Self::Grants,
        Self::RedirectUris,
        Self::Origins,
        Self::SecretMissing,
        Self::SecretUnknown,
    ];

    /// The spelling in SQL, JSON and docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientMissing => "client_missing",
            Self::Duplicate => "duplicate",
            Self::CopiedMark => "copied_mark",
            Self::Consent => "consent",
            Self::Disabled => "disabled",
            Self::Name => "name",
            Self::Mark => "mark",
            Self::Scopes => "scopes",
            Self::Grants => "grants",
            Self::RedirectUris => "redirect_uris",
            Self::Origins => "origins",
            Self::SecretMissing => "secret_missing",
            Self::SecretUnknown => "secret_unknown",
        }
    }

    /// Reads the spelling of SQL; `None` for a kind that this version does not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether the daemon can mend it.
    #[must_use]
    pub const fn is_mendable(self) -> bool {
        self.for_people().is_none()
    }

    /// Why only people can mend it, where that is so.
    #[must_use]
    pub const fn for_people(self) -> Option<ForPeople> {
        match self {
            Self::ClientMissing => Some(ForPeople::ClientMissing),
            Self::CopiedMark => Some(ForPeople::CopiedMark),
            Self::Disabled => Some(ForPeople::Disabled),
            Self::SecretUnknown => Some(ForPeople::SecretUnknown),
            Self::Duplicate
            | Self::Consent
            | Self::Name
            | Self::Mark
            | Self::Scopes
            | Self::Grants
            | Self::RedirectUris
            | Self::Origins
            | Self::SecretMissing => None,
        }
    }

    /// Whether somebody's hand at Qlik made it, and a new secret gets no token for it: then
    /// the refusal says nothing of other tenants. What a changed profile makes of all
    /// clients alike is not among these.
    #[must_use]
    pub const fn explains_a_refusal(self) -> bool {
        match self {
            Self::ClientMissing | Self::Disabled | Self::Grants => true,
            Self::Duplicate
            | Self::CopiedMark
            | Self::Consent
            | Self::Name
            | Self::Mark
            | Self::Scopes
            | Self::RedirectUris
            | Self::Origins
            | Self::SecretMissing
            | Self::SecretUnknown => false,
        }
    }
}

impl fmt::Display for DriftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
