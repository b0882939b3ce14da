//! What tenantd says, held against what Qlik Cloud counts.
//!
//! The rule: nothing here asks the daemon. One side is the simulator's ledger of
//! effects, the other is what stands in the database.

use std::collections::HashSet;
use std::time::Duration;

use super::snapshot::Requests;
use crate::postgres::Connections;
use crate::simulator::{ClientLedger, Ledger, TenantLedger};

/// How the promises stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// Tenants with a proven credential, by the contract's view.
    pub ready: usize,
    /// Live clients at Qlik Cloud.
    pub clients: usize,
    /// Those whose consent is trusted.
    pub trusted: usize,
    /// Tenants with more than one live client.
    pub doubled: usize,
    /// Clients that were made twice and deleted again.
    pub healed: usize,
    /// Live secrets at Qlik Cloud that the store does not hold.
    pub unknown_secrets: usize,
    /// Creates and mints whose answer was lost or unreadable.
    pub lost_answers: usize,
    /// Requests that Qlik Cloud throttled.
    pub throttled: u64,
    /// Requests that Qlik Cloud failed with a 5xx.
    pub failed: u64,
    /// Half of the tenants were ready within this time of their insert.
    pub p50: Duration,
    /// 99 of 100 were.
    pub p99: Duration,
}

impl Truth {
    /// Reads both sides.
    pub(super) async fn read(connections: &Connections, ledger: &Ledger) -> Result<Self, sqlx::Error> {
        let requests = Requests::of(ledger);
        let (ready, p50, p99) = spread(connections).await?;
        let per_tenant = || ledger.tenants.values().map(|tenant| tenant.live_clients().count());
        let ever = ledger.tenants.values().flat_map(|tenant| &tenant.clients);
        Ok(Self {
            ready,
            clients: ledger.live_clients,
            trusted: ledger.trusted_clients,
            doubled: per_tenant().filter(|clients| *clients > 1).count(),
            healed: ever.filter(|client| client.deleted_at.is_some()).count(),
            unknown_secrets: unknown_secrets(connections, ledger).await?,
            lost_answers: lost_answers(connections).await?,
            throttled: requests.throttled,
            failed: requests.failed,
            p50,
            p99,
        })
    }

    /// The first promise that is not kept, in words.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        let Self { ready, clients, trusted, doubled, unknown_secrets, .. } = self;
        if clients != ready || *doubled > 0 {
            return Some(format!(
                "{ready} tenants are ready, {clients} clients live at Qlik Cloud, {doubled} tenants have more than one"
            ));
        }
        if trusted != clients {
            return Some(format!("only {trusted} of {clients} clients are trusted"));
        }
        (*unknown_secrets > 0)
            .then(|| format!("{unknown_secrets} secrets live at Qlik Cloud that the store does not hold"))
    }
}

/// A hint is as good as the secret here: the simulator gives each only once.
async fn unknown_secrets(connections: &Connections, ledger: &Ledger) -> Result<usize, sqlx::Error> {
    let stored = sqlx::query_as::<_, (String, String)>(
        "-- demo.secrets
         SELECT client_id, hint FROM tenantd.secrets WHERE standing <> 'discarded' AND hint IS NOT NULL",
    );
    let stored: HashSet<(String, String)> = stored.fetch_all(connections).await?.into_iter().collect();
    let hints_of = |client: &ClientLedger| -> Vec<(String, String)> {
        client.live_secrets().map(|secret| (client.client_id.clone(), secret.hint.clone())).collect()
    };
    let live = ledger.tenants.values().flat_map(TenantLedger::live_clients).flat_map(hints_of);
    Ok(live.filter(|secret| !stored.contains(secret)).count())
}

async fn lost_answers(connections: &Connections) -> Result<usize, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(
        "-- demo.lost_answers\nSELECT count(*) FROM tenantd.attempts WHERE outcome = 'ambiguous'",
    )
    .fetch_one(connections)
    .await?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// How many are ready, and how long that took.
async fn spread(connections: &Connections) -> Result<(usize, Duration, Duration), sqlx::Error> {
    let (ready, p50, p99) = sqlx::query_as::<_, (i64, f64, f64)>(
        "-- demo.spread
         SELECT count(*),
                coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY took), 0),
                coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY took), 0)
           FROM (SELECT extract(epoch FROM ready_at - created_at)::float8 AS took FROM tenantd.status WHERE ready) AS s",
    )
    .fetch_one(connections)
    .await?;
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Ok((usize::try_from(ready).unwrap_or(0), seconds(p50), seconds(p99)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_that_is_not_kept_is_told_and_never_glossed_over() {
        let kept = Truth { ready: 8, clients: 8, trusted: 8, healed: 1, lost_answers: 3, ..Truth::default() };

        assert_eq!(kept.broken(), None);
        for (truth, word) in [
            (Truth { clients: 9, doubled: 1, ..kept.clone() }, "9 clients live"),
            (Truth { clients: 7, trusted: 7, ..kept.clone() }, "7 clients live"),
            (Truth { trusted: 7, ..kept.clone() }, "only 7 of 8"),
            (Truth { unknown_secrets: 1, ..kept.clone() }, "1 secrets live"),
        ] {
            let broken = truth.broken().unwrap();
            assert!(broken.contains(word), "{broken}");
        }
    }
}
