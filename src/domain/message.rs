//! What a person is told of an error: what is wrong, and what to do about it.
//!
//! The rule: the two are kept apart from where they are known to where they are shown, so
//! that nobody has to guess at a semicolon where the remedy begins.

use std::fmt;

/// A problem and, where somebody can do something about it, the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl Message {
    /// A problem that somebody can mend.
    #[must_use]
    pub fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: Some(remedy.into()) }
    }

    /// A problem that says itself what to do, or that nobody can mend.
    #[must_use]
    pub fn bare(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: None }
    }

    /// The same, said of this.
    #[must_use]
    pub fn of(self, subject: impl fmt::Display) -> Self {
        Self { problem: format!("{subject} {}", self.problem), ..self }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}
