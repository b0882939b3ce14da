//! A URL that may hold a password, split into its parts (RFC 3986, section 3).
//!
//! The rule: **what two readers could split differently is refused**. One of them could
//! take a part of the password for the host, and show it. No message here quotes anything
//! of the URL.

use std::net::{IpAddr, Ipv6Addr};

use super::misfit::Misfit;
use crate::domain::text::{is_hidden, named};

/// How to write the characters that split a URL.
const ESCAPES: &str =
    "in user and password write %25 for %, %2F for /, %3A for :, %3F for ?, %23 for #, %40 for @";

/// The parts of a URL as they are written, still percent-encoded.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    /// Empty where there is none.
    pub(super) host: &'a str,
    pub(super) port: Option<&'a str>,
    /// Without its first slash.
    pub(super) path: &'a str,
    /// Without its question mark.
    pub(super) query: &'a str,
}

/// Splits what follows `scheme://`.
pub(super) fn split(rest: &str) -> Result<Parts<'_>, Misfit> {
    refuse_what_no_url_holds(rest)?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if tail.contains('@') {
        let problem = "has an @ behind a / or a ?, so that its password ends too early";
        return Err(Misfit::new(problem, ESCAPES));
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let path = path.strip_prefix('/').unwrap_or(path);
    let (user_info, address) = match authority.split_once('@') {
        None => (None, authority),
        Some((_, rest)) if rest.contains('@') => {
            return Err(Misfit::new("has more than one @ before its host", ESCAPES));
        }
        Some((user_info, address)) => (Some(user_info), address),
    };
    let (user, password) = match user_info.map(|it| it.split_once(':').ok_or(it)) {
        None => (None, None),
        Some(Err(user)) => (Some(user), None),
        Some(Ok((user, password))) => (Some(user), Some(password)),
    };
    refuse_empty(user, "user", "write one, or leave out the @")?;
    refuse_empty(password, "password", "write one, or leave out the : before the @")?;
    let (host, port) = host_and_port(address)?;
    Ok(Parts { user, password, host, port, path, query })
}

fn refuse_what_no_url_holds(rest: &str) -> Result<(), Misfit> {
    if let Some(c) = rest.chars().find(|c| is_hidden(*c) || c.is_whitespace()) {
        let remedy = "remove it; write %20 for a blank that is meant";
        return Err(Misfit::new(format!("holds {}", named(c)), remedy));
    }
    if rest.contains('#') {
        return Err(Misfit::new("has a #, which ends a URL", ESCAPES));
    }
    let is_escape = |after: &str| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !rest.split('%').skip(1).all(is_escape) {
        return Err(Misfit::new("has a % that two hexadecimal digits do not follow", ESCAPES));
    }
    Ok(())
}

fn refuse_empty(part: Option<&str>, name: &str, remedy: &str) -> Result<(), Misfit> {
    match part {
        Some("") => Err(Misfit::new(format!("has an empty {name}"), remedy)),
        Some(_) | None => Ok(()),
    }
}

fn host_and_port(address: &str) -> Result<(&str, Option<&str>), Misfit> {
    if address.contains(',') {
        return Err(several_hosts());
    }
    let end_of_ip = address.rfind(']').map_or(0, |at| at + 1);
    match address[end_of_ip..].split_once(':') {
        None => Ok((address, None)),
        Some((_, "")) => {
            Err(Misfit::new("has a : and no port behind it", "write the port, or leave out the :"))
        }
        Some((_, port)) => Ok((&address[..address.len() - port.len() - 1], Some(port))),
    }
}

/// The fault of a list of hosts.
pub(super) fn several_hosts() -> Misfit {
    let remedy = "name one: the driver knows no list; for a failover name what follows the primary";
    Misfit::new("names several hosts", remedy)
}

/// The text behind the percent-encoding of a part.
pub(super) fn decoded(part: &str) -> Result<String, Misfit> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut pieces = part.split('%');
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        // `split` has seen to it that two hexadecimal digits stand here.
        let (digits, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        bytes.push(u8::from_str_radix(digits, 16).unwrap_or(b'%'));
        bytes.extend(rest.bytes());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Misfit::new("holds escapes that are not UTF-8", "encode the bytes of UTF-8"))?;
    if text.contains('\0') {
        return Err(Misfit::new("holds a NUL (%00)", "remove it"));
    }
    Ok(text)
}

pub(super) fn port(text: &str) -> Result<u16, Misfit> {
    let number = text.parse().ok().filter(|number| *number > 0 && text.bytes().all(|b| b.is_ascii_digit()));
    number.ok_or_else(|| {
        let remedy = format!("write a port from 1 to 65535; {ESCAPES}");
        Misfit::new("has a port that is no such number", remedy)
    })
}

/// A host name or an IP address; IPv6 in a URL stands in brackets, which are taken off.
pub(super) fn host_name(text: &str) -> Result<String, Misfit> {
    let remedy = "write a host name of letters, digits, dots and hyphens, or an IP address, IPv6 in brackets";
    let misfit = || Misfit::new("has a host that is none", remedy);
    if let Some(ip) = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        return ip.parse::<Ipv6Addr>().map(|ip| ip.to_string()).map_err(|_| misfit());
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.split('.').all(is_label) { Ok(text.to_owned()) } else { Err(misfit()) }
}

/// Whether a host is this machine, whatever else it may be called.
pub(super) fn is_this_machine(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}
