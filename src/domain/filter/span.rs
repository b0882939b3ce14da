//! Durations as a filter writes them: `90s`, `15m`, `2h`, `3d`, also one behind the other.
//!
//! The rule: whole seconds, and no more than a calendar holds.

use std::time::Duration;

/// The longest.
const MOST_SECONDS: u64 = 10_000 * 24 * 60 * 60;
/// From the longest on.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

pub(super) const EXPECTED: &str = "a duration such as 15m, 2h or 3d, at most 10000d";

/// Reads a duration.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (mut seconds, mut number) = (0_u64, None::<u64>);
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit.into())?);
        } else {
            let (_, unit) = UNITS.iter().find(|(letter, _)| *letter == c)?;
            seconds = seconds.checked_add(number.take()?.checked_mul(*unit)?)?;
        }
    }
    let is_whole = number.is_none() && !text.is_empty();
    Some(Duration::from_secs(seconds)).filter(|_| is_whole && seconds <= MOST_SECONDS)
}

/// Writes it in the longest unit of which it is a multiple.
pub(super) fn print(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (letter, unit) =
        UNITS.into_iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit)).unwrap_or(('s', 1));
    format!("{}{letter}", seconds / unit)
}
