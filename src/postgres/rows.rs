//! From columns to the core's types and back.
//!
//! The rule: what the schema's constraints make impossible is still not taken on
//! faith: an unreadable row is an error that names itself, never a panic.

use std::time::Duration;

use super::StoreError;
use crate::domain::hints::{Standing, StoredSecret};
use crate::domain::ids::{ClientId, Hint, TenantId};
use crate::domain::phase::Phase;
use crate::domain::tenant::{Check, Entry, MintEntry, Recheck, State};

/// The columns that say where a row stands.
#[derive(Debug)]
pub(super) struct StandRow {
    pub(super) tenant: TenantId,
    pub(super) phase: String,
    pub(super) client: Option<ClientId>,
    /// The intent was recorded by this very claim.
    pub(super) is_fresh_intent: bool,
    /// How long an unanswered request may still land.
    pub(super) settles_in: Option<Duration>,
    pub(super) is_recheck_due: bool,
    pub(super) has_snapshot: bool,
}

impl StandRow {
    /// The state a worker starts from; `stored` are the row's secrets.
    pub(super) fn state(self, stored: &[StoredSecret]) -> Result<State, StoreError> {
        let phase = Phase::parse(&self.phase)
            .ok_or_else(|| self.unreadable(format!("phase {:?} is not of this version", self.phase)))?;
        let settling = self.settles_in.filter(|left| !left.is_zero());
        match (phase, self.client.clone()) {
            (Phase::Pending, _) => Ok(State::Pending),
            (Phase::Creating, None) => Ok(State::Creating(match settling {
                _ if self.is_fresh_intent => Entry::Cleared,
                Some(left) => Entry::Settling { left },
                None => Entry::Look { after_conflict: false },
            })),
            (Phase::Creating, Some(client)) => Ok(State::Adopting {
                client,
                entry: settling.map_or(MintEntry::Compare, |left| MintEntry::Settling { left }),
            }),
            (Phase::Created | Phase::Trusted, Some(client)) => Ok(self.with_secret(phase, client, stored)),
            (Phase::Ready, Some(client)) => {
                let recheck = if self.is_recheck_due { Recheck::Due } else { Recheck::Passed };
                Ok(State::Ready { client, recheck })
            }
            (Phase::Created | Phase::Trusted | Phase::Ready, None) => {
                Err(self.unreadable(format!("phase {phase} without a client")))
            }
        }
    }

    fn with_secret(&self, phase: Phase, client: ClientId, stored: &[StoredSecret]) -> State {
        match stored.iter().find(|secret| secret.standing == Standing::Unproven) {
            // Its sealed text is gone: only a new secret helps.
            None => State::Adopting { client, entry: MintEntry::Compare },
            Some(_) if phase == Phase::Trusted => State::Trusted { client },
            Some(secret) if secret.hint.is_none() || self.has_snapshot => {
                State::Created { client, check: Check::Compare }
            }
            Some(_) => State::Created { client, check: Check::Passed },
        }
    }

    fn unreadable(&self, what: String) -> StoreError {
        StoreError::Inconsistent { table: "tenantd.tenants", tenant: self.tenant, what }
    }
}

/// A row's secrets as the core knows them, from two columns in the same order.
pub(super) fn stored_secrets(
    tenant: TenantId,
    hints: Vec<Option<String>>,
    standings: &[String],
) -> Result<Vec<StoredSecret>, StoreError> {
    let unreadable = |standing: &str| StoreError::Inconsistent {
        table: "tenantd.secrets",
        tenant,
        what: format!("standing {standing:?} is not of this version"),
    };
    let stored = hints.into_iter().zip(standings).map(|(hint, standing)| {
        let standing = Standing::parse(standing).ok_or_else(|| unreadable(standing))?;
        Ok(StoredSecret { hint: hint.map(Hint::new), standing })
    });
    stored.collect()
}
