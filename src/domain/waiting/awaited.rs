//! What a tenant waits for before anything else is asked.
//!
//! The rule: whoever asks, a worker, the claim or a person, asks this. A wake ends none of it:
//! the tenant is looked at, and rests on.

use chrono::{DateTime, Utc};

use crate::domain::phase::Phase;
use crate::domain::when::When;

/// What a tenant waits for before anything else is asked, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Somebody who acts: it is parked.
    Somebody,
    /// The end of its pause; `None` for until further notice.
    Pause(Option<DateTime<Utc>>),
    /// A place in the budget of removals.
    Budget,
    /// Its owner's `not_before`.
    Start(DateTime<Utc>),
    /// The end of its backoff.
    Backoff(When),
}

impl Awaited {
    /// When it ends by itself.
    #[must_use]
    pub fn until(self) -> Option<When> {
        match self {
            Self::Somebody | Self::Budget => None,
            Self::Pause(until) => until.map(When::At),
            Self::Start(instant) => Some(When::At(instant)),
            Self::Backoff(when) => Some(when),
        }
    }
}

/// Whatever decides that.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// How far it is; `None` for a phase that only a newer version knows.
    pub phase: Option<Phase>,
    /// It should have a credential.
    pub is_present: bool,
    /// Its removal was let through.
    pub is_admitted: bool,
    /// It is parked.
    pub is_parked: bool,
    /// An operator keeps the daemon away from it, until then or until further notice.
    pub paused: Option<Option<DateTime<Utc>>>,
    /// Nothing is sent before.
    pub not_before: Option<DateTime<Utc>>,
    /// Until then it waits after what Qlik answered.
    pub backoff: Option<When>,
}

impl Waits {
    /// All that it waits for: first what a person must end.
    pub fn all(&self, now: DateTime<Utc>) -> impl Iterator<Item = Awaited> {
        let is_early = self.phase == Some(Phase::Pending);
        let paused = self.paused.filter(|until| until.is_none_or(|until| until > now));
        // What may go now goes, whatever Qlik answered before.
        let backoff = self.backoff.filter(|when| !when.is_over(now) && !self.may_be_removed());
        [
            self.is_parked.then_some(Awaited::Somebody),
            paused.map(Awaited::Pause),
            (!self.is_present && !self.is_admitted && !self.is_going()).then_some(Awaited::Budget),
            self.not_before.filter(|instant| is_early && *instant > now).map(Awaited::Start),
            backoff.map(Awaited::Backoff),
        ]
        .into_iter()
        .flatten()
    }

    /// The first of it, if anything does not let it go on now.
    #[must_use]
    pub fn first(&self, now: DateTime<Utc>) -> Option<Awaited> {
        self.all(now).next()
    }

    /// Whether a removal that was let through has yet to begin.
    #[must_use]
    pub fn may_be_removed(&self) -> bool {
        !self.is_present && self.is_admitted && !self.is_going()
    }

    fn is_going(&self) -> bool {
        self.phase.is_some_and(is_going)
    }
}

/// Whether this life has no way back.
#[must_use]
pub const fn is_going(phase: Phase) -> bool {
    matches!(phase, Phase::Removing | Phase::Removed)
}
