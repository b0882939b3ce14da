//! What is left when the daemon stops, said in one line.

use std::time::Duration;

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::Code;
use crate::cli::output::count;
use crate::domain::ages::relative;
use crate::engine::dispatch::Left;
use crate::engine::shutdown::Stop;
use crate::postgres::operator::backlog::Rest;
use crate::postgres::{Store, StoreError};

/// How long a daemon that breaks off still asks what it leaves behind.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// After a drain: what waits. After a break: what was left behind, as a failure.
pub(super) async fn of_daemon(store: &Store, left: Left, stop: &Stop) -> anyhow::Result<Code> {
    let told = tokio::select! {
        told = of(store) => told.ok(),
        () = impatience(&stop.abort) => None,
    };
    let tenants = told.map_or_else(
        || "the database is away, so what is left cannot be told".to_owned(),
        |(_, tenants)| tenants,
    );
    let leases = count(i64::try_from(left.leases).unwrap_or(i64::MAX), "lease");
    if stop.abort.is_cancelled() {
        return Err(anyhow!(
            "broke off with {leases} left; another daemon goes on when they have run out (worker.lease); {tenants}"
        ));
    }
    tracing::info!("stopped: {tenants}; {leases} left");
    Ok(Code::Done)
}

/// Ends a moment after we were told to leave at once.
async fn impatience(abort: &CancellationToken) {
    abort.cancelled().await;
    tokio::time::sleep(LAST_LOOK).await;
}

/// What is left, and in words.
pub(super) async fn of(store: &Store) -> Result<(Rest, String), StoreError> {
    let (rest, now) = (store.rest().await?, store.now().await?);
    let next = rest.next_at.map(|next| format!(", next {}", relative(next, now))).unwrap_or_default();
    let verb = if rest.waiting == 1 { "waits" } else { "wait" };
    let parked = match rest.parked {
        0 => String::new(),
        parked => format!(", {parked} parked (`tenantd tenant list --parked` says why)"),
    };
    let waiting = match rest.waiting {
        0 => "none waits".to_owned(),
        waiting => format!("{waiting} {verb}{next}"),
    };
    Ok((rest, format!("{} of {} ready, {waiting}{parked}", rest.ready, count(rest.tenants, "tenant"))))
}
