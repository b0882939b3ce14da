//! A tenant's row as the core sees it.
//!
//! Data that exists only in one phase lives in that phase's variant. Ages are
//! durations, measured by Postgres when the row was claimed.
//!
//! The rule: [`Tenant::stand`] is total, so any state a worker can be in is a row
//! that another worker can take over.

use std::time::Duration;

use super::drift::{Change, DriftKind};
use super::hints::{Standing, StoredSecret};
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
            State::Minting { client, series, entry } => {
                let stand = stand(series.phase(), Some(client));
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
            State::Ready { client, duty: _ } => stand(Phase::Ready, Some(client)),
            State::Proving { client, check: _ } => stand(Phase::Proving, Some(client)),
            State::Removing(removal) => match removal {
                Removal::Settling { left } => Stand {
                    unanswered: Some(Unanswered::Create),
                    settle: Some(*left),
                    ..stand(Phase::Removing, None)
                },
                Removal::Look => stand(Phase::Removing, None),
                Removal::Delete(client) | Removal::Revoke(client, _) | Removal::DeleteBot(client) => {
                    stand(Phase::Removing, Some(client))
                }
            },
            State::Removed { is_recheck_due: _ } => stand(Phase::Removed, None),
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
            State::Minting {
                client,
                series,
                entry: MintEntry::Cleared | MintEntry::Compare | MintEntry::Tidy(_),
            } => State::Minting { client, series, entry: MintEntry::Compare },
            State::Created { client, check: Check::Compare | Check::Tidy(_) } => {
                State::Created { client, check: Check::Compare }
            }
            State::Proving { client, check: Check::Compare | Check::Tidy(_) } => {
                State::Proving { client, check: Check::Compare }
            }
            State::Ready { client, duty: Duty::Recheck | Duty::Surplus(_) } => {
                State::Ready { client, duty: Duty::Recheck }
            }
            State::Ready { client, duty: Duty::Audit | Duty::Mend(_) } => {
                State::Ready { client, duty: Duty::Audit }
            }
            State::Ready { client, duty: Duty::Compare | Duty::Tidy(_) } => {
                State::Ready { client, duty: Duty::Compare }
            }
            State::Removing(
                Removal::Delete(client) | Removal::Revoke(client, _) | Removal::DeleteBot(client),
            ) => State::Removing(Removal::Delete(client)),
            same @ (State::Pending
            | State::Creating(Entry::Settling { .. })
            | State::Minting { entry: MintEntry::Settling { .. }, .. }
            | State::Created { check: Check::Passed, .. }
            | State::Proving { check: Check::Passed, .. }
            | State::Trusted { .. }
            | State::Ready { duty: Duty::None, .. }
            | State::Removing(Removal::Settling { .. } | Removal::Look)
            | State::Removed { .. }) => same,
        }
    }

    /// The state in which a removal goes on after something came in between: behind the
    /// deletion, which was answered, it need not begin again.
    #[must_use]
    pub fn midway(&self) -> Option<Removal> {
        match &self.state {
            State::Removing(Removal::Revoke(client, walk)) => {
                Some(Removal::Revoke(client.clone(), walk.clone().interrupted()))
            }
            State::Removing(same @ Removal::DeleteBot(_)) => Some(same.clone()),
            State::Removing(Removal::Settling { .. } | Removal::Look | Removal::Delete(_))
            | State::Pending
            | State::Creating(_)
            | State::Minting { .. }
            | State::Created { .. }
            | State::Trusted { .. }
            | State::Ready { .. }
            | State::Proving { .. }
            | State::Removed { .. } => None,
        }
    }

    /// The same tenant, gone on with midway, if that is of this very removal.
    #[must_use]
    pub fn resumed(mut self, midway: Removal) -> Self {
        let gone = match (&self.state, &midway) {
            (
                State::Removing(Removal::Delete(claimed)),
                Removal::Revoke(client, _) | Removal::DeleteBot(client),
            ) => Some(client.clone()).filter(|client| client == claimed),
            (_, _) => None,
        };
        if let Some(client) = gone {
            self.gone.push(client);
            self.state = State::Removing(midway);
        }
        self
    }

    /// Where a tenant with a proven credential goes on: with the first thing it is due for.
    #[must_use]
    pub fn ready(&self, client: ClientId) -> State {
        let due = &self.due;
        // What may fail for ever, such as an edit that Qlik refuses, comes last.
        let duty = if self.must_look {
            Duty::Audit
        } else if due.recheck && self.hold.is_none() {
            Duty::Recheck
        } else if due.leavings && self.hold.is_none() {
            Duty::Compare
        } else if due.rotation {
            return State::Minting { client, series: Series::Rotation, entry: MintEntry::Compare };
        } else if due.edit || due.repair.is_some() || due.audit {
            Duty::Audit
        } else {
            Duty::None
        };
        State::Ready { client, duty }
    }

    /// The client that a row out of a backup names, before anything is done about it. A
    /// ready tenant is audited instead, and an unanswered request settles first.
    #[must_use]
    pub fn doubted_client(&self) -> Option<&ClientId> {
        let client = match &self.state {
            State::Minting {
                client,
                entry: MintEntry::Cleared | MintEntry::Compare | MintEntry::Tidy(_),
                ..
            }
            | State::Created { client, .. }
            | State::Trusted { client }
            | State::Proving { client, .. } => Some(client),
            State::Minting { entry: MintEntry::Settling { .. }, .. }
            | State::Pending
            | State::Creating(_)
            | State::Ready { .. }
            | State::Removing(_)
            | State::Removed { .. } => None,
        };
        client.filter(|_| self.must_look)
    }

    /// Whether secrets are stored, or known to be at Qlik, that should not be there.
    #[must_use]
    pub fn has_leavings(&self) -> bool {
        let is_left = |secret: &StoredSecret| secret.is_retiring || secret.standing == Standing::Discarded;
        self.is_adopted || self.snapshot.is_some() || self.stored.iter().any(is_left)
    }

    /// Adds a secret that is being sealed.
    pub(super) fn store_unproven(&mut self, hint: Option<Hint>) {
        self.stored.push(StoredSecret::new(hint, Standing::Unproven));
    }

    /// What a further secret is for.
    #[must_use]
    pub fn series(&self) -> Series {
        let has_current = self.stored.iter().any(|secret| secret.standing == Standing::Current);
        if has_current { Series::Rotation } else { Series::First }
    }

    /// The unproven secret, if there is one.
    #[must_use]
    pub fn unproven(&self) -> Option<&StoredSecret> {
        self.stored.iter().find(|secret| secret.standing == Standing::Unproven)
    }

    /// The unproven secret is proven; what was current is the previous one.
    pub(super) fn promote(&mut self) {
        for secret in &mut self.stored {
            match secret.standing {
                Standing::Current => secret.standing = Standing::Previous,
                Standing::Unproven => secret.standing = Standing::Current,
                Standing::Previous | Standing::Discarded => {}
            }
        }
    }

    /// The unproven secret is no good.
    pub(super) fn discard_unproven(&mut self) {
        for secret in &mut self.stored {
            if secret.standing == Standing::Unproven {
                secret.standing = Standing::Discarded;
            }
        }
    }

    /// Takes the previous secrets whose time is over from consumers. Returns whether
    /// there were any.
    pub(super) fn withdraw(&mut self) -> bool {
        let mut is_any = false;
        for secret in self.stored.iter_mut().filter(|secret| secret.is_retiring) {
            (secret.standing, secret.is_retiring, is_any) = (Standing::Discarded, false, true);
        }
        is_any
    }

    /// Forgets a previous secret that is gone at Qlik without our doing.
    pub(super) fn lose_previous(&mut self, hint: &Hint) {
        self.stored.retain(|s| s.standing != Standing::Previous || s.hint.as_ref() != Some(hint));
    }

    /// Forgets a discarded secret that is gone at Qlik.
    pub(super) fn forget(&mut self, hint: &Hint) {
        self.stored.retain(|s| s.standing != Standing::Discarded || s.hint.as_ref() != Some(hint));
    }
}
