//! A leased row: what is stored of it, and what the next commit writes.
//!
//! The rule: what a decision changes is made here, from what was stored last; a step that may
//! be repeated changes it without a commit, and rides with the next.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::blame::Blame;
use crate::domain::hints::StoredSecret;
use crate::domain::ids::{Fence, TenantId};
use crate::domain::machine::{Decision, Rest};
use crate::domain::phase::Phase;
use crate::domain::record::{Record, Seen, Tried, VersionsUsedUp};
use crate::domain::retry::Policy;
use crate::postgres::work::claim::Claimed;
use crate::postgres::work::commit::{Attempt, Committed, SealedSecret, Write};

/// See the file's head.
#[derive(Debug, Clone)]
pub struct Held {
    /// Whose row.
    pub tenant: TenantId,
    /// What the next write must match.
    pub fence: Fence,
    /// What the next commit writes, but for what it decides.
    record: Record,
    /// The secrets as they are stored.
    stored: Vec<StoredSecret>,
    /// What owner and others had said when it was claimed.
    seen: Seen,
    /// What was tried since the last commit.
    riding: Vec<Attempt>,
}

impl Held {
    /// As it was claimed.
    #[must_use]
    pub fn of(claimed: &Claimed) -> Self {
        Self {
            tenant: claimed.tenant_id,
            fence: claimed.fence,
            record: (*claimed.record).clone(),
            stored: claimed.record.stored.clone(),
            seen: claimed.seen.clone(),
            riding: vec![],
        }
    }

    /// What a decision makes of it.
    ///
    /// # Errors
    ///
    /// [`VersionsUsedUp`].
    pub fn after(
        &self,
        decision: &Decision,
        tried: Option<Tried>,
        policy: &Policy,
    ) -> Result<Record, VersionsUsedUp> {
        self.record.after(decision, tried, &self.seen, policy)
    }

    /// Whether the record's intent is new: something is sent on it that cannot be undone, or
    /// another life begins. To take back an intent on which nothing was sent is neither, whatever
    /// the owner has said meanwhile.
    fn is_intent(&self, record: &Record) -> bool {
        let may_fly = |record: &Record| record.unanswered.filter(|_| record.settles.is_none());
        let is_sent = may_fly(record).is_some() && may_fly(record) != may_fly(&self.record);
        let is_back_at_pending = record.phase == Phase::Pending && self.record.phase != Phase::Pending;
        is_sent || is_back_at_pending && !self.is_unsent()
    }

    /// Whose the time was until it was first ready, if it is.
    pub(super) fn time_to_ready(&self) -> Option<[(Blame, Duration); 6]> {
        let (created, ready) = self.way()?;
        Some(self.record.spent.of((ready - created).to_std().unwrap_or_default()))
    }

    /// When it was inserted and when it was first ready, if it is.
    pub(super) fn way(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        Some((self.seen.created, self.record.ready?.at(self.seen.now)))
    }

    /// Whether its claim recorded an intent to create, and nothing was sent under it.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.seen.is_fresh_intent
    }

    /// From here on something may have been sent.
    pub(super) fn sends(&mut self) {
        self.seen.is_fresh_intent = false;
    }

    /// The write of a record that a decision made.
    #[must_use]
    pub fn write(
        &self,
        decision: &Decision,
        record: Record,
        sealed: Option<SealedSecret>,
        attempt: Option<Attempt>,
    ) -> Write {
        let mut attempts = self.riding.clone();
        if let Some(attempt) = attempt {
            add(&mut attempts, attempt);
        }
        Write {
            tenant: self.tenant,
            fence: self.fence,
            generation: self.seen.generation,
            is_intent: self.is_intent(&record),
            is_held: decision.tenant.hold.is_some(),
            keeps_lease: decision.rest == Rest::Hold,
            record,
            stored: self.stored.clone(),
            sealed,
            attempts,
        }
    }

    /// It was written. Returns the secrets as they are stored now.
    pub(super) fn written(&mut self, write: Write, committed: &Committed) -> &[StoredSecret] {
        self.record = write.record.written(committed.at, committed.sealed);
        self.stored = self.record.stored.clone();
        self.seen.now = committed.at;
        self.fence.step += 1;
        self.riding.clear();
        &self.stored
    }

    /// It goes on with this, and nothing is written yet.
    pub(super) fn ride(&mut self, record: Record, attempt: Attempt) {
        self.record = record;
        add(&mut self.riding, attempt);
    }

    /// What was tried and came to nothing, for the history of the next commit.
    pub(super) fn note(&mut self, attempt: Attempt) {
        self.record.note_took(attempt.took);
        add(&mut self.riding, attempt);
    }
}

/// Adds the latest: those before it are older by as much.
fn add(attempts: &mut Vec<Attempt>, latest: Attempt) {
    for earlier in attempts.iter_mut() {
        earlier.began_ago += latest.began_ago;
    }
    attempts.push(latest);
}
