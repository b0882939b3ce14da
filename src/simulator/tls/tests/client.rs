//! A client that sees every byte: HTTP/1.1 written by hand over TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::simulator::tls::Server;

pub(super) struct Client {
    addr: SocketAddr,
    connector: TlsConnector,
}

/// An answer as far as it came.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Self { status, head, body: bytes[end + 4..].to_vec() })
    }
}

impl Client {
    pub(super) fn of(server: &Server) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(server.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { addr: server.addr(), connector: Arc::new(config).into() }
    }

    pub(super) async fn connect(&self, host: &str) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.addr).await?;
        self.connector.connect(ServerName::try_from(host.to_owned()).unwrap(), stream).await
    }

    /// Sends a request on a connection of its own. `None` means that it closed
    /// without a byte.
    pub(super) async fn send(&self, host: &str, lines: &str, body: &str) -> Option<Received> {
        let mut stream = self.connect(host).await.unwrap();
        write(&mut stream, host, lines, body).await;
        let mut bytes = Vec::new();
        // An end without close_notify is an end too; what came before it counts.
        drop(stream.read_to_end(&mut bytes).await);
        Received::parse(&bytes)
    }
}

/// Writes one request: `lines` are the request's first line, without the version,
/// and further headers.
pub(super) async fn write(stream: &mut TlsStream<TcpStream>, host: &str, lines: &str, body: &str) {
    let (first, headers) = lines.split_once('\n').unwrap_or((lines, ""));
    let mut headers = headers.replace('\n', "\r\n");
    if !headers.is_empty() {
        headers.push_str("\r\n");
    }
    let kind = if headers.contains("content-type") { "" } else { "content-type: application/json\r\n" };
    let length = body.len();
    let text = format!(
        "{first} HTTP/1.1\r\nhost: {host}\r\n{headers}{kind}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}
