//! When somebody should go on with a tenant: the least of what it waits for.
//!
//! The rule: `due` is the outcome of everything else and decides nothing itself. Whoever
//! says something of a tenant wakes it, and may wake it for nothing: then this says again
//! when.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::hints::Standing;
use super::super::machine::{AuditChange, Decision, RecheckChange, Rest, SecretChange};
use super::super::mark::Mark;
use super::super::phase::Phase;
use super::super::retry::Policy;
use super::super::waiting::{Awaited, Waits, is_going};
use super::super::when::{When, earliest, latest};
use super::columns::{Record, Seen};

/// How often a ready tenant looks whether deletions were agreed to. The agreement wakes it.
const HELD_EVERY: Duration = Duration::from_mins(15);

/// What the record waits for, if anything does not let it go on now.
pub(super) fn awaited(record: &Record, seen: &Seen) -> Option<Awaited> {
    waits(record, seen).first(seen.now)
}

/// Whether a removal that was let through has yet to begin.
pub(super) fn may_be_removed(record: &Record, seen: &Seen) -> bool {
    waits(record, seen).may_be_removed()
}

fn waits(record: &Record, seen: &Seen) -> Waits {
    Waits {
        phase: Some(record.phase),
        is_present: seen.is_present,
        is_admitted: seen.is_admitted,
        is_parked: record.parked_reason.is_some(),
        paused: seen.paused,
        not_before: seen.not_before,
        backoff: record.backoff,
    }
}

impl Record {
    /// What it waits for from now on, and when it is due.
    pub(super) fn note_schedule(&mut self, before: &Self, decision: &Decision, seen: &Seen, policy: &Policy) {
        self.recheck = match decision.recheck {
            RecheckChange::Keep => before.recheck,
            RecheckChange::After(after) => latest(before.recheck, Some(When::After(after)), seen.now),
            // One that was planned meanwhile is still to come.
            RecheckChange::Done => before.recheck.filter(|when| !when.is_over(seen.now)),
        };
        if let AuditChange::Done { next } = decision.audit {
            (self.audit, self.audited) = (next.map(When::After), Some(When::NOW));
        }
        if self.phase == Phase::Ready && self.audit.is_none() {
            let first = |every| When::After(first_audit(&decision.tenant.mark, every));
            self.audit = policy.audit_every.map(first);
        }
        if decision.audit != AuditChange::Keep || decision.secret == SecretChange::Shred {
            self.repair = None;
        }
        self.backoff = match &decision.rest {
            Rest::Wait { reason, due, .. } if reason.outlasts_a_wake() => Some(When::After(*due)),
            Rest::Wait { .. }
            | Rest::Hold
            | Rest::Requeue
            | Rest::Park { .. }
            | Rest::Settled
            | Rest::Still => None,
        };
        self.due = of(before, self, decision, seen);
    }
}

/// When the record is due that a decision made of the one before.
fn of(before: &Record, record: &Record, decision: &Decision, seen: &Seen) -> Option<When> {
    if may_be_removed(record, seen) {
        return Some(When::NOW);
    }
    // The removal budget wakes it.
    if record.parked_reason.is_some() || !seen.is_present && !is_going(record.phase) {
        return None;
    }
    match &decision.rest {
        Rest::Hold => before.due,
        Rest::Requeue => Some(When::NOW),
        Rest::Wait { due, .. } => Some(When::After(*due)),
        Rest::Park { .. } | Rest::Still => None,
        Rest::Settled => settled(record, decision, seen),
    }
}

fn settled(record: &Record, decision: &Decision, seen: &Seen) -> Option<When> {
    match record.phase {
        // A new life.
        Phase::Pending => Some(not_before(seen.not_before, seen.now)),
        Phase::Ready if decision.tenant.hold.is_some() => earliest(
            [record.audit, has_to_delete(record).then_some(When::After(HELD_EVERY)), wanted(record, seen)],
            seen.now,
        ),
        Phase::Ready => {
            earliest([record.recheck, record.audit, record.retirement, wanted(record, seen)], seen.now)
        }
        Phase::Creating
        | Phase::Created
        | Phase::Trusted
        | Phase::Rotating
        | Phase::Proving
        | Phase::Removing
        | Phase::Removed => record.recheck,
    }
}

fn not_before(instant: Option<DateTime<Utc>>, now: DateTime<Utc>) -> When {
    instant.filter(|instant| *instant > now).map_or(When::NOW, When::At)
}

/// Whether somebody wants more of a ready tenant.
fn wanted(record: &Record, seen: &Seen) -> Option<When> {
    let is_any = record.must_look
        || record.is_another_asked_for(seen)
        || record.is_edit_due(seen)
        || record.repair.is_some();
    is_any.then_some(When::NOW)
}

/// Whether something waits to be deleted.
fn has_to_delete(record: &Record) -> bool {
    record.retirement.is_some()
        || record.recheck.is_some()
        || record.snapshot.is_some()
        || record.is_adopted
        || record.stored.iter().any(|secret| secret.standing == Standing::Discarded)
}

/// Spread evenly, so that a fleet that is provisioned in an hour is not audited in one.
fn first_audit(mark: &Mark, every: Duration) -> Duration {
    let [.., high, low] = *mark.tenant.0.as_bytes();
    every.mul_f64(f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX))
}
