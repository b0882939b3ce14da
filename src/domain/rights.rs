//! The rights that a region's OAuth client needs, and what follows from a missing one.
//!
//! A right is named by the effect that it permits: Qlik knows a role and a scope, but what
//! it refuses is a call. One OAuth client acts on all tenants of a region, so a right that
//! it lacks is missing on every tenant alike: **one condition of the region**, kept in
//! `tenantd.rights`, and nothing of it is held against a tenant.
//!
//! The rule: while a region is known to lack a right, only the tenant whose turn it is asks
//! for it; whoever else comes to that effect waits without a request.

use super::machine::effect::EffectKind;

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

/// What to do about it, in one sentence; `docs/operations.md` says more.
pub const REMEDY: &str = "give the region's OAuth client the role TenantAdmin and the scope admin_classic, and all goes on by itself";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::FailureKind;
    use crate::domain::machine::effect::{Done, Effect};
    use crate::domain::machine::failed::{after_failure, without_outlook};
    use crate::domain::machine::{Ailment, Next, Progress, Rest, after, next_effect, resting};
    use crate::domain::model::{POLICY, failed, fresh};
    use crate::domain::reason::{ParkReason, WaitReason};
    use crate::domain::retry::{Jitter, Policy};
    use crate::domain::tenant::{Entry, State, Tenant};

    fn creating(entry: Entry, rights: MissingRights) -> Tenant {
        Tenant { state: State::Creating(entry), failures: 3, rights, ..fresh() }
    }

    fn withheld() -> MissingRights {
        let answer = "the tenant forbids this (status 403)".to_owned();
        MissingRights { withheld: vec![Withheld { effect: EffectKind::Create, answer }], asked: vec![] }
    }

    #[test]
    fn what_is_withheld_is_not_tried_and_what_was_spent_on_it_is_given_back() {
        let tenant = creating(Entry::Cleared, withheld());

        let Next::Rest(rest) = next_effect(&tenant) else { panic!("it was tried") };
        let decision = resting(&tenant, rest);

        assert_eq!(decision.tenant.failures, 0);
        assert_eq!(decision.progress, Progress::Excused(Policy::RIGHT_MISSING_EVERY));
        assert_eq!(decision.ailment, Some(Ailment::RightAwaited(EffectKind::Create)));
        assert_eq!(decision.tenant.stand().unanswered, None, "nothing was sent");
        let Rest::Wait { reason, message, .. } = decision.rest else { panic!("{:?}", decision.rest) };
        assert_eq!(reason, WaitReason::RightMissing);
        assert!(message.contains("create") && message.contains("(status 403)"), "{message}");
    }

    #[test]
    fn another_effect_than_the_withheld_one_goes_on() {
        let look = Entry::Look { after_conflict: false };

        assert_eq!(next_effect(&creating(look, withheld())), Next::Do(Effect::Look));
    }

    #[test]
    fn whose_turn_it_is_asks_and_a_refusal_costs_nothing_however_long_it_lasts() {
        let rights = MissingRights { withheld: vec![], asked: vec![EffectKind::Create] };
        let tenant =
            Tenant { without_progress: POLICY.give_up_after * 9, ..creating(Entry::Cleared, rights) };
        assert_eq!(next_effect(&tenant), Next::Do(Effect::Create));

        for kind in [FailureKind::Forbidden, FailureKind::TokenRefused] {
            let jitter = Jitter::from_bits(0);
            let decision = after_failure(tenant.clone(), &Effect::Create, &failed(kind), &POLICY, jitter);

            assert_eq!(decision.tenant.failures, 0);
            assert_eq!(decision.progress, Progress::Excused(Policy::RIGHT_MISSING_EVERY));
            assert_eq!(decision.ailment, Some(Ailment::RightRefused(EffectKind::Create)));
            assert!(matches!(decision.rest, Rest::Wait { reason: WaitReason::RightMissing, .. }));
        }
    }

    #[test]
    fn a_refusal_that_may_be_the_tenants_own_is_tried_again_and_given_up_in_its_own_words() {
        let refused = |without_progress| {
            let tenant = Tenant { without_progress, ..creating(Entry::Cleared, MissingRights::default()) };
            let failure = failed(FailureKind::Forbidden);
            after_failure(tenant, &Effect::Create, &failure, &POLICY, Jitter::from_bits(0))
        };

        let (first, last) = (refused(std::time::Duration::ZERO), refused(POLICY.give_up_after));

        assert_eq!(first.tenant.failures, 4);
        let Rest::Wait { reason: WaitReason::RightMissing, message, .. } = first.rest else { panic!() };
        let Rest::Park { reason: ParkReason::GaveUp, message: parked } = last.rest else { panic!() };
        assert!(parked.contains("the tenant forbids this (status 418"), "{parked}");
        // The look that follows a refused create gives up in the words of the row.
        let looks = Tenant {
            without_progress: POLICY.give_up_after,
            last_failure: Some(without_outlook(&message)),
            ..creating(Entry::Look { after_conflict: false }, MissingRights::default())
        };
        let given_up = after(looks, &Effect::Look, Done::Looked(vec![]), &POLICY).unwrap();
        let Rest::Park { message, .. } = given_up.rest else { panic!() };
        assert!(
            message.contains("; last: create: the tenant forbids this (status 418, code CODE-1); see"),
            "{message}"
        );
    }
}
