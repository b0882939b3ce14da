//! What a dry run remembers of the lines before, for the database forgets each batch.
//!
//! The rule: memory is bounded: of each line that would be inserted, short digests of key, host
//! and wants, up to some millions.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::import::Wants;

/// Behind so many, lines are held against the database alone: about 70 MB.
pub(super) const MOST: usize = 1_800_000;

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// By the key: number of the line, and what it wants.
    keys: HashMap<u64, (u32, u32)>,
    hosts: HashMap<u64, u32>,
}

/// What a line repeats.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// All of this line.
    Same,
    /// The key, or the host, of this line, and no more.
    Key(u32),
    Host(u32),
}

impl Repeats {
    /// What a line repeats of those before.
    pub(super) fn of(&self, wants: &Wants) -> Option<Repeat> {
        if let Some((line, digest)) = self.keys.get(&hash(wants.external_id())) {
            let is_same = *digest == short(hash(wants));
            return Some(if is_same { Repeat::Same } else { Repeat::Key(*line) });
        }
        self.hosts.get(&hash(wants.host())).map(|line| Repeat::Host(*line))
    }

    /// Notes a line that would be inserted.
    pub(super) fn note(&mut self, line: u64, wants: &Wants) {
        if self.is_full() {
            return;
        }
        let line = short(line.min(u64::from(u32::MAX)));
        self.keys.insert(hash(wants.external_id()), (line, short(hash(wants))));
        self.hosts.insert(hash(wants.host()), line);
    }

    /// Whether it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.keys.len() >= MOST
    }
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[expect(clippy::cast_possible_truncation, reason = "half of a digest is one, too")]
fn short(number: u64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::import::{header, of_cells};

    fn wants(cells: [&str; 3]) -> Wants {
        let columns = header([&b"external_id"[..], b"host", b"profile"]).unwrap();
        of_cells(&columns, cells.iter().map(|cell| cell.as_bytes())).unwrap()
    }

    #[test]
    fn a_line_is_held_against_key_and_host_of_those_before() {
        let mut repeats = Repeats::default();
        repeats.note(7, &wants(["a", "a.h", ""]));

        assert_eq!(repeats.of(&wants(["a", "a.h", ""])), Some(Repeat::Same));
        assert_eq!(repeats.of(&wants(["a", "a.h", "eu"])), Some(Repeat::Key(7)));
        assert_eq!(repeats.of(&wants(["b", "a.h", ""])), Some(Repeat::Host(7)));
        assert_eq!(repeats.of(&wants(["b", "b.h", ""])), None);
    }
}
