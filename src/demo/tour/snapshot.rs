//! Where all tenants are at one moment, asked as anybody may ask: through the
//! contract's view, and the simulator's count of requests.

use std::time::Duration;

use crate::domain::phase::Phase;
use crate::postgres::{Connections, Store};
use crate::simulator::Ledger;

/// Most tenants told of by name.
const NAMED: i64 = 4;

/// Every tenant at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Since the rows were inserted.
    pub(super) elapsed: Duration,
    pub(super) tenants: usize,
    /// How many of them are to become ready: all but the one with a typo.
    pub(super) wanted: usize,
    pub(super) ready: usize,
    pub(super) parked: usize,
    /// On the way to ready, in the order of [`Phase::ALL`]. What comes later in a
    /// tenant's life is none of the tour's.
    pub(super) phases: [usize; 5],
    /// How many wait for a reason other than their turn.
    pub(super) waiting: usize,
    /// Some of those.
    pub(super) named: Vec<Waiting>,
    /// Ready tenants whose first create went unanswered, to be looked at once more.
    pub(super) rechecks: i64,
    pub(super) requests: Requests,
}

/// A tenant that waits, and why.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Waiting {
    pub(super) external_id: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// What the simulated Qlik Cloud was asked, and did not answer well.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) all: u64,
    pub(super) unanswered: u64,
    pub(super) throttled: u64,
    pub(super) failed: u64,
}

impl Snapshot {
    pub(super) async fn take(
        store: &Store,
        ledger: &Ledger,
        wanted: usize,
        elapsed: Duration,
    ) -> Result<Self, sqlx::Error> {
        let mut snapshot = Self { elapsed, wanted, requests: Requests::of(ledger), ..Self::default() };
        let counts = sqlx::query_as::<_, (String, Option<String>, bool, i64)>(
            "-- demo.counts\nSELECT phase, reason, parked, count(*) FROM tenantd.status GROUP BY 1, 2, 3",
        );
        for (phase, reason, parked, tenants) in counts.fetch_all(store.connections()).await? {
            snapshot.count(&phase, reason.as_deref(), parked, usize::try_from(tenants).unwrap_or(0));
        }
        snapshot.named = named(store.connections()).await?;
        snapshot.rechecks = rechecks(store.connections()).await?;
        Ok(snapshot)
    }

    fn count(&mut self, phase: &str, reason: Option<&str>, parked: bool, tenants: usize) {
        self.tenants += tenants;
        let at = Phase::ALL.iter().position(|known| known.as_str() == phase);
        if let Some(counted) = at.and_then(|at| self.phases.get_mut(at)) {
            *counted += tenants;
        }
        match reason {
            None => self.ready += tenants,
            Some("Queued" | "Working") => {}
            Some(_) => self.waiting += tenants,
        }
        if parked {
            self.parked += tenants;
        }
    }

    /// The named ones in one line, for an error.
    pub(super) fn left(&self) -> String {
        let named: Vec<String> = self
            .named
            .iter()
            .map(|tenant| format!("{} ({}): {}", tenant.external_id, tenant.reason, tenant.message))
            .collect();
        let others = self.tenants - self.ready - named.len();
        if others > 0 { format!("{}; and {others} more", named.join("; ")) } else { named.join("; ") }
    }
}

async fn named(connections: &Connections) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as(
        "-- demo.waiting
         SELECT external_id, reason, coalesce(message, '') AS message
           FROM tenantd.status
          WHERE NOT ready AND reason NOT IN ('Queued', 'Working')
          ORDER BY parked DESC, since, external_id
          LIMIT $1",
    )
    .bind(NAMED)
    .fetch_all(connections)
    .await
}

async fn rechecks(connections: &Connections) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("-- demo.rechecks\nSELECT count(*) FROM tenantd.tenants WHERE recheck_at IS NOT NULL")
        .fetch_one(connections)
        .await
}

impl Requests {
    /// Adds up the calls, whose names end in a status or in `none`.
    pub(super) fn of(ledger: &Ledger) -> Self {
        let mut requests = Self::default();
        for (call, count) in &ledger.calls {
            requests.all += count;
            match call.rsplit(' ').next() {
                Some("none") => requests.unanswered += count,
                Some("429") => requests.throttled += count,
                Some(status) if status.starts_with('5') => requests.failed += count,
                Some(_) | None => {}
            }
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_counts_as_ready_only_without_a_reason() {
        let mut snapshot = Snapshot::default();

        snapshot.count("ready", None, false, 3);
        snapshot.count("creating", Some("Settling"), false, 2);
        snapshot.count("pending", Some("Queued"), false, 4);
        snapshot.count("pending", Some("HostNotAllowed"), true, 1);

        assert_eq!((snapshot.tenants, snapshot.ready, snapshot.waiting, snapshot.parked), (10, 3, 3, 1));
        assert_eq!(snapshot.phases, [5, 2, 0, 0, 3]);
    }
}
