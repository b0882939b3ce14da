//! The rights that a region's OAuth client needs, and what follows from a missing one.
//!
//! A right is named by the effect that it permits: Qlik knows a role and a scope, but what
//! it refuses is a call. One OAuth client acts on all tenants of a region, so a right that
//! it lacks is missing on every tenant alike: **one condition of the region**, kept in
//! `tenantd.rights`, and nothing of it is held against a tenant.
//!
//! The rule: while a region is known to lack a right, only the tenant whose turn it is asks
//! for it; whoever else comes to that effect waits without a request.

use super::effect::EffectKind;
use super::reason::WaitReason;
use super::retry::Policy;
use super::transition::Rest;

/// A right that is withheld, and how that showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// What is not permitted.
    pub effect: EffectKind,
    /// What the refusal said that made it known.
    pub answer: String,
}

/// What a tenant's region is known to lack, as the row said when it was claimed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MissingRights {
    /// Not to be tried for this tenant.
    pub withheld: Vec<Withheld>,
    /// It is this tenant's turn to ask for these.
    pub asked: Vec<EffectKind>,
}

impl MissingRights {
    /// What this effect waits for, if the right to it is withheld.
    #[must_use]
    pub fn withheld(&self, effect: EffectKind) -> Option<&Withheld> {
        self.withheld.iter().find(|withheld| withheld.effect == effect)
    }

    /// Whether the region is known to lack the right to this effect.
    #[must_use]
    pub fn lacks(&self, effect: EffectKind) -> bool {
        self.withheld(effect).is_some() || self.asked.contains(&effect)
    }
}

/// Waits for the right to this effect; it ends as soon as the region has it.
pub(super) fn waiting(effect: EffectKind, answer: &str) -> Rest {
    let message = format!(
        "{effect}: the region's OAuth client lacks the right to this on every tenant that was asked: {answer}; {REMEDY}"
    );
    Rest::Wait { reason: WaitReason::RightMissing, due: Policy::RIGHT_MISSING_EVERY, message }
}

/// What to do about it, in one sentence; `docs/operations.md` says more.
pub const REMEDY: &str =
    "give it the role TenantAdmin and the scope admin_classic in Qlik, and all goes on by itself";
