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
mod stand;

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::drift::DriftKind;
use super::effect::EffectKind;
use super::hints::{Standing, StoredSecret};
use super::ids::{ClientId, Hint};
use super::mark::Mark;
use super::phase::Phase;
use super::place::Hold;
use super::retry::Policy;
use super::rights::MissingRights;
use super::setback;
use super::tenant::{Due, RepairScope, State, Tenant, Unanswered};
use super::transition::{Ailment, AuditChange, Decision, Progress, RecheckChange, Rest, SecretChange};
use super::when::{When, earliest, latest};

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
    /// Until then it waits after a failure, whoever wakes it.
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

impl Seen {
    /// Whether the tenant is to go, and may.
    fn is_unwanted(&self) -> bool {
        !self.is_present
    }
}

/// An effect that was tried, and whether it worked.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Which.
    pub effect: EffectKind,
    /// It did.
    pub is_done: bool,
}

/// There is no number left for a further secret of this tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the versions of this tenant are used up: {} is the last there is; remove the tenant, and insert it anew under another external_id",
    i32::MAX
)]
pub struct VersionsUsedUp;

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
            stored: self.stored.iter().map(|secret| self.judged(secret, seen)).collect(),
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
            last_failure: self.message.as_deref().filter(|_| self.failures > 0).map(setback::without_outlook),
            failures: self.failures,
            without_progress: self.progress.age(now),
            refused_for: self.proof_refused.map(|when| when.age(now)),
            missing_for: self.client_missing.map(|when| when.age(now)),
        };
        tenant.due.leavings = tenant.has_leavings();
        tenant.state = stand::state(self, seen, &tenant)?;
        Ok(tenant)
    }

    fn judged(&self, secret: &StoredSecret, seen: &Seen) -> StoredSecret {
        let is_over = secret.retires.is_some_and(|when| when.is_over(seen.now));
        let is_retiring = secret.standing == Standing::Previous && is_over && !self.keeps_previous(seen);
        StoredSecret { is_retiring, ..secret.clone() }
    }

    /// A rollback that the database forgot had consumers keep a previous secret under a higher
    /// number: none goes before there is a number that they must take, but for want of a slot
    /// for it.
    fn keeps_previous(&self, seen: &Seen) -> bool {
        let is_without_slot =
            self.wait_reason.as_deref() == Some(super::reason::WaitReason::SecretSlotsFull.as_str());
        !is_without_slot && self.version.is_none_or(|version| version < seen.version_floor)
    }

    fn is_rotation_due(&self, seen: &Seen) -> bool {
        let is_over = |secret: &StoredSecret| secret.retires.is_some_and(|when| when.is_over(seen.now));
        let is_retirement_over =
            self.stored.iter().any(|secret| secret.standing == Standing::Previous && is_over(secret));
        self.version.is_some_and(|version| {
            seen.desired_version > version || is_retirement_over && self.keeps_previous(seen)
        })
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
        let stored: Vec<_> =
            tenant.stored.iter().map(|secret| kept(secret, version, &decision.secret)).collect();
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
            recheck: match decision.recheck {
                RecheckChange::Keep => self.recheck,
                RecheckChange::After(after) => latest(self.recheck, Some(When::After(after)), now),
                // One that was planned meanwhile is still to come.
                RecheckChange::Done => self.recheck.filter(|when| !when.is_over(now)),
            },
            edited: self.edited.filter(|_| !is_over),
            repair: self.repair.filter(|_| !is_over),
            ..self.clone()
        };
        if let AuditChange::Done { next } = decision.audit {
            (record.audit, record.audited) = (next.map(When::After), Some(When::NOW));
            (record.edited, record.repair) = (None, None);
        }
        if record.phase == Phase::Ready && record.audit.is_none() {
            record.audit = policy.audit_every.map(|every| When::After(first_audit(&tenant.mark, every)));
        }
        record.note_progress(self, decision, tried);
        record.note_reason(self, decision, seen);
        record.backoff = match &decision.rest {
            Rest::Wait { due, .. } => Some(When::After(*due)),
            Rest::Hold | Rest::Requeue | Rest::Park { .. } | Rest::Settled | Rest::Still => None,
        };
        record.due = due::of(self, &record, decision, seen);
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

    /// Numbers never go back, and none is given twice.
    fn next_version(&self, seen: &Seen) -> Result<i32, VersionsUsedUp> {
        let next = self.version.map_or(Ok(1), |version| version.checked_add(1).ok_or(VersionsUsedUp))?;
        Ok(next.max(seen.desired_version).max(seen.version_floor))
    }

    fn note_progress(&mut self, before: &Self, decision: &Decision, tried: Option<Tried>) {
        let (tenant, ailment) = (&decision.tenant, decision.ailment);
        let is_made = decision.progress == Progress::Made;
        self.progress = match decision.progress {
            Progress::Made => When::NOW,
            Progress::Excused(waited) => before.progress.moved(waited),
            Progress::None => before.progress,
        };
        let began = |since: Option<When>, is_on: bool| since.or(Some(When::NOW)).filter(|_| is_on);
        let is_refused = tenant.refused_for.is_some() || ailment == Some(Ailment::ProofRefused);
        self.proof_refused = began(before.proof_refused, is_refused);
        let is_missing = tenant.missing_for.is_some() || ailment == Some(Ailment::ClientMissing);
        self.client_missing = began(before.client_missing, is_missing);
        self.credential_refused = match ailment {
            Some(Ailment::CredentialRefused) => Some(When::NOW),
            Some(
                Ailment::ProofRefused
                | Ailment::ClientMissing
                | Ailment::RightRefused(_)
                | Ailment::RightAwaited(_),
            )
            | None => before.credential_refused.filter(|_| !is_made),
        };
        let (awaited, is_refused_now) = match ailment {
            Some(Ailment::RightRefused(effect)) => (Some(effect), true),
            Some(Ailment::RightAwaited(effect)) => (Some(effect), false),
            Some(Ailment::ProofRefused | Ailment::ClientMissing | Ailment::CredentialRefused) | None => {
                (None, false)
            }
        };
        // Kept beyond other progress: it tells whether others were granted it since.
        let is_granted =
            tried.is_some_and(|tried| tried.is_done && Some(tried.effect) == before.awaits_right);
        let is_forgotten = decision.secret == SecretChange::Shred || is_granted;
        let known = before.right_refused.filter(|_| !is_forgotten);
        (self.awaits_right, self.right_refused) = match awaited {
            Some(effect) if before.awaits_right == Some(effect) => {
                (Some(effect), if is_refused_now { before.right_refused.or(Some(When::NOW)) } else { known })
            }
            Some(effect) => (Some(effect), is_refused_now.then_some(When::NOW)),
            None => (before.awaits_right.filter(|_| !is_forgotten), known),
        };
    }

    fn note_reason(&mut self, before: &Self, decision: &Decision, seen: &Seen) {
        let text = |reason: &'static str| Some(reason.to_owned());
        (self.wait_reason, self.parked_reason, self.message) = match &decision.rest {
            // More to do, but nothing gained yet: what the row waited for stays its story.
            Rest::Hold | Rest::Requeue | Rest::Still if decision.progress != Progress::Made => {
                (before.wait_reason.clone(), None, before.message.clone())
            }
            Rest::Hold | Rest::Requeue | Rest::Still | Rest::Settled => (None, None, None),
            Rest::Wait { reason, message, .. } => (text(reason.as_str()), None, Some(message.clone())),
            Rest::Park { reason, message } => {
                // What may go now goes, whatever stood in its way.
                let is_going = due::may_be_removed(self.phase, seen);
                (None, text(reason.as_str()).filter(|_| !is_going), Some(message.clone()))
            }
        };
        let said = |record: &Self| (record.phase, record.wait_reason.clone(), record.parked_reason.clone());
        if said(self) != said(before) {
            self.reason_since = When::NOW;
        }
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

/// Spread evenly, so that a fleet that is provisioned in an hour is not audited in one.
fn first_audit(mark: &Mark, every: Duration) -> Duration {
    let [.., high, low] = *mark.tenant.0.as_bytes();
    every.mul_f64(f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX))
}

/// A secret as it is stored: only what is proven has a number, and only what was replaced
/// retires.
fn kept(secret: &StoredSecret, version: Option<i32>, change: &SecretChange) -> StoredSecret {
    let overlap = match change {
        SecretChange::Promote { overlap } => *overlap,
        SecretChange::Keep
        | SecretChange::Seal { .. }
        | SecretChange::Identify(_)
        | SecretChange::Discard
        | SecretChange::Withdraw
        | SecretChange::Forget(_)
        | SecretChange::Lose(_)
        | SecretChange::Shred => Duration::ZERO,
    };
    let secret = secret.clone();
    match secret.standing {
        Standing::Current => StoredSecret {
            version: secret.version.or(version),
            proven: secret.proven.or(Some(When::NOW)),
            retires: None,
            ..secret
        },
        // Was it current until now, it retires from now on.
        Standing::Previous if matches!(change, SecretChange::Promote { .. }) => {
            StoredSecret { retires: secret.retires.or(Some(When::After(overlap))), ..secret }
        }
        Standing::Previous => secret,
        Standing::Unproven | Standing::Discarded => {
            StoredSecret { version: None, proven: None, retires: None, ..secret }
        }
    }
}

#[cfg(test)]
mod tests;
