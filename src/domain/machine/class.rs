//! What the failure of an effect permits.
//!
//! The rule: **the class is a function of the effect's kind and the failure, in
//! one exhaustive match**; no call site chooses. A throttle is not a failure, and
//! an unanswered create or mint is never simply sent again.

use super::effect::EffectKind;
use crate::domain::failure::FailureKind;
use crate::domain::retry::RetryClass;

/// The class of a failure of this kind of effect.
#[must_use]
pub const fn class_of(effect: EffectKind, failure: &FailureKind) -> RetryClass {
    match failure {
        FailureKind::Throttled { wait } => RetryClass::Throttled { wait: *wait },
        FailureKind::NotConnected | FailureKind::NoToken | FailureKind::IllegibleClient { .. } => {
            RetryClass::Transient
        }
        FailureKind::TenantUnavailable => RetryClass::Blocked,
        FailureKind::NoAnswer | FailureKind::ServerError | FailureKind::Unreadable => {
            if effect.is_repeatable() { RetryClass::Transient } else { RetryClass::Ambiguous }
        }
        FailureKind::CredentialRefused => refused(effect, RetryClass::Unauthorized),
        FailureKind::Forbidden | FailureKind::TokenRefused => refused(effect, RetryClass::Forbidden),
        FailureKind::NotFound => effect.not_found(),
        FailureKind::Conflict => effect.conflict(),
        FailureKind::Rejected => refused(effect, RetryClass::Permanent),
    }
}

/// A refusal at the proof is the new credential's; elsewhere it is what it says.
const fn refused(effect: EffectKind, elsewhere: RetryClass) -> RetryClass {
    if effect.needs_right() { elsewhere } else { RetryClass::ProofRefused }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WAIT: Duration = Duration::from_secs(3);

    /// The whole table, row by row: a failure, then the class for every effect in
    /// the order of [`EffectKind::ALL`].
    #[test]
    #[expect(clippy::many_single_char_names, reason = "a table is read by its letters")]
    fn the_class_table() {
        use RetryClass as C;
        let (t, a, u, f, b, r, m, p) = (
            C::Transient,
            C::Ambiguous,
            C::Unauthorized,
            C::Forbidden,
            C::Blocked,
            C::ProofRefused,
            C::Missing,
            C::Permanent,
        );
        let slow = C::Throttled { wait: WAIT };
        // create look compare mint tidy trust prove recheck dedupe audit amend delete revoke delete_bot
        for (failure, expected) in [
            (FailureKind::NotConnected, [t, t, t, t, t, t, t, t, t, t, t, t, t, t]),
            (FailureKind::NoToken, [t, t, t, t, t, t, t, t, t, t, t, t, t, t]),
            (FailureKind::NoAnswer, [a, t, t, a, t, t, t, t, t, t, t, t, t, t]),
            (FailureKind::ServerError, [a, t, t, a, t, t, t, t, t, t, t, t, t, t]),
            (FailureKind::Unreadable, [a, t, t, a, t, t, t, t, t, t, t, t, t, t]),
            (FailureKind::Throttled { wait: WAIT }, [slow; 14]),
            (FailureKind::CredentialRefused, [u, u, u, u, u, u, r, u, u, u, u, u, u, u]),
            (FailureKind::TokenRefused, [f, f, f, f, f, f, r, f, f, f, f, f, f, f]),
            (FailureKind::TenantUnavailable, [b; 14]),
            (FailureKind::Forbidden, [f, f, f, f, f, f, r, f, f, f, f, f, f, f]),
            (FailureKind::NotFound, [t, t, m, m, t, m, t, t, t, t, m, t, t, t]),
            (FailureKind::Conflict, [p, p, p, t, p, p, p, p, p, p, p, p, p, p]),
            (FailureKind::Rejected, [p, p, p, p, p, p, r, p, p, p, p, p, p, p]),
        ] {
            for (effect, class) in EffectKind::ALL.into_iter().zip(expected) {
                assert_eq!(class_of(effect, &failure), class, "{effect} {failure:?}");
                assert!(C::ALL.iter().any(|known| known.as_str() == class.as_str()), "{class:?}");
            }
        }
    }

    #[test]
    fn nothing_that_cannot_be_repeated_is_ever_transient_when_unanswered() {
        for effect in EffectKind::ALL {
            for failure in [FailureKind::NoAnswer, FailureKind::ServerError, FailureKind::Unreadable] {
                let is_ambiguous = class_of(effect, &failure) == RetryClass::Ambiguous;
                assert_eq!(is_ambiguous, !effect.is_repeatable(), "{effect} {failure:?}");
            }
        }
    }
}
