//! Text that somebody else wrote, made fit for a person's eyes.
//!
//! An external id may hold a line feed, a label may turn the direction of writing, a
//! secret file may begin with a mark that nobody sees. The rule: **what steers its
//! reader or shows nothing of itself is written as its number**, here and nowhere
//! else; whatever shows text to a person goes through one of these functions.

use std::fmt::Write as _;

/// Characters that show nothing or change how their neighbours are shown, besides
/// the control characters: Unicode's format characters and line separators (general
/// categories Cf, Zl and Zp) and everything that is ignorable by default (Unicode 16,
/// `Default_Ignorable_Code_Point`).
const HIDDEN: [(char, char); 26] = [
    ('\u{AD}', '\u{AD}'),
    ('\u{34F}', '\u{34F}'),
    ('\u{600}', '\u{605}'),
    ('\u{61C}', '\u{61C}'),
    ('\u{6DD}', '\u{6DD}'),
    ('\u{70F}', '\u{70F}'),
    ('\u{890}', '\u{891}'),
    ('\u{8E2}', '\u{8E2}'),
    ('\u{115F}', '\u{1160}'),
    ('\u{17B4}', '\u{17B5}'),
    ('\u{180B}', '\u{180F}'),
    ('\u{200B}', '\u{200F}'),
    ('\u{2028}', '\u{202E}'),
    ('\u{2060}', '\u{206F}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{FE00}', '\u{FE0F}'),
    ('\u{FEFF}', '\u{FEFF}'),
    ('\u{FFA0}', '\u{FFA0}'),
    ('\u{FFF0}', '\u{FFFB}'),
    ('\u{FFFE}', '\u{FFFF}'),
    ('\u{110BD}', '\u{110BD}'),
    ('\u{110CD}', '\u{110CD}'),
    ('\u{13430}', '\u{1343F}'),
    ('\u{1BCA0}', '\u{1BCA3}'),
    ('\u{1D173}', '\u{1D17A}'),
    ('\u{E0000}', '\u{E0FFF}'),
];

/// Whether a character steers its reader or shows nothing of itself.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control() || HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// One line of visible text: `\n`, `\u{202e}` and the like stand for what is hidden.
/// Plain text stays as it is, and so does what went through here before.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// JSON of the same meaning in which nothing is hidden: JSON itself asks for that
/// below U+0020 only (RFC 8259, section 7). Its own line breaks stay.
#[must_use]
pub fn plain_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut shown, c| {
        if is_hidden(c) && (c == '\u{7F}' || !c.is_ascii()) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` cannot fail.
                write!(shown, "\\u{unit:04x}").ok();
            }
        } else {
            shown.push(c);
        }
        shown
    })
}

/// A character by its number, and by its name where it is met often.
#[must_use]
pub fn named(c: char) -> String {
    let name = match c {
        '\0' => "a NUL",
        '\t' => "a tab",
        '\n' => "a line feed",
        '\r' => "a carriage return",
        ' ' => "a blank",
        '\u{1B}' => "an escape",
        '\u{A0}' => "a no-break space",
        '\u{200B}' => "a zero-width space",
        '\u{FEFF}' => "a byte order mark",
        '\u{FFFD}' => "a replacement character",
        _ => return format!("U+{:04X}", u32::from(c)),
    };
    format!("{name} (U+{:04X})", u32::from(c))
}

/// `1 tenant`, `2 tenants`.
#[must_use]
pub fn count(number: i64, noun: &str) -> String {
    format!("{number} {}", of_so_many(number, noun))
}

/// The noun as it stands behind the number.
#[must_use]
pub fn of_so_many(number: i64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{noun}{plural}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_or_hides_is_written_as_its_number_and_the_rest_is_left_alone() {
        for (text, shown) in [
            ("a\nb\r\u{1b}[2J", "a\\nb\\r\\u{1b}[2J"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            ("abc\u{202e}fed\u{2066}", "abc\\u{202e}fed\\u{2066}"),
            ("\u{feff}a\u{200b}b\u{ad}c\u{e0041}", "\\u{feff}a\\u{200b}b\\u{ad}c\\u{e0041}"),
            ("two\u{2028}lines", "two\\u{2028}lines"),
            ("Zoë ≤ 株式会社 'q' \"d\" \\n e\u{301}", "Zoë ≤ 株式会社 'q' \"d\" \\n e\u{301}"),
        ] {
            assert_eq!(plain(text), shown);
            assert_eq!(plain(shown), shown, "what is plain stays so");
        }
    }

    #[test]
    fn a_character_is_named_by_its_number() {
        assert_eq!(named('\u{FEFF}'), "a byte order mark (U+FEFF)");
        assert_eq!((named('\t'), named('\u{2066}')), ("a tab (U+0009)".into(), "U+2066".into()));
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_in_any_text_or_json(text in "\\PC*|.*|[\\p{Cf}\\p{Cc}\\p{Zl}\\p{Zp}a-c\"]{0,40}") {
            let shown = plain(&text);
            let json = serde_json::to_string(&text).unwrap();
            let shown_json = plain_json(&json);

            prop_assert!(!shown.chars().any(is_hidden), "{shown:?}");
            prop_assert!(!shown_json.chars().any(is_hidden), "{shown_json:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&shown_json).unwrap(), text);
        }

        #[test]
        fn every_control_and_format_character_is_hidden(c in "[\\p{Cf}\\p{Cc}\\p{Zl}\\p{Zp}]") {
            prop_assert!(c.chars().all(is_hidden), "{c:?}");
        }
    }
}
