//! Connections: accepted, bounded, and ended in good order.
//!
//! The rule: a client that is slow, silent or many costs this process no more
//! than a fixed amount, since the work behind it matters more than its pages.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::routes::{Pages, router};

/// How many connections are served at once; the next ones wait in the kernel's queue.
const CONNECTIONS: usize = 64;

/// A request's head must arrive within this time; also the longest pause between requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest head of a request, in bytes.
const HEAD_LIMIT: usize = 16 * 1024;

/// How long answers under way may take when the process ends.
const GRACE: Duration = Duration::from_secs(5);

/// After a failed accept, so that a lack of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How often observations are sorted, whether or not anybody reads them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves the pages until `stop` is cancelled and answers under way are given.
///
/// A failure of one connection ends that connection; there is none that ends this.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    serve_with(listener, pages, stop, HEAD_TIMEOUT).await;
}

/// [`serve`] with another patience for slow clients.
pub(super) async fn serve_with(
    listener: TcpListener,
    pages: Pages,
    stop: CancellationToken,
    head_timeout: Duration,
) {
    let metrics = pages.metrics.clone();
    let router = router(pages);
    let open = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = upkeep.tick() => metrics.upkeep(),
            (accepted, permit) = accept(&listener, &room) => match accepted {
                Ok(stream) => {
                    open.spawn(talk(stream, router.clone(), stop.clone(), head_timeout, permit));
                }
                Err(error) => {
                    tracing::warn!("could not accept a connection on the HTTP port: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    open.close();
    if tokio::time::timeout(GRACE, open.wait()).await.is_err() {
        tracing::warn!("{} HTTP connections did not end in time and are cut off", open.len());
    }
}

/// Waits for room first: what cannot be served is not accepted.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (io::Result<TcpStream>, Option<OwnedSemaphorePermit>) {
    // Fails only when the semaphore is closed, which it never is.
    let permit = Arc::clone(room).acquire_owned().await.ok();
    (listener.accept().await.map(|(stream, _)| stream), permit)
}

async fn talk(
    stream: TcpStream,
    router: Router,
    stop: CancellationToken,
    head_timeout: Duration,
    _room: Option<OwnedSemaphorePermit>,
) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(HEAD_LIMIT);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("an HTTP connection ended early: {error}");
    }
}
