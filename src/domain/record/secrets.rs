//! The secrets of a record: their numbers, and when their time is over.
//!
//! The rule: numbers never go back, and none is given twice; what still serves a consumer has a
//! number, and what has none serves nobody.

use super::super::hints::{Standing, StoredSecret};
use super::super::machine::SecretChange;
use super::super::reason::WaitReason;
use super::super::when::When;
use super::columns::{Record, Seen};
use super::versions::{Versions, VersionsUsedUp};

impl Record {
    /// The secrets, and whether the time of each is over.
    pub(super) fn judged_secrets(&self, seen: &Seen) -> Vec<StoredSecret> {
        let is_kept = self.keeps_previous(seen);
        let judged = |secret: &StoredSecret| StoredSecret {
            is_retiring: is_over(secret, seen) && !is_kept,
            ..secret.clone()
        };
        self.stored.iter().map(judged).collect()
    }

    /// A rollback that the database forgot had consumers keep a previous secret under a higher
    /// number: none goes before there is a number that they must take, but for want of a slot
    /// for it.
    fn keeps_previous(&self, seen: &Seen) -> bool {
        let is_without_slot = self.wait_reason.as_deref() == Some(WaitReason::SecretSlotsFull.as_str());
        !is_without_slot && self.version.is_none_or(|version| version < seen.version_floor)
    }

    pub(super) fn is_rotation_due(&self, seen: &Seen) -> bool {
        let is_retirement_over = self.stored.iter().any(|secret| is_over(secret, seen));
        let is_kept_too_long = self.version.is_some() && is_retirement_over && self.keeps_previous(seen);
        is_kept_too_long || self.is_another_asked_for(seen)
    }

    /// Whether its owner, or its age, asks for another secret than the current one.
    pub(super) fn is_another_asked_for(&self, seen: &Seen) -> bool {
        self.versions(seen).is_another_asked_for()
    }

    pub(super) fn next_version(&self, seen: &Seen) -> Result<i32, VersionsUsedUp> {
        self.versions(seen).next()
    }

    fn versions(&self, seen: &Seen) -> Versions {
        Versions {
            current: self.version,
            last: self.last_version,
            served: self.served_version,
            desired: seen.desired_version,
            aged: seen.aged_version,
            floor: seen.version_floor,
        }
    }

    /// The version before notes no last number.
    pub(super) fn last_given(&self) -> Option<i32> {
        self.last_version.max(self.version)
    }
}

/// The secrets as they are stored: only what is proven has a number, and only what was replaced
/// retires.
pub(super) fn kept(
    stored: &[StoredSecret],
    version: Option<i32>,
    change: &SecretChange,
) -> Vec<StoredSecret> {
    let promoted = match change {
        SecretChange::Promote { overlap } => Some(When::After(*overlap)),
        SecretChange::Keep
        | SecretChange::Seal { .. }
        | SecretChange::Identify(_)
        | SecretChange::Discard
        | SecretChange::Withdraw
        | SecretChange::Forget(_)
        | SecretChange::Lose(_)
        | SecretChange::Shred => None,
    };
    let kept = |secret: &StoredSecret| match secret.standing {
        Standing::Current => StoredSecret {
            version: secret.version.or(version),
            proven: secret.proven.or(Some(When::NOW)),
            retires: None,
            ..secret.clone()
        },
        // Was it current until now, it retires from now on.
        Standing::Previous => StoredSecret { retires: secret.retires.or(promoted), ..secret.clone() },
        Standing::Unproven | Standing::Discarded => {
            StoredSecret { version: None, proven: None, retires: None, ..secret.clone() }
        }
    };
    stored.iter().map(kept).collect()
}

fn is_over(secret: &StoredSecret, seen: &Seen) -> bool {
    secret.standing == Standing::Previous && secret.retires.is_some_and(|when| when.is_over(seen.now))
}

#[cfg(test)]
mod tests;
