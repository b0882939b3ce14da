//! A tenant's row as the core sees it.
//!
//! Data that exists only in one phase lives in that phase's variant. Ages are
//! durations, measured by Postgres when the row was claimed.
//!
//! The rule: [`Tenant::stand`] is total, so any state a worker can be in is a row
//! that another worker can take over.

use std::time::Duration;

use super::hints::{Standing, StoredSecret};
use super::ids::{ClientId, Hint};
use super::mark::Mark;
use super::phase::Phase;

/// Everything the core needs to know to choose the next effect.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Failures since the last progress.
    pub failures: u32,
    /// Time since the last progress, less the waits that spend nothing.
    pub without_progress: Duration,
    /// Time since the new credential was first refused.
    pub refused_for: Option<Duration>,
    /// Time since our client was first not to be seen.
    pub missing_for: Option<Duration>,
}

/// Where a row stands, finer than its phase: what was looked at under this very
/// lease is remembered, and forgotten with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was sent, and nothing may be: the row was not admitted.
    Pending,
    /// No client is known.
    Creating(Entry),
    /// The client is known, a usable secret is not.
    Adopting {
        /// The client.
        client: ClientId,
        /// How far the new secret is.
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
        /// Whether there may be a second client of ours.
        recheck: Recheck,
    },
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

/// Whether there may be a second client of ours on a ready tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recheck {
    /// Nothing to do.
    Passed,
    /// To be looked at.
    Due,
    /// These are to be deleted.
    Surplus(Vec<ClientId>),
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

impl Tenant {
    /// What the row must say.
    #[must_use]
    pub fn stand(&self) -> Stand<'_> {
        let stand = |phase, client| Stand { phase, client, unanswered: None, settle: None };
        match &self.state {
            State::Pending => stand(Phase::Pending, None),
            State::Creating(entry) => {
                let stand = stand(Phase::Creating, None);
                match entry {
                    Entry::Cleared => Stand { unanswered: Some(Unanswered::Create), ..stand },
                    Entry::Settling { left } => {
                        Stand { unanswered: Some(Unanswered::Create), settle: Some(*left), ..stand }
                    }
                    Entry::Look { after_conflict: _ } => stand,
                }
            }
            State::Adopting { client, entry } => {
                let stand = stand(Phase::Creating, Some(client));
                match entry {
                    MintEntry::Cleared => Stand { unanswered: Some(Unanswered::Mint), ..stand },
                    MintEntry::Settling { left } => {
                        Stand { unanswered: Some(Unanswered::Mint), settle: Some(*left), ..stand }
                    }
                    MintEntry::Compare | MintEntry::Tidy(_) => stand,
                }
            }
            State::Created { client, check: _ } => stand(Phase::Created, Some(client)),
            State::Trusted { client } => stand(Phase::Trusted, Some(client)),
            State::Ready { client, recheck: _ } => stand(Phase::Ready, Some(client)),
        }
    }

    /// The state from which a worker that knows nothing of this lease would go
    /// on, given that nothing is in flight.
    #[must_use]
    pub fn re_entry(&self) -> State {
        match self.state.clone() {
            State::Creating(Entry::Cleared | Entry::Look { .. }) => {
                State::Creating(Entry::Look { after_conflict: false })
            }
            State::Adopting {
                client,
                entry: MintEntry::Cleared | MintEntry::Compare | MintEntry::Tidy(_),
            } => State::Adopting { client, entry: MintEntry::Compare },
            State::Created { client, check: Check::Compare | Check::Tidy(_) } => {
                State::Created { client, check: Check::Compare }
            }
            State::Ready { client, recheck: Recheck::Due | Recheck::Surplus(_) } => {
                State::Ready { client, recheck: Recheck::Due }
            }
            same @ (State::Pending
            | State::Creating(Entry::Settling { .. })
            | State::Adopting { entry: MintEntry::Settling { .. }, .. }
            | State::Created { check: Check::Passed, .. }
            | State::Trusted { .. }
            | State::Ready { recheck: Recheck::Passed, .. }) => same,
        }
    }

    /// Adds a secret that is being sealed.
    pub(super) fn store_unproven(&mut self, hint: Option<Hint>) {
        self.stored.push(StoredSecret { hint, standing: Standing::Unproven });
    }

    /// The unproven secret, if there is one.
    #[must_use]
    pub fn unproven(&self) -> Option<&StoredSecret> {
        self.stored.iter().find(|secret| secret.standing == Standing::Unproven)
    }

    /// Gives the unproven secret another standing.
    pub(super) fn restand_unproven(&mut self, standing: Standing) {
        for secret in &mut self.stored {
            if secret.standing == Standing::Unproven {
                secret.standing = standing;
            }
        }
    }

    /// Forgets a discarded secret that is gone at Qlik.
    pub(super) fn forget(&mut self, hint: &Hint) {
        self.stored.retain(|s| s.standing != Standing::Discarded || s.hint.as_ref() != Some(hint));
    }
}
