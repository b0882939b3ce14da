//! The leases this process holds, and for how long each is certain.
//!
//! Certain means: measured from *before* the claim or renewal was sent, on our own
//! monotonic clock. Qlik cannot be fenced, so a request that cannot be repeated
//! is sent only with enough certain lease left for its whole deadline.
//!
//! The rule: a lease that was not renewed is lost until it is claimed anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::ids::{Fence, TenantId};
use crate::postgres::work::lease::Renewal;

/// All leases of this process.
#[derive(Debug, Clone, Default)]
pub struct Leases(Arc<Mutex<HashMap<TenantId, Held>>>);

#[derive(Debug, Clone, Copy)]
struct Held {
    fence: Fence,
    certain_until: Duration,
    whose: Whose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// A worker's, and renewed.
    Ours,
    /// The row is in other hands.
    Lost,
    /// Nobody's here any more, and still the row's: what would have given it back was not written.
    Left,
}

/// One lease; dropping it ends its renewal, and says that it was given back.
#[derive(Debug)]
pub struct Lease {
    all: Leases,
    tenant: TenantId,
    epoch: i64,
}

impl Leases {
    /// Notes a lease that is certain until this moment of [`crate::ports::Clock::elapsed`].
    #[must_use]
    pub fn hold(&self, tenant: TenantId, fence: Fence, certain_until: Duration) -> Lease {
        self.lock().insert(tenant, Held { fence, certain_until, whose: Whose::Ours });
        Lease { all: self.clone(), tenant, epoch: fence.epoch }
    }

    /// How many leases would have to run out by themselves, if the process ended now.
    #[must_use]
    pub fn left(&self, now: Duration) -> usize {
        let is_left = |held: &&Held| match held.whose {
            Whose::Ours => true,
            Whose::Left => held.certain_until > now,
            Whose::Lost => false,
        };
        self.lock().values().filter(is_left).count()
    }

    /// Forgets what has run out by itself.
    pub(super) fn forget_left(&self, now: Duration) {
        self.lock().retain(|_, held| held.whose != Whose::Left || held.certain_until > now);
    }

    pub(super) fn held(&self) -> Vec<(TenantId, Fence)> {
        self.lock()
            .iter()
            .filter(|(_, held)| held.whose == Whose::Ours)
            .map(|(tenant, held)| (*tenant, held.fence))
            .collect()
    }

    /// Takes note of a renewal that asked for `asked` and found `ours`. Returns
    /// how many leases were lost.
    pub(super) fn renewed(
        &self,
        asked: &[(TenantId, Fence)],
        ours: &[Renewal],
        certain_until: Duration,
    ) -> usize {
        let mut lost = 0;
        let mut all = self.lock();
        for (tenant, fence) in asked {
            // It may have been given back, and even claimed anew, meanwhile.
            let Some(held) = all.get_mut(tenant).filter(|held| held.fence.epoch == fence.epoch) else {
                continue;
            };
            match ours.iter().find(|renewal| renewal.tenant == *tenant) {
                Some(Renewal { is_renewed: true, .. }) => held.certain_until = certain_until,
                Some(Renewal { is_renewed: false, .. }) => {}
                None if held.whose == Whose::Left => {
                    // It was given back after all: its commit landed, and the answer did not.
                    all.remove(tenant);
                }
                None => {
                    held.whose = Whose::Lost;
                    lost += 1;
                }
            }
        }
        lost
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Held>> {
        // Nothing in this file panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Whether the lease is certain for `needed` from `now` on.
    #[must_use]
    pub fn covers(&self, now: Duration, needed: Duration) -> bool {
        self.all.lock().get(&self.tenant).is_some_and(|held| {
            held.fence.epoch == self.epoch && held.whose == Whose::Ours && now + needed <= held.certain_until
        })
    }

    /// Ends its renewal, and nothing gave it back: it runs out by itself.
    pub(super) fn leave(self) {
        let mut all = self.all.lock();
        if let Some(held) = all.get_mut(&self.tenant)
            && held.fence.epoch == self.epoch
            && held.whose == Whose::Ours
        {
            held.whose = Whose::Left;
        }
    }

    /// Whether a renewal found the row in other hands.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.all
            .lock()
            .get(&self.tenant)
            .is_none_or(|held| held.fence.epoch != self.epoch || held.whose == Whose::Lost)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        let is_its = |held: &Held| held.fence.epoch == self.epoch && held.whose != Whose::Left;
        if all.get(&self.tenant).is_some_and(is_its) {
            all.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const SECOND: Duration = Duration::from_secs(1);

    const RENEWED: Renewal = Renewal { tenant: TENANT, is_renewed: true };

    fn fence(epoch: i64) -> Fence {
        Fence { epoch, step: 0 }
    }

    #[test]
    fn a_lease_covers_only_what_is_certain() {
        let leases = Leases::default();
        let lease = leases.hold(TENANT, fence(1), SECOND * 60);

        assert!(lease.covers(SECOND * 40, SECOND * 20));
        assert!(!lease.covers(SECOND * 41, SECOND * 20));
        assert_eq!(leases.renewed(&[(TENANT, fence(1))], &[RENEWED], SECOND * 80), 0);
        assert!(lease.covers(SECOND * 41, SECOND * 20));
    }

    #[test]
    fn a_lease_that_was_not_renewed_is_lost() {
        let leases = Leases::default();
        let lease = leases.hold(TENANT, fence(1), SECOND * 60);

        assert_eq!(leases.renewed(&[(TENANT, fence(1))], &[], SECOND * 80), 1);

        assert!(lease.is_lost());
        assert!(!lease.covers(SECOND, SECOND));
        assert!(leases.held().is_empty());
    }

    #[test]
    fn a_lease_that_was_not_given_back_is_left_until_it_has_run_out_or_is_held_anew() {
        let leases = Leases::default();
        let hold = |epoch| leases.hold(TENANT, fence(epoch), SECOND * 60);
        drop(hold(1));
        assert_eq!((leases.held().len(), leases.left(SECOND)), (0, 0));

        hold(2).leave();

        assert!(leases.held().is_empty());
        assert_eq!((leases.held().len(), leases.left(SECOND * 59), leases.left(SECOND * 60)), (0, 1, 0));
        leases.forget_left(SECOND * 59);
        assert_eq!(leases.left(SECOND * 59), 1);
        leases.forget_left(SECOND * 60);
        assert_eq!(leases.left(SECOND * 59), 0);
        hold(3).leave();
        let anew = hold(4);
        assert_eq!((leases.held().len(), leases.left(SECOND * 61)), (1, 1));
        drop(anew);
        assert_eq!(leases.left(SECOND), 0);
    }

    #[test]
    fn a_lease_whose_end_was_written_and_not_answered_is_not_left() {
        let leases = Leases::default();
        leases.hold(TENANT, fence(1), SECOND * 60).leave();
        assert_eq!(leases.renewed(&[(TENANT, fence(1))], &[RENEWED], SECOND * 80), 0);
        assert_eq!(leases.left(SECOND * 79), 1, "a renewal that was on its way makes it longer");

        assert_eq!(leases.renewed(&[(TENANT, fence(1))], &[], SECOND * 90), 0, "nobody took it over");

        assert_eq!((leases.held().len(), leases.left(SECOND)), (0, 0));
        assert!(leases.lock().is_empty());
    }

    #[test]
    fn a_lease_in_other_hands_is_not_left_by_us() {
        let leases = Leases::default();
        let lease = leases.hold(TENANT, fence(1), SECOND * 60);
        leases.renewed(&[(TENANT, fence(1))], &[], SECOND * 80);

        lease.leave();

        assert_eq!(leases.left(SECOND), 0);
    }

    #[test]
    fn a_lease_on_a_locked_row_is_neither_longer_nor_lost() {
        let leases = Leases::default();
        let lease = leases.hold(TENANT, fence(1), SECOND * 60);
        let locked = Renewal { is_renewed: false, ..RENEWED };

        assert_eq!(leases.renewed(&[(TENANT, fence(1))], &[locked], SECOND * 80), 0);

        assert!(!lease.is_lost() && lease.covers(SECOND * 40, SECOND * 20));
        assert!(!lease.covers(SECOND * 41, SECOND * 20));
    }

    #[test]
    fn an_earlier_lease_says_nothing_about_a_later_one() {
        let leases = Leases::default();
        let earlier = leases.hold(TENANT, fence(1), SECOND * 60);
        let later = leases.hold(TENANT, fence(2), SECOND * 90);

        assert_eq!(leases.renewed(&[(TENANT, fence(1))], &[], SECOND * 80), 0);
        assert!(earlier.is_lost() && !later.is_lost());

        drop(earlier);
        assert_eq!(leases.held().len(), 1);
    }
}
