//! What is wrong with a text that is no filter, and where.
//!
//! The rule: a fault names its place and its word, and says what would be right.

use std::fmt;

use crate::domain::text::plain;

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub(super) at: usize,
    pub(super) word: String,
    pub(super) problem: String,
    pub(super) expected: String,
}

impl Fault {
    /// How many characters of the text stand before it.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// What stands there; empty where something is missing.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.word
    }

    /// What is wrong, in words.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What would be right, in words.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// The text in one line, and a line that points at the place.
    #[must_use]
    pub fn pointed(&self, text: &str) -> [String; 2] {
        let before: String = text.chars().take(self.at).collect();
        let blank = " ".repeat(plain(&before).chars().count());
        let marks = "^".repeat(plain(&self.word).chars().count().max(1));
        [plain(text), blank + &marks]
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at character {}: {}", self.problem, self.at + 1, self.expected)
    }
}

impl std::error::Error for Fault {}
