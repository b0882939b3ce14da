//! `database.url`: checked in full before the driver sees any of it.
//!
//! The driver takes nearly everything, and logs parameters that it does not know, with
//! their values. After an unescaped `?` in a password such a parameter is the rest of
//! that password. The rules: **the URL alone says where the database is and who we are**,
//! nothing is ignored, and **no message quotes any of it**; it names parameters from a
//! list of well-known words.

mod parameters;

use std::net::IpAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use super::authority::{self, Parts, host_name, is_this_machine, port};
use super::misfit::Misfit;
use super::plain_file;
use parameters::{Given, Key};

const TLS_MODES: [(&str, TlsMode); 6] = [
    ("disable", TlsMode::Disable),
    ("allow", TlsMode::Allow),
    ("prefer", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify-full", TlsMode::VerifyFull),
];

/// How a database is reached, with nothing left for the driver to guess.
#[derive(Debug)]
pub struct DatabaseUrl {
    /// Where the server is.
    pub place: Place,
    /// Its port, or that of its socket.
    pub port: Option<u16>,
    /// The login; the user of the operating system, where it is left out.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
    /// The database; named like the user, where it is left out.
    pub database: Option<String>,
    /// How the connection is protected, where that is said.
    pub tls_mode: Option<TlsMode>,
    /// PEM file with authorities that the server's certificate may come from, besides the public ones.
    pub root_cert: Option<PathBuf>,
    /// PEM files of our own certificate and its key.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// How many prepared statements a connection keeps.
    pub statement_cache: Option<usize>,
    /// What the server calls us.
    pub application_name: Option<String>,
    /// Settings of the server for our sessions.
    pub options: Vec<(String, String)>,
}

/// Where a server listens.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A host name or an IP address.
    Host(String),
    /// The directory of a Unix socket.
    Socket(PathBuf),
}

/// The modes of libpq (PostgreSQL documentation, "SSL Support").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Without TLS.
    Disable,
    /// Without TLS; this driver never tries it with.
    Allow,
    /// With TLS, or without.
    Prefer,
    /// With TLS, whoever answers.
    Require,
    /// With TLS, and a certificate of an authority that is trusted.
    VerifyCa,
    /// With TLS, and a certificate for this very host.
    VerifyFull,
}

impl DatabaseUrl {
    /// Reads a URL that was checked before; `None` where it is not sound.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        read(text).ok()
    }

    /// Whether nothing leaves this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.place {
            Place::Socket(_) => true,
            Place::Host(host) => is_this_machine(host),
        }
    }
}

/// Everything that is wrong with a URL.
#[derive(Debug)]
pub(super) struct Unsound {
    pub(super) first: Misfit,
    pub(super) more: Vec<Misfit>,
}

impl From<Misfit> for Unsound {
    fn from(first: Misfit) -> Self {
        Self { first, more: Vec::new() }
    }
}

/// Reads a URL, or tells everything that is wrong with it.
pub(super) fn read(text: &str) -> Result<DatabaseUrl, Unsound> {
    let parts = parts(text)?;
    let mut given = Given::default();
    for (key, part) in [
        (Key::Host, Some(parts.host).filter(|host| !host.is_empty())),
        (Key::Port, parts.port),
        (Key::User, parts.user),
        (Key::Password, parts.password),
        (Key::Database, Some(parts.path).filter(|path| !path.is_empty())),
    ] {
        if let Some(part) = part {
            given.add(key, part);
        }
    }
    given.add_parameters(parts.query);
    checked(given)
}

fn parts(text: &str) -> Result<Parts<'_>, Misfit> {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let Some(rest) = rest else {
        let remedy = "write it as postgres://user:password@host:5432/database";
        return Err(Misfit::new("is not a PostgreSQL URL", remedy));
    };
    let parts = authority::split(rest)?;
    if parts.path.contains('/') {
        let remedy = "name one database; write %2F for a / in its name";
        return Err(Misfit::new("has a second / in its path", remedy));
    }
    Ok(parts)
}

/// Reads everything before it gives up, so that every fault is told at once.
fn checked(mut given: Given) -> Result<DatabaseUrl, Unsound> {
    given.let_a_socket_replace_the_host();
    let (host, address) = (given.take(Key::Host, place), given.take(Key::HostAddr, address));
    let (root_cert, own, key) =
        (given.take(Key::RootCert, file), given.take(Key::ClientCert, file), given.take(Key::Pem, file));
    let port = given.take(Key::Port, port);
    let user = given.take_text(Key::User);
    let password = given.take_text(Key::Password);
    let database = given.take_text(Key::Database);
    let tls_mode = given.take(Key::TlsMode, tls_mode);
    let statement_cache = given.take(Key::StatementCache, capacity);
    let application_name = given.take_text(Key::ApplicationName);
    let options = given.take_options();
    match (&host, &address) {
        (Some(_), Some(_)) => given.fault("names a host and a hostaddr", "keep one of the two"),
        (None, None) if !given.has_any(&[Key::Host, Key::HostAddr]) => given.add_fault(no_host()),
        (_, _) => {}
    }
    if given.has_any(&[Key::ClientCert]) != given.has_any(&[Key::Pem]) {
        given.fault("has one of sslcert and sslkey", "give both, or neither");
    }
    let mut faults = given.into_faults().into_iter();
    match (faults.next(), host.or(address)) {
        (Some(first), _) => Err(Unsound { first, more: faults.collect() }),
        (None, None) => Err(no_host().into()),
        (None, Some(place)) => Ok(DatabaseUrl {
            place,
            port,
            user,
            password: password.map(SecretString::from),
            database,
            tls_mode,
            root_cert,
            client_cert: own.zip(key),
            statement_cache,
            application_name,
            options,
        }),
    }
}

fn no_host() -> Misfit {
    let remedy = "write postgres://user@host/database, or ?host=/var/run/postgresql for a Unix socket";
    Misfit::new("names no host", remedy)
}

fn place(text: &str) -> Result<Place, Misfit> {
    if text.starts_with('/') {
        return Ok(Place::Socket(text.into()));
    }
    if text.contains(',') {
        return Err(authority::several_hosts());
    }
    host_name(text).map(Place::Host)
}

fn address(text: &str) -> Result<Place, Misfit> {
    let ip: Result<IpAddr, _> = text.parse();
    ip.map(|ip| Place::Host(ip.to_string()))
        .map_err(|_| Misfit::new("has a hostaddr that is no IP address", "write one, or use host for a name"))
}

fn tls_mode(text: &str) -> Result<TlsMode, Misfit> {
    let mode = TLS_MODES.iter().find(|(word, _)| *word == text).map(|(_, mode)| *mode);
    mode.ok_or_else(|| {
        let words = TLS_MODES.map(|(word, _)| word).join(", ");
        Misfit::new("has an sslmode that there is not", format!("write one of {words}"))
    })
}

fn capacity(text: &str) -> Result<usize, Misfit> {
    text.parse().map_err(|_| {
        let problem = "has a statement-cache-capacity that is no whole number";
        Misfit::new(problem, "write how many statements a connection keeps prepared, as in 100")
    })
}

/// A file that the driver will read; a path may be a mistyped secret, so it is not quoted.
fn file(path: &str) -> Result<PathBuf, Misfit> {
    if path == "system" {
        let remedy = "leave sslrootcert out: public authorities are trusted without it";
        return Err(Misfit::new("says sslrootcert=system, which this driver does not know", remedy));
    }
    match plain_file::certificates(path.as_ref()) {
        Ok(_) => Ok(path.into()),
        Err(error) => Err(Misfit::new(
            format!("names a certificate or key (sslrootcert, sslcert, sslkey) that cannot be read: {error}"),
            "name PEM files that the user tenantd runs as may read",
        )),
    }
}
