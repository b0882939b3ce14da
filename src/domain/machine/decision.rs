//! What is decided: an effect to do, or what to write down and whether to go on.
//!
//! The rule: a decision is made from one of the few makers below, so that what it does not
//! speak of stays as it was.

use std::time::Duration;

use super::effect::{Effect, EffectKind};
use crate::domain::ids::{ClientId, Hint};
use crate::domain::reason::{ParkReason, WaitReason};
use crate::domain::retry::Policy;
use crate::domain::tenant::{Duty, State, Tenant};

/// What a worker that holds the row should do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This.
    Do(Effect),
    /// Give the lease back, and write this down.
    Rest(Rest),
}

/// What is written down after an effect, apart from where the row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The tenant as it stands now.
    pub tenant: Tenant,
    /// What becomes of its stored secrets.
    pub secret: SecretChange,
    /// Whether the clock of `retry.give_up_after` starts anew.
    pub progress: Progress,
    /// What the failure, if it was one, starts to measure.
    pub ailment: Option<Ailment>,
    /// When to look for a second client of ours.
    pub recheck: RecheckChange,
    /// When to compare with Qlik again.
    pub audit: AuditChange,
    /// Whether to go on.
    pub rest: Rest,
}

impl Decision {
    /// Whether it may wait for the next commit: what it says may be done again, and nothing
    /// of it is lost with the process.
    #[must_use]
    pub fn may_ride(&self) -> bool {
        let is_plain = (self.ailment, self.recheck, self.audit)
            == (None, RecheckChange::Keep, AuditChange::Keep)
            && self.secret == SecretChange::Keep;
        is_plain && self.rest == Rest::Hold && matches!(self.tenant.state, State::Trusted { .. })
    }
}

/// What becomes of the stored secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretChange {
    /// Nothing.
    Keep,
    /// The secret in hand is stored as unproven.
    Seal {
        /// Its hint, where known.
        hint: Option<Hint>,
    },
    /// The unproven secret's hint became known.
    Identify(Hint),
    /// The unproven secret is proven: it becomes current, under `desired_version` or
    /// the next number; what was current is the previous one for so long.
    Promote {
        /// `rotation.overlap`
        overlap: Duration,
    },
    /// The unproven secret is no good: it becomes discarded.
    Discard,
    /// Previous secrets whose time is over are taken from consumers: they become discarded.
    Withdraw,
    /// The discarded secret with this hint is gone at Qlik.
    Forget(Hint),
    /// The previous secret with this hint is gone at Qlik, and not by our doing.
    Lose(Hint),
    /// All of them, in whatever standing.
    Shred,
}

/// Whether the row came forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It did.
    Made,
    /// It did not.
    None,
    /// It did not, and this much waiting is not held against it.
    Excused(Duration),
}

/// Failures whose age is measured from the first of their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// The new credential is refused.
    ProofRefused,
    /// Our client is not to be seen.
    ClientMissing,
    /// The region's credential is refused.
    CredentialRefused,
    /// The region's OAuth client was refused this.
    RightRefused(EffectKind),
    /// This was not tried, because the region is known to lack the right to it.
    RightAwaited(EffectKind),
}

/// When to look for a second client of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecheckChange {
    /// As before.
    Keep,
    /// After this long, or later if that was planned before.
    After(Duration),
    /// It was done.
    Done,
}

/// When to compare with Qlik again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditChange {
    /// As before.
    Keep,
    /// It was done.
    Done {
        /// When it is due again; `None` for never.
        next: Option<Duration>,
    },
}

/// Whether the worker goes on, and if not, when somebody should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// It keeps the lease: there is more to do at once.
    Hold,
    /// The row is due again at once, for anybody.
    Requeue,
    /// The row is due by itself after a while.
    Wait {
        /// Why.
        reason: WaitReason,
        /// How long.
        due: Duration,
        /// For people.
        message: String,
    },
    /// The row waits for somebody to act.
    Park {
        /// Why.
        reason: ParkReason,
        /// For people, with the remedy.
        message: String,
    },
    /// All is done, until something is due again.
    Settled,
    /// It was woken for nothing: what it waits for is not over, and stays its story.
    Still,
}

/// There is more to do at once, and nothing else is said.
pub(in crate::domain) fn hold(tenant: Tenant) -> Decision {
    Decision {
        tenant,
        secret: SecretChange::Keep,
        progress: Progress::None,
        ailment: None,
        recheck: RecheckChange::Keep,
        audit: AuditChange::Keep,
        rest: Rest::Hold,
    }
}

/// The row came forward. While proofs are being refused only a proof is progress:
/// replacing the secret, which a daemon that only seals must do, is none.
pub(super) fn advance(tenant: Tenant, state: State, secret: SecretChange) -> Decision {
    let tenant = Tenant { state, missing_for: None, ..tenant };
    if tenant.refused_for.is_some() {
        return Decision { secret, ..hold(tenant) };
    }
    let tenant = Tenant { failures: 0, without_progress: Duration::ZERO, last_failure: None, ..tenant };
    Decision { secret, progress: Progress::Made, ..hold(tenant) }
}

/// A ready tenant's duty is done: on to the next one it is due for.
pub(super) fn going_on(tenant: Tenant, client: ClientId) -> Decision {
    let state = tenant.ready(client);
    let is_done = matches!(state, State::Ready { duty: Duty::None, .. });
    let rest = if is_done { Rest::Settled } else { Rest::Hold };
    Decision { rest, ..advance(tenant, state, SecretChange::Keep) }
}

/// Somebody has to act.
pub(super) fn park(tenant: Tenant, reason: ParkReason, what: &str) -> Decision {
    let state = tenant.re_entry();
    let message = format!("{what}; {}", reason.remedy());
    Decision { rest: Rest::Park { reason, message }, ..hold(Tenant { state, ..tenant }) }
}

/// What failed last is what somebody has to mend: it is said.
pub(super) fn give_up(tenant: Tenant, policy: &Policy, what: &str) -> Decision {
    let since = humantime::format_duration(policy.give_up_after);
    let last = tenant.last_failure.as_ref().map_or_else(String::new, |last| format!("; last: {last}"));
    park(tenant, ParkReason::GaveUp, &format!("no {what} succeeded within {since}{last}"))
}
