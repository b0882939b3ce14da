//! Room for so many connections and no more.
//!
//! The rule: **a new connection is always let in; where there is no room, the oldest is
//! closed**. A probe asks and leaves within milliseconds, so the oldest is idle, slow, or
//! there to keep others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The open connections, by their age.
pub(super) struct Room {
    most: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Greater for whoever came later.
    next: u64,
    places: BTreeMap<u64, CancellationToken>,
}

/// A connection's place; dropping it gives it back.
pub(super) struct Place {
    number: u64,
    /// Cancelled when somebody newer needs the place.
    pub(super) is_taken: CancellationToken,
    room: Arc<Room>,
}

impl Room {
    pub(super) fn for_at_most(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for a new connection. Where there is none left, the oldest is told to close.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while open.places.len() >= self.most
            && let Some((_, oldest)) = open.places.pop_first()
        {
            oldest.cancel();
        }
        let (number, is_taken) = (open.next, CancellationToken::new());
        open.next += 1;
        open.places.insert(number, is_taken.clone());
        Place { number, is_taken, room: Arc::clone(self) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.room.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_for_the_newest_and_who_leaves_gives_its_place_back() {
        let room = Room::for_at_most(2);

        let (first, second) = (room.enter(), room.enter());
        let third = room.enter();
        let taken = [&first, &second, &third].map(|place| place.is_taken.is_cancelled());
        drop(second);
        let fourth = room.enter();

        assert_eq!(taken, [true, false, false]);
        assert!(!third.is_taken.is_cancelled() && !fourth.is_taken.is_cancelled());
    }
}
