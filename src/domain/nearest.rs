//! "Did you mean": the known key that a mistyped one resembles most.

/// The known key nearest to `wrong`, if any is near enough to be worth saying.
///
/// Near is a few letters off, or the same last part in another section.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let tolerance = (wrong.len() / 4).max(2);
    known
        .into_iter()
        .map(|key| (distance(wrong, key), key))
        .filter(|(distance, key)| *distance <= tolerance || last_part(key) == last_part(wrong))
        .min()
        .map(|(_, key)| key)
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// How many letters must be added, dropped or changed (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["worker.lease", "worker.poll", "qlik.request_timeout", "database.url"];

    #[test]
    fn the_distance_counts_letters() {
        assert_eq!(distance("lease", "lease"), 0);
        assert_eq!(distance("lese", "lease"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn a_slip_or_a_wrong_section_is_recognised_and_a_stranger_is_not() {
        assert_eq!(nearest("worker.leese", KNOWN), Some("worker.lease"));
        assert_eq!(nearest("worker.request_timeout", KNOWN), Some("qlik.request_timeout"));
        assert_eq!(nearest("_worker.lease", KNOWN), Some("worker.lease"));
        assert_eq!(nearest("colour", KNOWN), None);
    }
}
