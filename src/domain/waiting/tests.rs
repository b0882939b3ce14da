//! What was found wrong, or is easily taken wrong, one by one; all of it together is held in
//! `tests/it/engine/product.rs`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Blocker, BlockerKind, Breaker, Configured, Facts, Fleet, Lease, Pause, Row};
use crate::domain::host::HostPattern;
use crate::domain::ids::RegionName;
use crate::domain::phase::Phase;
use crate::domain::place::Hold;
use crate::domain::region::RegionMap;
use crate::domain::tenant::Unanswered;

const HOUR: TimeDelta = TimeDelta::hours(1);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// A new row that nothing stands in the way of.
fn facts(edit: impl FnOnce(&mut Row, &mut Fleet)) -> Facts {
    let mut row = Row {
        phase: "pending".into(),
        is_present: true,
        is_admitted: false,
        host: "acme.us.qlikcloud.com".into(),
        region: String::new(),
        profile: "default".into(),
        due: Some(now()),
        not_before: None,
        backoff: None,
        pause: None,
        lease: None,
        lease_epoch: 0,
        rejoin_epoch: 0,
        wait_reason: None,
        parked_reason: None,
        message: None,
        reason_since: now(),
        unanswered: None,
        settles: None,
        recheck: None,
        must_look: false,
        version: None,
    };
    let us = (HostPattern::parse("*.us.qlikcloud.com").unwrap(), RegionName::new("us"));
    let configured = Configured {
        regions: RegionMap::new([us]),
        profiles: vec!["default".into()],
        settle: Duration::from_hours(1),
    };
    let mut fleet = Fleet {
        configured: Some(configured),
        breakers: vec![],
        pauses: vec![],
        hold: None,
        rejoined: None,
        rejoin_epoch: 0,
    };
    edit(&mut row, &mut fleet);
    Facts { now: now(), row, fleet }
}

fn ends(facts: &Facts) -> Vec<(BlockerKind, Option<DateTime<Utc>>)> {
    facts.blockers().into_iter().map(|Blocker { kind, until, .. }| (kind, until)).collect()
}

fn told(facts: &Facts) -> (Option<String>, Option<DateTime<Utc>>) {
    let told = facts.told();
    (told.reason, told.next)
}

fn pause(until: Option<DateTime<Utc>>) -> Pause {
    Pause { since: now() - HOUR, until, reason: "why".into() }
}

fn lease(expires: DateTime<Utc>, extended: Option<DateTime<Utc>>) -> Lease {
    Lease { holder: "h".into(), since: now() - HOUR * 2, expires, extended }
}

#[test]
fn what_was_woken_waits_as_long_as_before() {
    let backing_off = facts(|row, _| {
        (row.phase, row.backoff, row.wait_reason) =
            ("created".into(), Some(now() + HOUR), Some("Throttled".into()));
    });
    let early = facts(|row, _| row.not_before = Some(now() + HOUR));

    assert_eq!(ends(&backing_off), [(BlockerKind::NotDue, Some(now() + HOUR))]);
    assert_eq!(told(&backing_off), (Some("Throttled".into()), Some(now() + HOUR)));
    assert_eq!(ends(&early), [(BlockerKind::NotBefore, Some(now() + HOUR))]);
    assert_eq!(told(&early), (Some("NotBefore".into()), Some(now() + HOUR)));
    for facts in [backing_off, early] {
        let taken = facts.taken().unwrap();
        assert!(taken.is_leased && taken.is_resting, "it is looked at: {taken:?}");
    }
}

#[test]
fn a_removal_that_was_let_through_waits_for_no_backoff() {
    let going = facts(|row, _| {
        (row.phase, row.is_present, row.is_admitted) = ("created".into(), false, true);
        row.backoff = Some(now() + HOUR);
    });

    assert!(going.blockers().is_empty());
    let taken = going.taken().unwrap();
    assert_eq!((taken.phase, taken.backoff, taken.is_resting), (Phase::Removing, None, false));
    assert_eq!(told(&going).1, Some(now()));
}

#[test]
fn an_extension_is_a_lease_and_makes_nothing_certain() {
    let held = facts(|row, _| row.lease = Some(lease(now() - HOUR, Some(now() + HOUR))));
    let dead = facts(|row, _| {
        (row.phase, row.unanswered) = ("creating".into(), Some(Unanswered::Create));
        row.lease = Some(lease(now() - HOUR, Some(now())));
    });

    assert_eq!(ends(&held), [(BlockerKind::Working, Some(now() + HOUR))]);
    assert_eq!(told(&held), (Some("Working".into()), None));
    assert_eq!(held.taken(), None);
    assert!(dead.blockers().is_empty());
    let taken = dead.taken().unwrap();
    assert_eq!(
        (taken.settles, taken.recheck),
        (Some(now()), Some(now() + HOUR * 2)),
        "by the lease in the row"
    );
}

#[test]
fn an_intent_is_written_only_where_it_may_be_carried_out() {
    let intent =
        |edit: fn(&mut Row, &mut Fleet)| facts(edit).taken().map(|taken| (taken.phase, taken.unanswered));
    let (create, nothing) = (Some((Phase::Creating, Some(Unanswered::Create))), Some((Phase::Pending, None)));

    assert_eq!(intent(|_, _| ()), create);
    assert_eq!(intent(|row, _| row.must_look = true), Some((Phase::Creating, None)));
    assert_eq!(intent(|_, fleet| fleet.rejoined = Some(now() - HOUR)), Some((Phase::Creating, None)));
    assert_eq!(intent(|_, fleet| fleet.rejoined = Some(now())), create, "as if one had been sent");
    assert_eq!(intent(|row, _| row.profile = "nobody".into()), nothing);
    assert_eq!(intent(|row, _| row.host = "acme.elsewhere.example".into()), nothing);
    assert_eq!(intent(|row, _| row.pause = Some(pause(None))), nothing);
    assert_eq!(
        intent(|_, fleet| fleet.pauses = vec![("us".into(), pause(None))]),
        nothing,
        "it is only sorted"
    );
    assert_eq!(intent(|_, fleet| fleet.pauses = vec![("*".into(), pause(None))]), None);
}

#[test]
fn of_a_removal_in_a_refused_region_the_credential_is_told() {
    let waiting = |edit: fn(&mut Fleet)| {
        facts(|row, fleet| {
            (row.phase, row.is_present, row.region) = ("ready".into(), false, "us".into());
            edit(fleet);
        })
        .told()
        .reason
        .unwrap()
    };
    let breaker = || Breaker { region: "us".into(), opened: now(), probe: Some(now()) };

    assert_eq!(waiting(|fleet| fleet.hold = None), "AwaitingBudget");
    let refused = facts(|row, fleet| {
        (row.phase, row.is_present, row.region) = ("ready".into(), false, "us".into());
        fleet.breakers = vec![breaker()];
    });
    assert_eq!(told(&refused), (Some("BreakerOpen".into()), None));
    assert_eq!(waiting(|fleet| fleet.hold = Some(Hold::Changes)), "ChangesHeld");
    assert_eq!(waiting(|fleet| fleet.pauses = vec![("us".into(), pause(None))]), "Paused");
}

#[test]
fn of_a_pause_with_an_end_and_one_without_the_latter_counts() {
    let paused = facts(|row, fleet| {
        row.region = "us".into();
        fleet.pauses = vec![("*".into(), pause(Some(now() + HOUR))), ("us".into(), pause(None))];
    });

    assert_eq!(
        ends(&paused),
        [(BlockerKind::RegionPaused, None), (BlockerKind::FleetPaused, Some(now() + HOUR))]
    );
    assert_eq!(told(&paused), (Some("Paused".into()), None));
}

#[test]
fn a_row_of_before_a_rejoin_waits_for_its_slice_unless_nobody_had_it() {
    let behind = |epoch| {
        facts(|row, fleet| {
            (row.phase, row.lease_epoch) = ("created".into(), epoch);
            (fleet.rejoined, fleet.rejoin_epoch) = (Some(now() - HOUR), 1);
        })
    };

    let waiting = behind(7);
    assert_eq!(ends(&waiting), [(BlockerKind::Rejoining, None)]);
    assert_eq!(told(&waiting), (Some("Queued".into()), Some(now())), "its slice may come at any moment");
    assert_eq!(waiting.taken(), None);
    assert!(behind(0).blockers().is_empty() && behind(0).taken().is_some());
}
