//! Why somebody does something, in their words.
//!
//! The rule: it says something, and fits into a line of the history.

use super::text::plain;

/// Longest.
pub const MOST_CHARACTERS: usize = 500;
/// What would be right.
pub const EXPECTED: &str = "1 to 500 characters";

/// The text in one line; `None` where it says nothing, or too much.
#[must_use]
pub fn why(text: &str) -> Option<String> {
    let text = plain(text.trim());
    Some(text).filter(|text| (1..=MOST_CHARACTERS).contains(&text.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_in_one_line_and_not_too_much() {
        assert_eq!(why(" a\nb "), Some("a\\nb".to_owned()));
        assert_eq!(why(&"x".repeat(500)).map(|text| text.len()), Some(500));
        assert!(why("  ").is_none() && why(&"x".repeat(501)).is_none());
        assert!(EXPECTED.contains(&MOST_CHARACTERS.to_string()));
    }
}
