//! What is wrong with a configuration, and what is merely unwise.
//!
//! The rule: a [`Fault`] cannot be made without its remedy, and neither text ever
//! quotes a secret.

use std::fmt;

use crate::domain::message::Message;

/// One thing that must be mended before the daemon can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The dotted key, as in `worker.lease` or `regions[0].name`.
    pub key: String,
    /// Where the value stood: a file, an environment variable or the built-in
    /// defaults. `None` when it stood nowhere.
    pub origin: Option<String>,
    /// What is wrong, as the rest of a sentence that starts with the key.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// What is wrong with which key, and what to do.
    #[must_use]
    pub fn message(&self) -> Message {
        let Self { key, origin, problem, remedy } = self;
        let origin = origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
        Message::new(format!("{key}{origin} {problem}"), remedy)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message().problem, self.remedy)
    }
}

/// Why a configuration cannot be run on: every fault, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSettings {
    faults: Vec<Fault>,
}

impl InvalidSettings {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self { faults }
    }

    /// The faults, in the order of the sections; unknown keys come last.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl From<Fault> for InvalidSettings {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidSettings {}

/// Something that runs, but is seldom meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The dotted key it is about.
    pub key: String,
    /// What is unwise about it, and what would be wiser; starts after the key.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.message)
    }
}
