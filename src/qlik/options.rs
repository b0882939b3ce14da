//! How the adapter reaches Qlik Cloud, and why it may be unable to.
//!
//! The rule: what cannot work is said when the daemon starts, with the setting
//! that mends it, and not as a failure of the first tenant.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::message::Message;

/// How requests reach the tenants. Has no `Debug`: `proxy` may hold a password.
pub struct CloudOptions {
    /// Longest time for one request, from connecting to the end of the answer.
    pub request_timeout: Duration,
    /// Longest time for DNS, TCP and TLS together. Shortened to nine tenths of
    /// the other two where it is longer: else those would end an attempt to
    /// connect, and it could no longer be told that nothing was sent.
    pub connect_timeout: Duration,
    /// Longest silence while an answer is awaited or read.
    pub read_timeout: Duration,
    /// Certificates (PEM) to trust besides those of the operating system.
    pub ca_pem: Option<Vec<u8>>,
    /// Send every host to this address: a simulator or an egress gateway. Names
    /// are still what TLS checks and the `host` header says.
    pub connect_to: Option<SocketAddr>,
    /// An HTTP proxy to tunnel through (`http://user:password@proxy:3128`). The
    /// proxy variables of the environment are never read.
    pub proxy: Option<String>,
}

impl CloudOptions {
    /// The connect timeout that is really used.
    pub(super) fn effective_connect_timeout(&self) -> Duration {
        let whole = self.request_timeout.min(self.read_timeout);
        self.connect_timeout.min(whole / 10 * 9)
    }
}

/// Why no client can be built from these options.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// The process has not chosen its cryptography.
    NoCryptoProvider,
    /// `ca_pem` is not what it should be.
    BadCa,
    /// `proxy` is no address.
    BadProxy,
    /// Two ways to reroute the same connection.
    ProxyAndConnectTo,
    /// Most likely a machine without root certificates.
    Client(#[source] reqwest::Error),
}

impl InvalidOptions {
    /// What is wrong, and which setting mends it.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::NoCryptoProvider => Message::new(
                "no TLS provider is installed",
                "call rustls' `install_default` first thing in `main`",
            ),
            Self::BadCa => Message::new(
                "qlik.ca_file holds no readable PEM certificate",
                "write the authority's certificate into it, from BEGIN to END",
            ),
            Self::BadProxy => Message::new(
                "qlik.proxy is not the address of a proxy",
                "write one such as http://proxy.example.com:3128",
            ),
            Self::ProxyAndConnectTo => {
                Message::new("qlik.proxy and qlik.connect_to exclude each other", "remove one")
            }
            Self::Client(_) => Message::new(
                "the HTTPS client cannot start",
                "install the system's root certificates (package ca-certificates) or set qlik.ca_file",
            ),
        }
    }
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}
