//! What a filter is made of.
//!
//! The rule: there is one way to say each condition.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::phase::Phase;

/// Most terms of a filter.
pub const MOST_TERMS: usize = 16;
/// Most characters of a filter.
pub const MOST_CHARACTERS: usize = 1000;

/// What a term may begin with, as it is shown to people.
pub const KEYS: [&str; 10] =
    ["phase", "reason", "region", "label.KEY", "ready", "since", "parked", "paused", "host", "profile"];

/// Which tenants somebody means: those of whom all terms hold. Without a term, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub(super) terms: Vec<Term>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub(super) is_negated: bool,
    pub(super) about: About,
}

/// What a condition asks. Several values are alternatives, and there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The `external_id` or the host begins so.
    Word(Vec<String>),
    /// The phase.
    Phase(Vec<Phase>),
    /// The reason, by its name in the closed list.
    Reason(Vec<&'static str>),
    /// The region; empty for tenants of none yet.
    Region(Vec<String>),
    /// The whole host.
    Host(Vec<String>),
    /// The profile.
    Profile(Vec<String>),
    /// A label.
    Label(String, Vec<Wanted>),
    /// Whether it is ready.
    Ready(bool),
    /// Whether it waits for somebody to act.
    Parked(bool),
    /// Whether an operator keeps the daemon away.
    Paused(bool),
    /// Since when it has been in its present phase and reason, at the latest.
    Since(Since),
}

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// There, whatever it is.
    Any,
    /// This text, or what JSON writes so.
    Text(String),
}

/// How long something has been so, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// For so long.
    For(Duration),
    /// Since then.
    At(DateTime<Utc>),
}

impl Filter {
    /// Its terms, in the order in which they were given.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether it means all tenants.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The same with one term more, unless it has it already.
    #[must_use]
    pub fn and(mut self, term: Term) -> Self {
        if !self.terms.contains(&term) {
            self.terms.push(term);
        }
        self
    }
}

impl Term {
    /// A condition, or that it does not hold. There is one way to say each: `ready:no`, and
    /// not `-ready:yes`.
    #[must_use]
    pub fn new(is_negated: bool, about: About) -> Self {
        match about {
            About::Ready(is) => Self { is_negated: false, about: About::Ready(is != is_negated) },
            About::Parked(is) => Self { is_negated: false, about: About::Parked(is != is_negated) },
            About::Paused(is) => Self { is_negated: false, about: About::Paused(is != is_negated) },
            about @ (About::Word(_)
            | About::Phase(_)
            | About::Reason(_)
            | About::Region(_)
            | About::Host(_)
            | About::Profile(_)
            | About::Label(..)
            | About::Since(_)) => Self { is_negated, about },
        }
    }

    /// That the phase is this.
    #[must_use]
    pub fn phase(phase: Phase) -> Self {
        Self::new(false, About::Phase(vec![phase]))
    }

    /// That the reason is this one of the closed list ([`crate::domain::choices::reasons`]).
    #[must_use]
    pub fn reason(reason: &'static str) -> Self {
        Self::new(false, About::Reason(vec![reason]))
    }

    /// That it waits for somebody to act, or does not.
    #[must_use]
    pub fn parked(is: bool) -> Self {
        Self::new(false, About::Parked(is))
    }

    /// Whether it must not hold.
    #[must_use]
    pub fn is_negated(&self) -> bool {
        self.is_negated
    }

    /// What it asks.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }
}
