//! The places of workers: how many tenants of this process need Qlik at once.
//!
//! A place is for the time in which a tenant needs Qlik. Whoever waits for a commit, also for a row
//! that somebody has locked, holds none, and so another tenant goes on meanwhile. Some more are
//! claimed than there are places: they wait in line, so that a freed place is taken at once and a
//! claim brings several.
//!
//! The rules: never more than `worker.concurrency` tenants hold a place; **who comes back from
//! the database goes before the line**, so that what was begun ends; those in line are few: each
//! is under a lease that another replica could have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// One in line for so many places.
const PLACES_A_WAITER: usize = 4;
/// Most tenants beyond twice the places, each of which waits for a row that is locked.
const MOST_BUSY: usize = 1024;

/// See the file's head.
#[derive(Debug, Clone)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    now: Mutex<Now>,
    /// For the first of those who come back.
    freed_for_back: Notify,
    /// For the first in line.
    freed_for_line: Notify,
    /// For whoever claims.
    changed: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct Now {
    most: usize,
    taken: usize,
    in_line: usize,
    coming_back: usize,
    busy: usize,
}

/// Somebody who waits for a place.
#[derive(Debug)]
pub struct Ticket {
    places: Places,
    from: From,
    is_waiting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Claim,
    Database,
}

/// A place that is taken; dropping it frees it.
#[derive(Debug)]
pub struct Place(Places);

/// Somebody waits for a row that is locked, as long as this lives.
#[derive(Debug)]
pub struct Busy(Places);

impl Places {
    /// So many places, all free.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let (now, changed) = (Mutex::new(Now { most, ..Now::default() }), Notify::new());
        let (freed_for_back, freed_for_line) = (Notify::new(), Notify::new());
        Self(Arc::new(Shared { now, freed_for_back, freed_for_line, changed }))
    }

    /// From now on there are so many places; who holds one keeps it.
    pub fn resize(&self, most: usize) {
        self.change(|now| now.most = most);
    }

    /// How many tenants more can be claimed for free places and the line, where `alive` have
    /// not come to their end: those who wait for the database are no more than the places, but
    /// for those whose row is locked.
    #[must_use]
    pub fn room(&self, alive: usize) -> usize {
        let now = *self.now();
        let free = now.most.saturating_sub(now.taken + now.coming_back);
        let room = (free + now.line()).saturating_sub(now.in_line);
        room.min((2 * now.most + now.busy.min(MOST_BUSY)).saturating_sub(alive))
    }

    /// Whether so much room is worth a claim of its own: half a line, so that a claim brings
    /// several.
    #[must_use]
    pub fn is_worth_a_claim(&self, room: usize) -> bool {
        room >= (self.now().line() / 2).max(1)
    }

    /// Somebody was claimed, and joins the line.
    #[must_use]
    pub fn line_up(&self) -> Ticket {
        self.now().in_line += 1;
        Ticket { places: self.clone(), from: From::Claim, is_waiting: true }
    }

    /// Somebody has heard from the database, and goes before the line.
    #[must_use]
    pub fn come_back(&self) -> Ticket {
        self.now().coming_back += 1;
        Ticket { places: self.clone(), from: From::Database, is_waiting: true }
    }

    /// Somebody waits for a locked row.
    #[must_use]
    pub fn wait_for_a_row(&self) -> Busy {
        self.now().busy += 1;
        self.0.changed.notify_one();
        Busy(self.clone())
    }

    /// How many wait for locked rows.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.now().busy
    }

    /// How many have heard from the database and wait for a place.
    #[must_use]
    pub fn coming_back(&self) -> usize {
        self.now().coming_back
    }

    /// Whether more than half of the places are taken.
    #[must_use]
    pub fn are_most_taken(&self) -> bool {
        let now = *self.now();
        2 * now.taken > now.most
    }

    /// Until there may be more room than before.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Calls the next, if there is a place: of several that were freed at once each is called
    /// by the one before.
    fn call(&self, now: Now) {
        if now.taken >= now.most {
            return;
        }
        match now.coming_back {
            0 => self.0.freed_for_line.notify_one(),
            1.. => self.0.freed_for_back.notify_one(),
        }
        self.0.changed.notify_one();
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now();
        change(&mut now);
        let changed = *now;
        drop(now);
        self.call(changed);
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // Nothing in this file panics while it holds the lock.
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn line(&self) -> usize {
        self.most / PLACES_A_WAITER
    }
}

impl Ticket {
    /// Waits for a place. Cut off, it waits no more.
    pub async fn place(mut self) -> Place {
        loop {
            if let Some(place) = self.take() {
                return place;
            }
            let shared = &self.places.0;
            match self.from {
                From::Claim => shared.freed_for_line.notified().await,
                From::Database => shared.freed_for_back.notified().await,
            }
        }
    }

    fn take(&mut self) -> Option<Place> {
        let mut now = self.places.now();
        let is_next = self.from == From::Database || now.coming_back == 0;
        if now.taken >= now.most || !is_next {
            return None;
        }
        now.taken += 1;
        *self.from.count(&mut now) -= 1;
        let taken = *now;
        drop(now);
        self.is_waiting = false;
        self.places.call(taken);
        // The line is shorter.
        self.places.0.changed.notify_one();
        Some(Place(self.places.clone()))
    }
}

impl From {
    fn count(self, now: &mut Now) -> &mut usize {
        match self {
            Self::Claim => &mut now.in_line,
            Self::Database => &mut now.coming_back,
        }
    }
}

impl Place {
    /// Frees it. Whoever needs one again after the database has answered comes back.
    #[must_use]
    pub fn free(self) -> Places {
        self.0.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_waiting {
            // It may have been called for a place that it does not take.
            self.places.change(|now| *self.from.count(now) -= 1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.change(|now| now.taken -= 1);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.now().busy -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    async fn taken(places: &Places) -> Place {
        tokio::time::timeout(std::time::Duration::from_secs(5), places.line_up().place())
            .await
            .expect("a place")
    }

    #[tokio::test]
    async fn no_more_than_the_places_are_taken_and_a_freed_one_goes_to_who_is_in_line() {
        let places = Places::new(1);
        let first = taken(&places).await;
        let second = tokio::spawn(places.line_up().place());
        tokio::task::yield_now().await;
        assert!(!second.is_finished());

        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn two_that_are_freed_at_once_are_both_taken() {
        let places = Places::new(2);
        let (first, second) = (taken(&places).await, taken(&places).await);
        let waiting = [places.line_up(), places.line_up()];
        // Nobody listens yet: one call is all that is remembered.
        drop((first, second));
        let waiting = waiting.map(|ticket| tokio::spawn(ticket.place()));
        let all = futures_util::future::join_all(waiting);

        let all = tokio::time::timeout(std::time::Duration::from_secs(5), all).await.unwrap();
        assert_eq!(all.len(), 2);
    }

    #[tokio::test]
    async fn more_places_are_taken_at_once_and_fewer_as_they_are_freed() {
        let places = Places::new(1);
        let first = taken(&places).await;
        let mut second = Box::pin(places.line_up().place());
        assert!(futures_util::poll!(&mut second).is_pending());

        places.resize(2);
        let Poll::Ready(second) = futures_util::poll!(&mut second) else { panic!("a place more") };
        places.resize(1);
        let mut third = Box::pin(places.line_up().place());
        drop(first);
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(second);
        assert!(futures_util::poll!(&mut third).is_ready());
    }

    #[tokio::test]
    async fn who_leaves_the_line_passes_the_call_on() {
        let places = Places::new(1);
        let first = taken(&places).await;
        let mut leaving = Box::pin(places.line_up().place());
        assert!(futures_util::poll!(&mut leaving).is_pending());
        let mut staying = Box::pin(places.line_up().place());
        assert!(futures_util::poll!(&mut staying).is_pending());

        drop(first);
        drop(leaving);
        assert!(futures_util::poll!(&mut staying).is_ready());
    }

    #[tokio::test]
    async fn there_is_room_for_the_free_places_and_a_short_line() {
        let places = Places::new(8);
        assert_eq!(places.room(0), 8 + 2);
        let one = taken(&places).await;
        let in_line = [places.line_up(), places.line_up(), places.line_up()];
        assert_eq!(places.room(4), 7 + 2 - 3);
        let back = places.come_back();
        assert_eq!(places.room(5), 6 + 2 - 3, "a place is kept for who comes back");
        drop((one, in_line, back));
        assert_eq!(places.room(0), 8 + 2);
        assert!(places.is_worth_a_claim(1) && !places.is_worth_a_claim(0));
        assert!(!Places::new(64).is_worth_a_claim(7), "a claim of its own for few is dear");
        assert!(!Places::new(1).is_worth_a_claim(0), "for nobody it is never worth one");
    }

    #[tokio::test]
    async fn with_last_commits_on_their_way_there_are_no_more_than_twice_the_places() {
        let places = Places::new(8);
        assert_eq!(places.room(15), 1);
        assert_eq!(places.room(40), 0);
    }

    #[tokio::test]
    async fn who_comes_back_goes_before_the_line_and_one_call_is_enough_for_both() {
        let places = Places::new(1);
        let first = taken(&places).await;
        let mut in_line = Box::pin(places.line_up().place());
        assert!(futures_util::poll!(&mut in_line).is_pending());
        let mut back = Box::pin(places.come_back().place());
        assert!(futures_util::poll!(&mut back).is_pending());

        let places = first.free();
        assert!(futures_util::poll!(&mut in_line).is_pending());
        let mut newcomer = Box::pin(places.line_up().place());
        assert!(futures_util::poll!(&mut newcomer).is_pending(), "the free place is spoken for");
        drop(newcomer);
        let Poll::Ready(second) = futures_util::poll!(&mut back) else { panic!("its turn") };
        assert_eq!(places.room(1), 0);
        drop(second);
        assert!(futures_util::poll!(&mut in_line).is_ready());
    }

    #[tokio::test]
    async fn the_last_who_comes_back_calls_the_line_for_what_is_left() {
        let places = Places::new(2);
        let (first, second) = (taken(&places).await, taken(&places).await);
        let mut in_line = Box::pin(places.line_up().place());
        assert!(futures_util::poll!(&mut in_line).is_pending());
        let back = places.come_back();
        drop((first, second));

        let back = back.place().await;
        assert!(futures_util::poll!(&mut in_line).is_ready());
        drop(back);
    }

    #[tokio::test]
    async fn who_comes_back_and_leaves_calls_the_line() {
        let places = Places::new(1);
        let first = taken(&places).await;
        let mut in_line = Box::pin(places.line_up().place());
        assert!(futures_util::poll!(&mut in_line).is_pending());
        let back = places.come_back();
        drop(first);
        assert!(futures_util::poll!(&mut in_line).is_pending());

        drop(back);
        assert!(futures_util::poll!(&mut in_line).is_ready());
    }

    #[tokio::test]
    async fn who_waits_for_a_locked_row_is_one_more_that_may_be_alive() {
        let places = Places::new(8);
        let busy = places.wait_for_a_row();
        assert_eq!((places.busy(), places.room(15)), (1, 2));
        drop(busy);
        assert_eq!((places.busy(), places.room(15)), (0, 1));
        let many: Vec<_> = (0..MOST_BUSY + 8).map(|_| places.wait_for_a_row()).collect();
        assert_eq!((many.len(), places.room(16 + MOST_BUSY)), (MOST_BUSY + 8, 0), "they are not without end");
    }

    #[tokio::test]
    async fn whoever_claims_hears_of_a_place_that_is_freed_and_of_a_row_that_is_waited_for() {
        let places = Places::new(1);
        let place = taken(&places).await;
        let mut hears = Box::pin(places.changed());
        // What was said before.
        while futures_util::poll!(&mut hears).is_ready() {
            hears = Box::pin(places.changed());
        }

        let busy = places.wait_for_a_row();
        assert!(futures_util::poll!(&mut hears).is_ready());
        let mut hears = Box::pin(places.changed());
        assert!(futures_util::poll!(&mut hears).is_pending());
        drop(place);
        assert!(futures_util::poll!(&mut hears).is_ready());
        drop(busy);
    }

    #[tokio::test]
    async fn most_are_taken_when_fewer_than_half_are_free() {
        let places = Places::new(2);
        let _first = taken(&places).await;
        assert!(!places.are_most_taken());
        let _second = taken(&places).await;
        assert!(places.are_most_taken());
    }
}
