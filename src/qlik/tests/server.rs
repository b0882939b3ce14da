//! A TLS server for `*.us.qlikcloud.com` that says exactly what it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Method and path.
    pub(super) line: String,
    /// Header lines, names in lower case.
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|line| line == header)
    }
}

/// What to do after a request.
pub(super) enum Reply {
    /// Send these bytes and wait for the next request.
    Bytes(Vec<u8>),
    /// Send these bytes and close.
    Last(Vec<u8>),
    /// Say nothing, for ever.
    Hang,
}

/// A whole answer with a body of this length.
pub(super) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
    Reply::Bytes([head.as_bytes(), body].concat())
}

pub(super) fn json(status: u16, body: &str) -> Reply {
    answer(status, "content-type: application/json\r\n", body)
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) ca_pem: String,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    connections: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
}

impl Server {
    /// Answers every request, token requests too, with what `reply` says.
    pub(super) async fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        install_provider();
        let certified = rcgen::generate_simple_self_signed(vec!["*.us.qlikcloud.com".into()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::default();
        tokio::spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            Arc::new(reply),
            Arc::clone(&log),
        ));
        Self { address, ca_pem: certified.cert.pem(), log }
    }

    /// Gives a token to whoever asks and answers everything else as `reply` says.
    pub(super) async fn with_token(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |seen| match seen.line.as_str() {
            "POST /oauth/token" => {
                json(200, r#"{"access_token":"T1","token_type":"Bearer","expires_in":21600}"#)
            }
            _ => reply(seen),
        })
        .await
    }

    /// Every request so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// Connections so far, even those that never got past TLS.
    pub(super) fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    /// Method and path of every request so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

pub(super) fn install_provider() {
    // Another test of the same process may have been first.
    drop(rustls::crypto::ring::default_provider().install_default());
}

async fn accept<F>(listener: TcpListener, tls: TlsAcceptor, reply: Arc<F>, log: Arc<Log>)
where
    F: Fn(&Seen) -> Reply + Send + Sync + 'static,
{
    while let Ok((tcp, _)) = listener.accept().await {
        log.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, reply, log) = (tls.clone(), Arc::clone(&reply), Arc::clone(&log));
        tokio::spawn(async move {
            // A client that hangs up early is what some tests are about.
            if let Ok(stream) = tls.accept(tcp).await {
                serve(stream, &*reply, &log.seen).await;
            }
        });
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    reply: &(impl Fn(&Seen) -> Reply + Sync),
    log: &Mutex<Vec<Seen>>,
) {
    while let Some(seen) = read_request(&mut stream).await {
        log.lock().unwrap().push(seen.clone());
        let (bytes, is_last) = match reply(&seen) {
            Reply::Bytes(bytes) => (bytes, false),
            Reply::Last(bytes) => (bytes, true),
            Reply::Hang => return std::future::pending().await,
        };
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() || is_last {
            break;
        }
    }
    drop(stream.shutdown().await);
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<String> = lines.map(lower_name).collect();
    let length =
        headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { line, headers, body: String::from_utf8(body).unwrap() })
}

fn lower_name(line: &str) -> String {
    let (name, value) = line.split_once(':').unwrap();
    format!("{}: {}", name.to_ascii_lowercase(), value.trim())
}
