//! A record of a row that was just inserted, and what its claim saw.
//!
//! The rule: for tests alone; whoever wants another row says what is different.

use chrono::{DateTime, Utc};

use crate::domain::blame::{Blame, Spent};
use crate::domain::phase::Phase;
use crate::domain::record::{Record, Seen};
use crate::domain::rights::MissingRights;
use crate::domain::wants::WantsDigest;
use crate::domain::when::When;

pub(in crate::domain) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(in crate::domain) fn seen() -> Seen {
    Seen {
        now: now(),
        created: now(),
        generation: 0,
        is_present: true,
        is_admitted: false,
        wants: WantsDigest::of("default", None, None),
        desired_version: 1,
        aged_version: None,
        version_floor: 1,
        not_before: None,
        paused: None,
        is_fresh_intent: false,
        hold: None,
        rights: MissingRights::default(),
    }
}

pub(in crate::domain) fn inserted() -> Record {
    Record {
        phase: Phase::Pending,
        client: None,
        unanswered: None,
        settles: None,
        snapshot: None,
        is_adopted: false,
        is_afresh: false,
        must_look: false,
        left: vec![],
        stored: vec![],
        version: None,
        last_version: None,
        served_version: None,
        ready: None,
        failures: 0,
        progress: When::At(now()),
        proof_refused: None,
        client_missing: None,
        credential_refused: None,
        awaits_right: None,
        right_refused: None,
        recheck: None,
        retirement: None,
        audit: None,
        audited: None,
        drift: vec![],
        drifted: None,
        applied: None,
        edited: None,
        repair: None,
        wait_reason: None,
        parked_reason: None,
        message: None,
        reason_since: When::At(now()),
        backoff: None,
        spent: Spent::default(),
        rested: Some(When::At(now())),
        rests_for: Blame::Queue,
        due: Some(When::At(now())),
    }
}
