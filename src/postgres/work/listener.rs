//! Wake-up calls from Postgres.
//!
//! The rule: a notification is a hint. Polling goes on without it, and a lost connection
//! counts as a call, because anything may have happened meanwhile. A connection that the
//! network swallowed says nothing for ever, so it is asked from time to time.

use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::postgres::StoreError;
use crate::postgres::connections::{ACQUIRE, Connections};
use crate::postgres::error::Meaning;

/// The channel on which triggers say that there is work.
const WORK: &str = "tenantd_work";
/// A channel on which nobody says anything, to try whether it is heard.
const TRIAL: &str = "tenantd_trial";
/// Pause between attempts to listen again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it may be silent before it is asked.
const SILENCE: Duration = Duration::from_secs(10);

/// A connection of its own that hears this channel.
///
/// # Errors
///
/// The driver's.
pub async fn listener(options: &PgConnectOptions, channel: &str) -> Result<PgListener, sqlx::Error> {
    // A pool of its own, because the driver's listener takes nothing else.
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE);
    let pool = pool.connect_lazy_with(options.clone());
    let listening = async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    };
    tokio::time::timeout(ACQUIRE, listening).await.unwrap_or_else(|_| Err(silent()))
}

/// Listens until cancelled, and wakes `wake` on every call and every reconnect. Where
/// there is nothing to be heard it only waits to be cancelled.
pub async fn listen(options: Option<&PgConnectOptions>, wake: &Notify, stop: CancellationToken) {
    let Some(options) = options else { return stop.cancelled().await };
    let forever = async {
        let mut said = None;
        loop {
            if let Err(error) = listen_once(options, wake).await {
                say(&error.into(), &mut said);
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    stop.run_until_cancelled(forever).await;
}

/// Says once what is wrong, and nothing of an outage: others say that.
fn say(error: &StoreError, said: &mut Option<Meaning>) {
    let meaning = error.meaning();
    if error.is_outage() || *said == meaning {
        tracing::debug!(error = %error, "not listening for new tenants; polling goes on");
    } else {
        tracing::warn!(error = %error, "nobody listens for new tenants, so that they wait for the next poll; see database.listen_url");
        *said = meaning;
    }
}

/// Whether what is called at the database is heard; `None` where nobody listens.
///
/// # Errors
///
/// The driver's.
pub async fn is_heard(connections: &Connections) -> Result<Option<bool>, StoreError> {
    let Some(address) = connections.listening() else { return Ok(None) };
    let mut listener = listener(address, TRIAL).await?;
    sqlx::query!("-- events.try\nSELECT pg_notify($1, '')", TRIAL).execute(connections).await?;
    match tokio::time::timeout(ACQUIRE, listener.try_recv()).await {
        Ok(heard) => Ok(Some(heard?.is_some())),
        Err(_) => Ok(Some(false)),
    }
}

async fn listen_once(options: &PgConnectOptions, wake: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = listener(options, WORK).await?;
    // What came before the listener stood is found by the sweep this starts.
    wake.notify_one();
    loop {
        tokio::select! {
            called = listener.try_recv() => {
                if called?.is_none() {
                    tracing::debug!("the connection for wake-up calls was lost and is back");
                }
                wake.notify_one();
            }
            () = tokio::time::sleep(SILENCE) => ask(&mut listener).await?,
        }
    }
}

/// Listening again changes nothing, and a server that was the primary once refuses it.
async fn ask(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    let asked = tokio::time::timeout(ACQUIRE, listener.execute("LISTEN tenantd_work")).await;
    asked.unwrap_or_else(|_| Err(silent())).map(drop)
}

fn silent() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}
