//! `tenantd simulate`: the simulated Qlik Cloud alone, for other programs' tests.
//!
//! The rule: the first line on standard output is `listening on <address>`, written
//! when connections are accepted; scripts wait for it. The rest is for people.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::config::{Reach, pattern};
use super::faults;
use super::scratch::Scratch;
use super::signals::Signals;
use crate::domain::host::{HostPattern, InvalidHost};
use crate::simulator::tls::{self, Server, StartError};
use crate::simulator::{Behaviour, FaultPlan, World};
use crate::system::SystemClock;

mod help;

/// What to simulate, and where.
#[derive(Debug)]
pub struct Options {
    /// The address; port 0 picks a free one. Loopback only: the ledger asks for no credential.
    pub listen: SocketAddr,
    /// What hosts end in, such as `us.qlikcloud.com`: every host with one label
    /// before it is a tenant.
    pub suffixes: Vec<String>,
    /// Where to write the certificate that clients must trust. `None`: in a
    /// directory that is gone at the end.
    pub write_ca: Option<PathBuf>,
    /// How long every answer takes at least.
    pub latency: Duration,
    /// Whether answers get lost, spoilt and refused by chance.
    pub faults: bool,
    /// Of ids, secrets and faults: the same seed makes the same.
    pub seed: u64,
    /// The id of the regions' OAuth client, the same for every suffix.
    pub region_client_id: String,
    /// Its secret.
    pub region_client_secret: SecretString,
}

/// Why the simulator could not run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are words of the message")]
pub enum SimulateError {
    /// Anybody who reaches the port may read the ledger and make tenants.
    #[error(
        "{0} can be reached from other machines, and the simulator asks nobody who they are; \
         use a loopback address such as 127.0.0.1:8443"
    )]
    NotLoopback(SocketAddr),
    /// Without a suffix there is no tenant.
    #[error("no host suffix is given; give one such as us.qlikcloud.com")]
    NoSuffix,
    /// A suffix is no part of a host name.
    #[error("{suffix} cannot end a tenant's host ({fault}); give one such as us.qlikcloud.com")]
    BadSuffix { suffix: String, fault: InvalidHost },
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The operating system refused something.
    #[error("could not {act}")]
    Os {
        act: String,
        #[source]
        source: io::Error,
    },
}

/// Simulates until Ctrl-C or SIGTERM.
pub async fn run(options: Options) -> Result<(), SimulateError> {
    let mut signals = Signals::listen().map_err(os("listen for Ctrl-C"))?;
    let simulator = Simulator::start(options).await?;
    simulator.tell(&mut io::stdout()).map_err(os("write to standard output"))?;
    signals.next().await;
    simulator.stop().await;
    Ok(())
}

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    server: Server,
    options: Options,
    ca_file: PathBuf,
    /// Where `ca_file` is, unless the caller chose.
    _scratch: Option<Scratch>,
}

impl Simulator {
    /// Starts to listen.
    pub async fn start(options: Options) -> Result<Self, SimulateError> {
        check(&options)?;
        let tls = tls::Options { listen: options.listen, suffixes: options.suffixes.clone() };
        let server = Server::start(world(&options), Arc::new(SystemClock::start()), tls).await?;
        let (ca_file, scratch) = write_ca(options.write_ca.as_deref(), server.ca_pem())?;
        Ok(Self { server, options, ca_file, _scratch: scratch })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The PEM file that clients must trust.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Ends it, and removes what it wrote for itself.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    /// Writes the line for scripts and the text for people.
    pub fn tell(&self, out: &mut impl Write) -> io::Result<()> {
        let reach = Reach {
            addr: self.addr(),
            ca_file: &self.ca_file,
            suffixes: &self.options.suffixes,
            client_id: &self.options.region_client_id,
            client_secret: &self.options.region_client_secret,
        };
        writeln!(out, "listening on {}\n\n{}", self.addr(), help::help(&reach))?;
        out.flush()
    }
}

fn check(options: &Options) -> Result<(), SimulateError> {
    if !options.listen.ip().is_loopback() {
        return Err(SimulateError::NotLoopback(options.listen));
    }
    if options.suffixes.is_empty() {
        return Err(SimulateError::NoSuffix);
    }
    for suffix in &options.suffixes {
        HostPattern::parse(&pattern(suffix))
            .map_err(|fault| SimulateError::BadSuffix { suffix: suffix.clone(), fault })?;
    }
    Ok(())
}

fn world(options: &Options) -> World {
    let behaviour = Behaviour { any_host: true, ..Behaviour::default() };
    let faults = if options.faults { faults::by_chance() } else { FaultPlan::none() };
    let world = World::new(behaviour, faults.with_latency(options.latency), options.seed);
    let (id, secret) = (&options.region_client_id, options.region_client_secret.expose_secret());
    options.suffixes.iter().fold(world, |world, suffix| world.with_region(suffix, id, secret))
}

/// Writes the certificate where it was asked for, or in a directory of our own.
fn write_ca(asked: Option<&Path>, pem: &str) -> Result<(PathBuf, Option<Scratch>), SimulateError> {
    if let Some(path) = asked {
        std::fs::write(path, pem).map_err(os(format!("write {}", path.display())))?;
        return Ok((path.to_owned(), None));
    }
    let scratch = Scratch::create().map_err(os("make a directory under /tmp"))?;
    let path = scratch.write("ca.pem", pem).map_err(os("write the certificate"))?;
    Ok((path, Some(scratch)))
}

fn os(act: impl Into<String>) -> impl FnOnce(io::Error) -> SimulateError {
    let act = act.into();
    |source| SimulateError::Os { act, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            suffixes: vec!["us.qlikcloud.com".to_owned()],
            write_ca: None,
            latency: Duration::ZERO,
            faults: false,
            seed: 1,
            region_client_id: "region".to_owned(),
            region_client_secret: "secret".into(),
        }
    }

    #[tokio::test]
    async fn the_first_line_says_where_it_listens_and_nothing_else() {
        let simulator = Simulator::start(options()).await.unwrap();
        let mut out = Vec::new();

        simulator.tell(&mut out).unwrap();

        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().next().unwrap(), format!("listening on {}", simulator.addr()));
    }

    #[tokio::test]
    async fn its_certificate_goes_with_it() {
        let simulator = Simulator::start(options()).await.unwrap();
        let ca_file = simulator.ca_file().to_owned();
        assert!(std::fs::read_to_string(&ca_file).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));

        simulator.stop().await;

        assert!(!ca_file.exists());
    }

    #[tokio::test]
    async fn an_address_that_others_can_reach_is_refused() {
        let open = Options { listen: "0.0.0.0:0".parse().unwrap(), ..options() };

        let error = Simulator::start(open).await.unwrap_err().to_string();

        assert!(error.contains("0.0.0.0:0") && error.contains("127.0.0.1:8443"), "{error}");
    }

    #[tokio::test]
    async fn a_suffix_that_ends_no_host_is_refused_by_name() {
        let odd = Options { suffixes: vec!["*.Qlik".to_owned()], ..options() };

        let error = Simulator::start(odd).await.unwrap_err().to_string();

        assert!(error.contains("*.Qlik") && error.contains("us.qlikcloud.com"), "{error}");
    }
}
