//! Versions: whatever owner, age and daemons do one after the other, no number is given twice and
//! no raise is lost.

use std::time::Duration;

use super::super::columns::{Record, Seen};
use super::*;
use crate::domain::ids::ClientId;
use crate::domain::machine::decision::hold;
use crate::domain::machine::{Decision, Rest};
use crate::domain::model::stored::{inserted, seen};
use crate::domain::model::{MARK, POLICY, many_walks};
use crate::domain::phase::Phase;
use crate::domain::tenant::{Duty, State};

/// A row: the owner's and the schedules' columns in `seen`, and the core's.
struct Row {
    record: Record,
    seen: Seen,
    /// Every number that was given, in order.
    given: Vec<i32>,
    /// The highest desired version that whoever gave a number knew of.
    heard: i32,
}

impl Row {
    fn inserted() -> Self {
        Self { record: inserted(), seen: seen(), given: vec![], heard: 0 }
    }

    /// As `tenantd.accept_update` does; returns what the owner is told.
    fn raise(&mut self, by: i32) -> i32 {
        let next = self.record.last_given().map_or(1, |last| last + 1);
        self.seen.desired_version = (self.seen.desired_version + by).max(next);
        self.seen.desired_version
    }

    /// As `rotations.admit` does.
    fn age(&mut self) {
        if !self.record.is_another_asked_for(&self.seen) {
            self.seen.aged_version = self.record.version;
        }
    }

    /// A proof is written by a daemon that claimed the row when it was `seen` so.
    fn promote(&mut self, seen: &Seen) {
        let mut tenant = inserted().tenant(MARK, seen).unwrap();
        tenant.state = State::Ready { client: ClientId::new("c"), duty: Duty::None };
        tenant.store_unproven(None);
        tenant.promote();
        let secret = SecretChange::Promote { overlap: Duration::from_hours(1) };
        self.commit(&Decision { secret, rest: Rest::Settled, ..hold(tenant) }, seen);
        self.given.push(self.record.version.unwrap());
        self.heard = self.heard.max(seen.desired_version);
    }

    fn end(&mut self, seen: &Seen) {
        let mut tenant = inserted().tenant(MARK, seen).unwrap();
        tenant.state = State::Removed { is_recheck_due: false };
        self.commit(&Decision { secret: SecretChange::Shred, rest: Rest::Settled, ..hold(tenant) }, seen);
    }

    fn commit(&mut self, decision: &Decision, seen: &Seen) {
        self.record = self.record.after(decision, None, seen, &POLICY).unwrap().written(seen.now, None);
    }

    /// Daemons go on until nothing is asked for; returns how many secrets that took.
    fn settle(&mut self) -> usize {
        let before = self.given.len();
        while self.record.version.is_none() || self.record.is_rotation_due(&self.seen) {
            self.promote(&self.seen.clone());
            assert!(self.given.len() < before + 3, "it rotates for ever: {:?}", self.record);
        }
        self.given.len() - before
    }
}

#[test]
fn no_number_is_given_twice_and_no_raise_goes_unserved_whoever_meets() {
    for numbers in many_walks(500) {
        let mut row = Row::inserted();
        let mut claimed = row.seen.clone();
        for number in numbers.iter().take(40) {
            match number % 8 {
                0 | 1 => drop(row.raise(i32::try_from(number / 8 % 3).unwrap() + 1)),
                2 => row.age(),
                3 | 4 => claimed = row.seen.clone(),
                5 => row.promote(&claimed),
                6 => row.end(&claimed),
                _ => drop(row.settle()),
            }
        }
        let is_asked = row.record.is_another_asked_for(&row.seen);
        let took = row.settle();

        assert!(row.given.is_sorted_by(|earlier, later| earlier < later), "{:?}", row.given);
        assert!(!is_asked || took > 0, "{:?}", row.record);
        assert!(row.record.version >= Some(row.seen.desired_version), "{:?}", row.record);
        assert!(row.heard >= row.seen.desired_version, "a raise was served by nobody who knew of it");
        assert_eq!(row.settle(), 0);
    }
}

/// A renewal for its age is on its way when the owner asks, who is told the same number.
#[test]
fn a_raise_that_a_commit_has_not_heard_of_is_served_by_the_next() {
    let mut row = Row::inserted();
    row.settle();
    row.age();
    let claimed = row.seen.clone();

    assert_eq!(row.raise(1), 2);
    row.promote(&claimed);

    assert_eq!((row.settle(), row.record.version), (1, Some(3)));
}

#[test]
fn a_raise_and_an_age_that_were_heard_of_together_take_one_rotation() {
    let mut row = Row::inserted();
    row.settle();
    for _ in 0..3 {
        row.age();
        assert_eq!(row.settle(), 1);
    }
    assert_eq!((row.record.version, row.seen.desired_version), (Some(4), 1), "nobody wrote for the owner");

    row.age();
    assert_eq!(row.raise(1), 5, "it is told the number that comes");

    assert_eq!((row.settle(), row.record.version), (1, Some(5)));
}

#[test]
fn an_age_speaks_of_its_own_version_alone() {
    let mut row = Row::inserted();
    row.settle();
    row.age();
    row.promote(&row.seen.clone());
    assert!(!row.record.is_another_asked_for(&row.seen), "that one is gone");

    row.end(&row.seen.clone());
    assert_eq!((row.settle(), row.record.version), (1, Some(3)), "a new life, behind all numbers");
}

/// Of a row that the version before wrote, neither is known.
#[test]
fn where_nobody_noted_it_all_up_to_the_current_version_was_served() {
    let record = Record { phase: Phase::Ready, version: Some(3), ..inserted() };
    let wants = |desired_version| Seen { desired_version, ..seen() };

    assert!(!record.is_rotation_due(&wants(3)) && record.is_rotation_due(&wants(4)));
    assert_eq!(record.next_version(&wants(1)), Ok(4));
}
