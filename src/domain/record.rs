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

mod due;
mod progress;
mod secrets;
mod stand;

pub use secrets::VersionsUsedUp;

use chrono::{DateTime, Utc};

use super::drift::DriftKind;
use super::hints::StoredSecret;
use super::ids::{ClientId, Hint};
use super::machine::effect::EffectKind;
use super::machine::failed;
use super::machine::{Decision, Rest, SecretChange};
use super::mark::Mark;
use super::phase::Phase;
use super::place::Hold;
use super::retry::Policy;
use super::rights::MissingRights;
use super::tenant::{Due, RepairScope, State, Tenant, Unanswered};
use super::when::{When, earliest};

/// The core's columns of a tenant, and its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How far the tenant is.
    pub phase: Phase,
    /// The committed client.
    pub client: Option<ClientId>,
    /// A request that may have been sent.
    pub unanswered: Option<Unanswered>,
    /// Until then it may still land; `None` while it may be in flight.
    pub settles: Option<When>,
    /// The hints that were visible when the first intent to mint of this series was recorded.
    pub snapshot: Option<Vec<Hint>>,
    /// The client was found after a lost create.
    pub is_adopted: bool,
    /// A secret was already minted afresh.
    pub is_afresh: bool,
    /// What the row says of Qlik may be out of date.
    pub must_look: bool,
    /// Clients of this life that somebody else deleted.
    pub left: Vec<ClientId>,
    /// Its secrets, the oldest first.
    pub stored: Vec<StoredSecret>,
    /// The number of the current secret.
    pub version: Option<i32>,
    /// When it was first ready in this life.
    pub ready: Option<When>,
    /// Failures since the last progress.
    pub failures: u32,
    /// The last progress, moved forward by every wait that is not held against the tenant.
    pub progress: When,
    /// When the new credential was first refused.
    pub proof_refused: Option<When>,
    /// When our client was first not to be seen.
    pub client_missing: Option<When>,
    /// When the region's credential was last refused here.
    pub credential_refused: Option<When>,
    /// The effect to which the region lacked the right when it was last needed here.
    pub awaits_right: Option<EffectKind>,
    /// Since when it is refused here.
    pub right_refused: Option<When>,
    /// When to look for a second client of ours.
    pub recheck: Option<When>,
    /// When the next previous secret is to be deleted.
    pub retirement: Option<When>,
    /// When to compare with Qlik.
    pub audit: Option<When>,
    /// When that was last done.
    pub audited: Option<When>,
    /// How the client differed then.
    pub drift: Vec<DriftKind>,
    /// Since when it is known to differ.
    pub drifted: Option<When>,
    /// Its owner's edit, until the client follows.
    pub edited: Option<When>,
    /// What of its drift may be mended now.
    pub repair: Option<RepairScope>,
    /// Why it rests.
    pub wait_reason: Option<String>,
    /// Why it waits for somebody to act.
    pub parked_reason: Option<String>,
    /// The same in words.
    pub message: Option<String>,
    /// Since when it stands so.
    pub reason_since: When,
    /// Until then it waits after what Qlik answered, whoever wakes it.
    pub backoff: Option<When>,
    /// When somebody should go on.
    pub due: Option<When>,
}

/// What the row says besides: what its owner wants, and what others have said of it. All of
/// it as it was at one instant.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The instant, by the database's clock.
    pub now: DateTime<Utc>,
    /// Counts what owner and others have said. A commit of another one decided on less.
    pub generation: i64,
    /// The tenant should have a credential.
    pub is_present: bool,
    /// Its removal was let through.
    pub is_admitted: bool,
    /// The version that its owner asks for, at least.
    pub desired_version: i32,
    /// No secret gets a lower number.
    pub version_floor: i32,
    /// Nothing is sent before.
    pub not_before: Option<DateTime<Utc>>,
    /// An operator keeps the daemon away from it, until then or until further notice.
    pub paused: Option<Option<DateTime<Utc>>>,
    /// The intent to create was recorded by this very claim.
    pub is_fresh_intent: bool,
    /// What may not be done at Qlik until an operator has said so.
    pub hold: Option<Hold>,
    /// What its region is known to lack the right to.
    pub rights: MissingRights,
}

/// An effect that was tried, and whether it worked.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Which.
    pub effect: EffectKind,
    /// It did.
    pub is_done: bool,
}

/// A record that no version of this program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("phase {0} without a client")]
pub struct Unreadable(pub Phase);

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
                edit: self.edited.is_some(),
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
            ready: if is_over { None } else { self.ready.or(is_promoted.then_some(When::NOW)) },
            failures: tenant.failures,
            retirement,
            drift: tenant.drift.clone(),
            drifted: if tenant.drift.is_empty() { None } else { self.drifted.or(Some(When::NOW)) },
            ..self.clone()
        };
        record.note_progress(self, decision, tried);
        record.note_reason(self, decision, seen);
        record.note_schedule(self, decision, seen, policy);
        Ok(record)
    }

    /// It was woken for nothing, and rests on.
    fn still(&self, seen: &Seen) -> Self {
        let awaited = due::awaited(self, seen);
        // After a pause it has its whole patience; whoever ends one early says so.
        let progress = match awaited {
            Some(due::Awaited::Pause(Some(until))) => When::At(until),
            Some(
                due::Awaited::Pause(None)
                | due::Awaited::Somebody
                | due::Awaited::Budget
                | due::Awaited::Start(_)
                | due::Awaited::Backoff(_),
            )
            | None => self.progress,
        };
        Self { progress, due: awaited.and_then(due::Awaited::until), ..self.clone() }
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
            due: of(self.due),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
