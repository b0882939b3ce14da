//! Instants as people say them: `3m ago`, `in 12s`.
//!
//! The rule: ages are measured by the database's clock, which made the instants too, so
//! that a skewed clock on this machine misleads nobody.

use chrono::{DateTime, TimeDelta, Utc};

/// An instant as seen from `now`, in its largest unit, rounded down.
#[must_use]
pub fn relative(instant: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = instant - now;
    match size(distance.abs()) {
        None => "now".to_owned(),
        Some(size) if distance > TimeDelta::zero() => format!("in {size}"),
        Some(size) => format!("{size} ago"),
    }
}

/// `None` below a second.
fn size(distance: TimeDelta) -> Option<String> {
    let units = [
        (distance.num_days(), 'd'),
        (distance.num_hours(), 'h'),
        (distance.num_minutes(), 'm'),
        (distance.num_seconds(), 's'),
    ];
    units.iter().find(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_told_in_its_largest_unit() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for (seconds, expected) in [
            (0, "now"),
            (12, "in 12s"),
            (-59, "59s ago"),
            (-180, "3m ago"),
            (7_199, "in 1h"),
            (-172_800, "2d ago"),
        ] {
            assert_eq!(relative(now + TimeDelta::seconds(seconds), now), expected);
        }
    }
}
