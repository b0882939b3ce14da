//! Connections: accepted, bounded, and ended in good order.
//!
//! The rules: slow, silent and numerous clients cost this process a fixed amount at most,
//! since its work matters more than its pages. And **they keep nobody else waiting**:
//! when a probe is not answered, the process is killed.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::room::{Place, Room};
use super::routes::{Pages, router};

/// How many connections there are at once: far more than all who should ask, and few
/// enough for the usual limit of 1024 open files. One more ends the oldest.
pub(super) const CONNECTIONS: usize = 256;

/// Largest head of a request, in bytes.
const HEAD_LIMIT: usize = 16 * 1024;

/// How long a client is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A request's head must arrive within this time; also the longest pause between requests.
    pub(super) head: Duration,
    /// No connection lives longer, however slowly it reads what it asked for. Who asks
    /// regularly connects again.
    pub(super) life: Duration,
    /// How long answers under way may take when their connection or the process ends.
    pub(super) end: Duration,
}

const PATIENCE: Patience =
    Patience { head: Duration::from_secs(10), life: Duration::from_mins(5), end: Duration::from_secs(5) };

/// After a failed accept, so that a lack of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How often observations are sorted, whether or not anybody reads them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves the pages until `stop` is cancelled and answers under way are given.
///
/// A failure of one connection ends that connection, and nobody else's.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    serve_with(listener, pages, stop, PATIENCE).await;
}

/// [`serve`] with another patience for slow clients.
pub(super) async fn serve_with(
    listener: TcpListener,
    pages: Pages,
    stop: CancellationToken,
    patience: Patience,
) {
    let metrics = pages.metrics.clone();
    let router = router(pages);
    let open = TaskTracker::new();
    let room = Room::for_at_most(CONNECTIONS);
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = upkeep.tick() => metrics.upkeep(),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.spawn(talk(stream, router.clone(), stop.clone(), patience, room.enter()));
                }
                Err(error) => {
                    tracing::warn!("could not accept a connection on the HTTP port: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    open.close();
    if tokio::time::timeout(patience.end, open.wait()).await.is_err() {
        tracing::warn!("{} HTTP connections did not end in time and are cut off", open.len());
    }
}

async fn talk(stream: TcpStream, router: Router, stop: CancellationToken, patience: Patience, place: Place) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(patience.head).max_buf_size(HEAD_LIMIT);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = tokio::time::sleep(patience.life) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(patience.end, connection).await.unwrap_or(Ok(()))
        }
        () = place.is_taken.cancelled() => return,
    };
    if let Err(error) = ended {
        tracing::debug!("an HTTP connection ended early: {error}");
    }
}
