//! Whether a stream is coloured.
//!
//! The rule: only a terminal is coloured, unless its owner says no: by `NO_COLOR`
//! (no-color.org: any value but the empty one) or by `TERM=dumb`.

use std::ffi::OsStr;

/// Whether to colour what goes to a stream that is a terminal, or is not.
#[must_use]
pub fn is_wanted(is_terminal: bool) -> bool {
    is_wanted_by(is_terminal, std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
}

fn is_wanted_by(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_whose_owner_does_not_say_no_is_coloured() {
        for (is_terminal, no_color, term, expected) in [
            (true, None, Some("xterm"), true),
            (true, None, None, true),
            (true, Some(""), Some("xterm"), true),
            (true, Some("1"), Some("xterm"), false),
            (true, Some("0"), Some("xterm"), false),
            (true, None, Some("dumb"), false),
            (false, None, Some("xterm"), false),
        ] {
            let wanted = is_wanted_by(is_terminal, no_color.map(OsStr::new), term.map(OsStr::new));
            assert_eq!(wanted, expected, "{is_terminal} {no_color:?} {term:?}");
        }
    }
}
