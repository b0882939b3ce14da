//! From columns to the core's types and back.
//!
//! The rule: what the schema's constraints make impossible is still not taken on
//! faith: an unreadable row is an error that names itself, never a panic.

use std::time::Duration;

use super::StoreError;
use crate::domain::hints::{Standing, StoredSecret};
use crate::domain::ids::{ClientId, Hint, TenantId};
use crate::domain::phase::Phase;
use crate::domain::tenant::{Check, Entry, MintEntry, Removal, Series, State, Tenant};

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
    /// `desired_state` is absent, and the removal was let through.
    pub(super) is_unwanted: bool,
    pub(super) has_snapshot: bool,
}

impl StandRow {
    /// The state a worker starts from; `tenant` is the rest of the row.
    pub(super) fn state(self, tenant: &Tenant) -> Result<State, StoreError> {
        let phase = Phase::parse(&self.phase)
            .ok_or_else(|| self.unreadable(format!("phase {:?} is not of this version", self.phase)))?;
        let settling = self.settles_in.filter(|left| !left.is_zero());
        if phase == Phase::Removed {
            return Ok(State::Removed { is_recheck_due: tenant.due.recheck });
        }
        if self.is_unwanted || phase == Phase::Removing {
            return Ok(State::Removing(match (self.client, settling) {
                (Some(client), _) => Removal::Delete(client),
                (None, Some(left)) => Removal::Settling { left },
                (None, None) => Removal::Look,
            }));
        }
        let entry = settling.map_or(MintEntry::Compare, |left| MintEntry::Settling { left });
        match (phase, self.client.clone()) {
            (Phase::Pending, _) => Ok(State::Pending),
            (Phase::Creating, None) => Ok(State::Creating(match settling {
                _ if self.is_fresh_intent => Entry::Cleared,
                Some(left) => Entry::Settling { left },
                None => Entry::Look { after_conflict: false },
            })),
            (Phase::Creating, Some(client)) => Ok(State::Minting { client, series: Series::First, entry }),
            (Phase::Rotating, Some(client)) => Ok(State::Minting { client, series: Series::Rotation, entry }),
            (Phase::Created | Phase::Trusted | Phase::Proving, Some(client)) => {
                Ok(self.with_secret(phase, client, tenant))
            }
            (Phase::Ready, Some(client)) => Ok(tenant.ready(client)),
            (
                Phase::Created
                | Phase::Trusted
                | Phase::Ready
                | Phase::Rotating
                | Phase::Proving
                | Phase::Removing
                | Phase::Removed,
                _,
            ) => Err(self.unreadable(format!("phase {phase} without a client"))),
        }
    }

    fn with_secret(&self, phase: Phase, client: ClientId, tenant: &Tenant) -> State {
        let Some(secret) = tenant.unproven() else {
            // Its sealed text is gone: only a new secret helps.
            return State::Minting { client, series: tenant.series(), entry: MintEntry::Compare };
        };
        let is_open = secret.hint.is_none() || self.has_snapshot;
        let check = if is_open { Check::Compare } else { Check::Passed };
        match phase {
            Phase::Trusted => State::Trusted { client },
            Phase::Proving => State::Proving { client, check },
            Phase::Created
            | Phase::Pending
            | Phase::Creating
            | Phase::Ready
            | Phase::Rotating
            | Phase::Removing
            | Phase::Removed => State::Created { client, check },
        }
    }

    fn unreadable(&self, what: String) -> StoreError {
        StoreError::Inconsistent { table: "tenantd.tenants", tenant: self.tenant, what }
    }
}

/// A row's secrets as the core knows them, from three columns in the same order.
pub(super) fn stored_secrets(
    tenant: TenantId,
    hints: Vec<Option<String>>,
    standings: &[String],
    are_retiring: &[bool],
) -> Result<Vec<StoredSecret>, StoreError> {
    let unreadable = |standing: &str| StoreError::Inconsistent {
        table: "tenantd.secrets",
        tenant,
        what: format!("standing {standing:?} is not of this version"),
    };
    let stored = hints.into_iter().zip(standings).zip(are_retiring).map(|((hint, standing), is_retiring)| {
        let standing = Standing::parse(standing).ok_or_else(|| unreadable(standing))?;
        Ok(StoredSecret { hint: hint.map(Hint::new), standing, is_retiring: *is_retiring })
    });
    stored.collect()
}
