//! Wake-up calls from Postgres.
//!
//! The rule: a notification is a hint. Polling goes on without it, and a lost
//! connection counts as a call, because anything may have happened meanwhile.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The channel on which triggers say that there is work.
const WORK: &str = "tenantd_work";
/// Pause between attempts to listen again.
const AGAIN: Duration = Duration::from_secs(1);

/// Listens until cancelled, and wakes `wake` on every call and every reconnect.
/// Keeps one connection of the pool for itself.
pub async fn listen(pool: PgPool, wake: &Notify, stop: CancellationToken) {
    let forever = async {
        loop {
            if let Err(error) = listen_once(&pool, wake).await {
                tracing::debug!(error = %error, "not listening for new tenants; polling goes on");
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    stop.run_until_cancelled(forever).await;
}

async fn listen_once(pool: &PgPool, wake: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(WORK).await?;
    loop {
        // What came before the listener stood is found by the sweep this starts.
        wake.notify_one();
        if listener.try_recv().await?.is_none() {
            tracing::debug!("the connection for wake-up calls was lost and is back");
        }
    }
}
