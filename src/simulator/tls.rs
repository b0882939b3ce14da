//! The door on the network: HTTPS, one port, as many hosts as the world has.
//!
//! hyper is driven directly, so that a fault is one on the wire: a close sends no
//! byte, a truncated body ends before its `Content-Length`, a hang hangs.
//!
//! The rule: **a request that was read is processed to its end**, even when its
//! client has left, because a real server goes on too.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::reply::{Outgoing, Payload, outgoing, refusal};
use self::request::{Request, Route};
use super::faults::{Applies, Fault};
use super::problem::Problem;
use super::world::World;
use crate::ports::Clock;

mod admin;
mod answers;
mod bodies;
mod certificates;
mod gzip;
mod perform;
mod reply;
mod request;
mod start_error;
#[cfg(test)]
mod tests;
mod text;

pub use start_error::StartError;

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where and for whom to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address. The private path asks for no credential: loopback only.
    pub listen: SocketAddr,
    /// Hosts are one label under one of these, such as `us.qlikcloud.com`.
    pub suffixes: Vec<String>,
}

impl Default for Options {
    /// Any free port of the loopback, for hosts under `us.qlikcloud.com` and `eu.qlikcloud.com`.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            suffixes: vec!["us.qlikcloud.com".to_owned(), "eu.qlikcloud.com".to_owned()],
        }
    }
}

/// A running server. Dropping it ends it without waiting.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    ca_pem: String,
    tasks: TaskTracker,
    end: DropGuard,
}

/// What every connection needs.
struct Shared {
    world: World,
    clock: Arc<dyn Clock>,
    config: Arc<ServerConfig>,
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Server {
    /// Starts serving a world on the current tokio runtime.
    pub async fn start<C: Clock>(world: World, clock: Arc<C>, options: Options) -> Result<Self, StartError> {
        let identity = certificates::identity_for(&options.suffixes)?;
        let refused = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let config = identity.config;
        let shared = Arc::new(Shared { world, clock, config, tasks: tasks.clone(), end: end.clone() });
        tasks.spawn(accept_all(listener, shared));
        Ok(Self { addr, ca_pem: identity.ca_pem, tasks, end: end.drop_guard() })
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate of its authority, for clients to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Ends all connections and waits until nothing runs any more.
    pub async fn stop(self) {
        drop(self.end);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            () = shared.end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => shared.spawn(serve(stream, Arc::clone(&shared))),
            // Out of descriptors, as a rule: let some connections end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Serves one connection until either side has enough.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let handshake = tokio::time::timeout(HANDSHAKE, handshake(stream, &shared)).await;
    let Ok(Some((stream, sni))) = handshake else { return };
    let service = service_fn(|request| handle(request, sni.clone(), Arc::clone(&shared)));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error here is a fault that was asked for, or a client that left.
    if connection.await.is_err() {
        tracing::trace!("a simulated connection ended early");
    }
}

type Tls = tokio_rustls::server::TlsStream<TcpStream>;

/// Completes the handshake, unless the host it names is unreachable.
async fn handshake(stream: TcpStream, shared: &Shared) -> Option<(Tls, Option<String>)> {
    stream.set_nodelay(true).ok()?;
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
    let sni = start.client_hello().server_name().map(str::to_owned);
    let is_unreachable = |host: &String| shared.world.at(shared.clock.now()).is_unreachable(host);
    if sni.as_ref().is_some_and(is_unreachable) {
        return None;
    }
    Some((start.into_stream(Arc::clone(&shared.config)).await.ok()?, sni))
}

/// Answers one request, or fails, which closes the connection.
async fn handle(
    request: hyper::Request<Incoming>,
    sni: Option<String>,
    shared: Arc<Shared>,
) -> io::Result<Response<Payload>> {
    let request = match Request::read(request, sni.as_deref(), shared.clock.now()).await {
        Ok(request) => request,
        Err(problem) => return Ok(refusal(&problem, "")),
    };
    // A connection is for the host it was opened to (RFC 9110, section 15.5.20).
    if sni.is_some_and(|sni| sni != request.host) {
        return Ok(refusal(&Problem::of_status(421), ""));
    }
    if request.path.starts_with(admin::PREFIX) {
        return Ok(admin::answer(&shared.world, &request));
    }
    let (answer, answered) = tokio::sync::oneshot::channel();
    let worker = Arc::clone(&shared);
    shared.spawn(async move {
        // Nobody listens where the client has left.
        drop(answer.send(worker.process(request).await));
    });
    match answered.await {
        Ok(Outgoing::Answer(response)) => Ok(response),
        Ok(Outgoing::Hang) => std::future::pending().await,
        Ok(Outgoing::Close) | Err(_) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

impl Shared {
    /// Runs a task until it is done or the server ends.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Processes one request with whatever goes wrong with it.
    async fn process(&self, request: Request) -> Outgoing {
        let (route, Fault { delay, applies, reply }) = self.arrive(&request);
        tokio::time::sleep(delay).await;
        let processed = match applies {
            Applies::Never => None,
            Applies::AtOnce => Some(self.perform(&request, &route)),
            Applies::After(after) => {
                tokio::time::sleep(after).await;
                Some(self.perform(&request, &route))
            }
        };
        let now = self.clock.now();
        let mut moment = self.world.at(now);
        let outgoing = outgoing(processed, &reply, route.endpoint, &moment.trace_id(), now);
        let status = match &outgoing {
            Outgoing::Answer(response) => Some(response.status().as_u16()),
            Outgoing::Close | Outgoing::Hang => None,
        };
        moment.answered(route.endpoint, status);
        outgoing
    }

    fn arrive(&self, request: &Request) -> (Route, Fault) {
        let asker = bodies::token(request).map(|body| body.client_id).unwrap_or_default();
        let mut moment = self.world.at(request.now);
        let route = request.route(moment.is_region(&request.host, &asker));
        let fault = moment.arrive(&request.host, route.endpoint);
        (route, fault)
    }

    fn perform(&self, request: &Request, route: &Route) -> Result<perform::Answer, Problem> {
        perform::perform(&mut self.world.at(self.clock.now()), request, route)
    }
}
