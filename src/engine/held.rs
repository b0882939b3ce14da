//! A leased row: what is stored of it, and what the next commit writes.
//!
//! The rule: what a decision changes is made here, from what was stored last; a step that may
//! be repeated changes it without a commit, and rides with the next.

use crate::domain::hints::StoredSecret;
use crate::domain::ids::{Fence, TenantId};
use crate::domain::record::{Record, Seen, Tried, VersionsUsedUp};
use crate::domain::retry::Policy;
use crate::domain::transition::{Decision, Rest};
use crate::postgres::claim::Claimed;
use crate::postgres::commit::{Attempt, Committed, SealedSecret, Write};

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

    /// Whether the record's intent is new: something is sent on it that cannot be undone.
    fn is_intent(&self, record: &Record) -> bool {
        let may_fly = |record: &Record| record.unanswered.filter(|_| record.settles.is_none());
        may_fly(record).is_some() && may_fly(record) != may_fly(&self.record)
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
        for earlier in &mut attempts {
            earlier.began_ago += attempt.as_ref().map(|attempt| attempt.began_ago).unwrap_or_default();
        }
        attempts.extend(attempt);
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
        for earlier in &mut self.riding {
            earlier.began_ago += attempt.began_ago;
        }
        self.record = record;
        self.riding.push(attempt);
    }

    /// What was tried in vain, because its commit was out of date.
    pub(super) fn note(&mut self, attempt: Attempt) {
        self.riding.push(attempt);
    }
}
