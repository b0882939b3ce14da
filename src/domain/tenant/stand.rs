//! From a state to a row, and back into a state.
//!
//! The rule: [`Tenant::stand`] is total, so any state a worker can be in is a row
//! that another worker can take over.

use super::{Check, Duty, Entry, MintEntry, Removal, Series, Stand, State, Tenant, Unanswered};
use crate::domain::ids::ClientId;
use crate::domain::phase::Phase;

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

    /// The same before its intent to create, which was recorded for a request that is not sent: with
    /// it the host would be fixed and the next worker would look first, as if there could be a client.
    #[must_use]
    pub fn without_intent(self) -> Self {
        Self { state: State::Pending, ..self }
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
}
