//! The secrets of a record: their numbers, and when their time is over.
//!
//! The rule: numbers never go back, and none is given twice; what still serves a consumer has a
//! number, and what has none serves nobody.

use super::super::hints::{Standing, StoredSecret};
use super::super::machine::SecretChange;
use super::super::reason::WaitReason;
use super::super::when::When;
use super::columns::{Record, Seen};

/// There is no number left for a further secret of this tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the versions of this tenant are used up: {} is the last there is; remove the tenant, and insert it anew under another external_id",
    i32::MAX
)]
pub struct VersionsUsedUp;

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
        self.version.is_some_and(|version| {
            seen.desired_version > version || is_retirement_over && self.keeps_previous(seen)
        })
    }

    /// Numbers never go back, and none is given twice.
    pub(super) fn next_version(&self, seen: &Seen) -> Result<i32, VersionsUsedUp> {
        next_version(self.version, seen.desired_version, seen.version_floor)
    }
}

/// The number of the next secret that is proven, after this one.
///
/// # Errors
///
/// [`VersionsUsedUp`].
pub fn next_version(current: Option<i32>, desired: i32, floor: i32) -> Result<i32, VersionsUsedUp> {
    let next = current.map_or(Ok(1), |version| version.checked_add(1).ok_or(VersionsUsedUp))?;
    Ok(next.max(desired).max(floor))
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
