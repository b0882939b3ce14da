//! What is kept of a tenant between two leases: the columns that are the core's.
//!
//! [`Record::tenant`] makes of them what a worker goes on from, and [`Record::after`] makes
//! of a decision what the next commit writes. Between the two stands nothing else: the
//! commit's statement computes nothing, and what a column holds is decided here.
//!
//! The rules: both are total, so that whatever was written can be taken up; nothing here
//! knows when the commit happens, so that new instants are durations ([`When`]); what
//! somebody else says of the tenant ([`Seen`]) is read and never written, but for what a
//! commit of the same generation has used up.

mod columns;
mod due;
mod edits;
mod progress;
mod secrets;
mod spent;
mod stand;
mod versions;

pub use columns::{Record, Seen, Tried, Unreadable};
pub use versions::{Versions, VersionsUsedUp};

use chrono::{DateTime, Utc};

use super::hints::StoredSecret;
use super::machine::failed;
use super::machine::{Decision, Rest, SecretChange};
use super::mark::Mark;
use super::phase::Phase;
use super::retry::Policy;
use super::tenant::{Due, State, Tenant};
use super::waiting::Awaited;
use super::when::{When, earliest};

impl Record {
    /// The tenant as a worker takes it up.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn tenant(&self, mark: Mark, seen: &Seen) -> Result<Tenant, Unreadable> {
        let now = seen.now;
        let mut tenant = Tenant {
            state: State::Pending,
            mark,
            stored: self.judged_secrets(seen),
            snapshot: self.snapshot.clone(),
            is_adopted: self.is_adopted,
            is_afresh: self.is_afresh,
            must_look: self.must_look,
            due: Due {
                recheck: self.recheck.is_some_and(|when| when.is_over(now)),
                edit: self.is_edit_due(seen),
                repair: self.repair,
                rotation: self.is_rotation_due(seen),
                audit: self.audit.is_some_and(|when| when.is_over(now)),
                leavings: false,
            },
            drift: self.drift.clone(),
            gone: vec![],
            left: self.left.clone(),
            hold: seen.hold,
            rights: seen.rights.clone(),
            is_resting: due::awaited(self, seen).is_some(),
            last_failure: self.message.as_deref().filter(|_| self.failures > 0).map(failed::without_outlook),
            failures: self.failures,
            without_progress: self.progress.age(now),
            refused_for: self.proof_refused.map(|when| when.age(now)),
            missing_for: self.client_missing.map(|when| when.age(now)),
        };
        tenant.due.leavings = tenant.has_leavings();
        tenant.state = self.state(seen, &tenant)?;
        Ok(tenant)
    }

    /// What the commit of a decision writes.
    ///
    /// # Errors
    ///
    /// [`VersionsUsedUp`].
    pub fn after(
        &self,
        decision: &Decision,
        tried: Option<Tried>,
        seen: &Seen,
        policy: &Policy,
    ) -> Result<Self, VersionsUsedUp> {
        if decision.rest == Rest::Still {
            return Ok(self.still(seen));
        }
        let (tenant, now) = (&decision.tenant, seen.now);
        let stand = tenant.stand();
        let is_over = decision.secret == SecretChange::Shred;
        let is_promoted = matches!(decision.secret, SecretChange::Promote { .. });
        let version = if is_over {
            None
        } else if is_promoted {
            Some(self.next_version(seen)?)
        } else {
            self.version
        };
        let served_version =
            if is_promoted { Some(seen.desired_version) } else { self.served_version.or(self.version) };
        let stored = secrets::kept(&tenant.stored, version, &decision.secret);
        let retirement = earliest(stored.iter().map(|secret| secret.retires), now);
        // A life that ended while its owner wanted another begins that one.
        let is_reborn = stand.phase == Phase::Removed && seen.is_present;
        let mut record = Self {
            phase: if is_reborn { Phase::Pending } else { stand.phase },
            client: stand.client.cloned(),
            unanswered: stand.unanswered,
            settles: stand.settle.map(When::After),
            snapshot: tenant.snapshot.clone(),
            is_adopted: tenant.is_adopted,
            is_afresh: tenant.is_afresh,
            must_look: tenant.must_look || is_over,
            left: tenant.left.clone(),
            stored,
            version,
            last_version: self.last_given().max(version),
            served_version,
            ready: if is_over { None } else { self.ready.or(is_promoted.then_some(When::NOW)) },
            failures: tenant.failures,
            retirement,
            drift: tenant.drift.clone(),
            drifted: if tenant.drift.is_empty() { None } else { self.drifted.or(Some(When::NOW)) },
            ..self.clone()
        };
        record.note_progress(self, decision, tried);
        record.note_reason(self, decision, seen);
        record.note_applied(self, decision, tried, seen);
        record.note_schedule(self, decision, seen, policy);
        record.note_spent(self, decision, tried, seen);
        Ok(record)
    }

    /// It was woken for nothing, and rests on.
    fn still(&self, seen: &Seen) -> Self {
        let awaited = due::awaited(self, seen);
        // After a pause it has its whole patience; whoever ends one early says so.
        let progress = match awaited {
            Some(Awaited::Pause(Some(until))) => When::At(until),
            Some(
                Awaited::Pause(None)
                | Awaited::Somebody
                | Awaited::Budget
                | Awaited::Start(_)
                | Awaited::Backoff(_),
            )
            | None => self.progress,
        };
        Self { progress, due: awaited.and_then(Awaited::until), ..self.rest_on(awaited, seen) }
    }

    /// The same once it was written at `now`. `sealed` is the number under which a new secret
    /// is stored.
    #[must_use]
    pub fn written(self, now: DateTime<Utc>, sealed: Option<i64>) -> Self {
        let of = |when: Option<When>| when.map(|when| when.written(now));
        let stored = self.stored.into_iter().map(|secret| StoredSecret {
            id: secret.id.or(sealed),
            proven: of(secret.proven),
            retires: of(secret.retires),
            ..secret
        });
        Self {
            settles: of(self.settles),
            stored: stored.collect(),
            ready: of(self.ready),
            progress: self.progress.written(now),
            proof_refused: of(self.proof_refused),
            client_missing: of(self.client_missing),
            credential_refused: of(self.credential_refused),
            right_refused: of(self.right_refused),
            recheck: of(self.recheck),
            retirement: of(self.retirement),
            audit: of(self.audit),
            audited: of(self.audited),
            drifted: of(self.drifted),
            edited: of(self.edited),
            reason_since: self.reason_since.written(now),
            backoff: of(self.backoff),
            rested: of(self.rested),
            due: of(self.due),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
