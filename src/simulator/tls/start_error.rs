//! Why a server of the simulator could not start.
//!
//! The rule: each says what to choose instead, where there is a choice.

use std::io;
use std::net::SocketAddr;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are words of the message")]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("the simulator could not listen on {address}: {source}; choose another address or port")]
    Listen { address: SocketAddr, source: io::Error },
    /// No certificate for these suffixes.
    #[error("the simulator could not make its certificates: {0}; check the host suffixes")]
    Certificate(#[from] rcgen::Error),
    /// TLS refuses the certificate.
    #[error("the simulator could not set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}
