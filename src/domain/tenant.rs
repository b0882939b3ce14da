//! A tenant's row as the core sees it.
//!
//! The rule: data that exists only in one phase lives in that phase's variant. Ages are
//! durations, measured by Postgres when the row was claimed.

mod secrets;
mod stand;

use std::time::Duration;

use super::drift::{Change, DriftKind};
use super::hints::StoredSecret;
use super::ids::{ClientId, Hint};
use super::mark::Mark;
use super::phase::Phase;
use super::place::Hold;
use super::rights::MissingRights;
use super::token::Walk;

/// Everything the core needs to know to choose the next effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or not by itself")]
pub struct Tenant {
    /// Where the row stands.
    pub state: State,
    /// What tells its client from others.
    pub mark: Mark,
    /// Its secrets, as far as the store knows them.
    pub stored: Vec<StoredSecret>,
    /// The hints that were visible when the first intent to mint of this series was recorded.
    pub snapshot: Option<Vec<Hint>>,
    /// The client was found after a lost create: its first secrets were never known.
    pub is_adopted: bool,
    /// A secret was already minted afresh because its predecessor got no token.
    pub is_afresh: bool,
    /// What the row says of Qlik may be out of date: look before acting on it.
    pub must_look: bool,
    /// What a ready tenant is due for.
    pub due: Due,
    /// How its client differed at the last audit, each kind once, in order.
    pub drift: Vec<DriftKind>,
    /// Clients deleted under this lease, which a list that lags may still show.
    pub gone: Vec<ClientId>,
    /// Clients of this life that somebody else deleted: their tokens and bot users go with
    /// the removal.
    pub left: Vec<ClientId>,
    /// What may not be done at Qlik until an operator has said so.
    pub hold: Option<Hold>,
    /// What its region is known to lack the right to.
    pub rights: MissingRights,
    /// What it waits for is not over: somebody has said something that ends no wait.
    pub is_resting: bool,
    /// What failed last, in the words of the row, until there is progress.
    pub last_failure: Option<String>,
    /// Failures since the last progress.
    pub failures: u32,
    /// Time since the last progress, less the waits that spend nothing.
    pub without_progress: Duration,
    /// Time since the new credential was first refused.
    pub refused_for: Option<Duration>,
    /// Time since our client was first not to be seen.
    pub missing_for: Option<Duration>,
}

/// What a ready tenant is due for, as the row said when it was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is due by itself")]
pub struct Due {
    /// To be looked at for a second client of ours.
    pub recheck: bool,
    /// The owner changed what the client should be.
    pub edit: bool,
    /// What of its drift may be mended now.
    pub repair: Option<RepairScope>,
    /// The owner, or its age, asks for another secret.
    pub rotation: bool,
    /// To be compared with Qlik.
    pub audit: bool,
    /// Secrets are left that should not be.
    pub leavings: bool,
}

/// How far a repair may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepairScope {
    /// Consent and our own duplicates.
    Consent,
    /// Whatever can be mended.
    All,
}

impl RepairScope {
    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::All => "all",
        }
    }

    /// The kinds of drift that a repair of this scope mends.
    #[must_use]
    pub fn mends(self) -> Vec<DriftKind> {
        match self {
            Self::Consent => vec![DriftKind::Duplicate, DriftKind::Consent],
            Self::All => DriftKind::ALL.into_iter().filter(|kind| kind.is_mendable()).collect(),
        }
    }

    /// Reads the spelling of SQL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Consent, Self::All].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// Where a row stands, finer than its phase: what was looked at under this very
/// lease is remembered, and forgotten with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was sent, and nothing may be: the row was not admitted.
    Pending,
    /// No client is known.
    Creating(Entry),
    /// The client is known; a further secret is on its way.
    Minting {
        /// The client.
        client: ClientId,
        /// What the secret is for.
        series: Series,
        /// How far it is.
        entry: MintEntry,
    },
    /// The client is known and a secret is sealed.
    Created {
        /// The client.
        client: ClientId,
        /// Whether its secrets are in order.
        check: Check,
    },
    /// The client's consent is trusted.
    Trusted {
        /// The client.
        client: ClientId,
    },
    /// The credential is proven.
    Ready {
        /// The client.
        client: ClientId,
        /// What is being done about it.
        duty: Duty,
    },
    /// A further secret is sealed; the current one still serves.
    Proving {
        /// The client.
        client: ClientId,
        /// Whether the client's secrets are in order.
        check: Check,
    },
    /// The tenant is to have no client.
    Removing(Removal),
    /// Nothing of ours is left.
    Removed {
        /// A create that was ever unknown may have landed since.
        is_recheck_due: bool,
    },
}

/// What a minted secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Series {
    /// The tenant has no secret that works.
    First,
    /// It has one, which is to be replaced.
    Rotation,
}

impl Series {
    /// The phase of a row while the secret is on its way.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::First => Phase::Creating,
            Self::Rotation => Phase::Rotating,
        }
    }
}

/// How a create may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The intent was recorded under this lease and nothing was sent under it: create.
    Cleared,
    /// A create went unanswered and may still land.
    Settling {
        /// For so long.
        left: Duration,
    },
    /// What was sent before has settled or was refused: look.
    Look {
        /// The refusal was a 409: somebody has the name.
        after_conflict: bool,
    },
}

/// How a mint may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MintEntry {
    /// The intent was recorded under this lease and nothing was sent under it: mint.
    Cleared,
    /// A mint went unanswered and may still land.
    Settling {
        /// For so long.
        left: Duration,
    },
    /// Compare hints first.
    Compare,
    /// This secret must go first.
    Tidy(Hint),
}

/// Whether a client's secrets are in order before its consent is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// They are.
    Passed,
    /// To be compared: secrets that nobody knows may be left, or a hint is unknown.
    Compare,
    /// This secret must go.
    Tidy(Hint),
}

/// What is being done about a ready tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Duty {
    /// Nothing.
    None,
    /// A look for a second client of ours.
    Recheck,
    /// These clients of ours are to be deleted.
    Surplus(Vec<ClientId>),
    /// A comparison with Qlik.
    Audit,
    /// These repairs, the first next.
    Mend(Vec<Mend>),
    /// A comparison of hints: secrets are left that should not be.
    Compare,
    /// This secret must go.
    Tidy(Hint),
}

/// One repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// Set the consent.
    Trust,
    /// Set fields.
    Amend(Vec<Change>),
    /// Delete a second client of ours.
    Dedupe(ClientId),
}

/// How far a removal is. It begins and ends with a look: whatever was lost on the
/// way is found by its mark, until there is nothing to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A create went unanswered and may still land.
    Settling {
        /// For so long.
        left: Duration,
    },
    /// No client is known: look for one with our mark.
    Look,
    /// Delete this client.
    Delete(ClientId),
    /// It is gone: revoke its tokens, from here on.
    Revoke(ClientId, Walk),
    /// They are gone: delete its bot user.
    DeleteBot(ClientId),
}

/// A request that may have been sent and whose outcome is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// A create.
    Create,
    /// A mint.
    Mint,
}

impl Unanswered {
    /// The spelling in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Mint => "mint",
        }
    }

    /// Reads the spelling of SQL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Create, Self::Mint].into_iter().find(|request| request.as_str() == text)
    }
}

/// What of a [`State`] is kept in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand<'a> {
    /// The phase.
    pub phase: Phase,
    /// The committed client.
    pub client: Option<&'a ClientId>,
    /// What may have been sent.
    pub unanswered: Option<Unanswered>,
    /// How long it may still land; `None` while it may be in flight.
    pub settle: Option<Duration>,
}
