//! Tenant hosts and the patterns that allow them.
//!
//! The rule: a [`Host`] is lower-case letter-digit-hyphen labels and nothing
//! else, so that one text means one host to Postgres, to DNS and to TLS. The
//! same rules stand as constraints in `migrations/`; a test keeps them equal.

use std::fmt;

/// The host name of a Qlik Cloud tenant, such as `acme42.us.qlikcloud.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(String);

/// Why a text is no tenant host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// More than 253 bytes.
    #[error("a host has at most 253 bytes")]
    TooLong,
    /// A label is empty, over 63 bytes, or holds something else than `a-z 0-9 -`.
    #[error(
        "a host is lower-case letters, digits and inner hyphens in labels of 1 to 63, joined by dots: no scheme, port, path, space, upper case, wildcard or trailing dot"
    )]
    BadLabel,
    /// Fewer than three labels.
    #[error("a tenant host has at least three labels, as in acme.us.qlikcloud.com")]
    TooFewLabels,
    /// The last label is a number, decimal or `0x…`, as in an IP address (WHATWG URL
    /// standard, "ends in a number checker").
    #[error("a tenant host is a name, not an IP address")]
    IpAddress,
    /// A label starts with `xn--`.
    #[error("internationalised (xn--) hosts are not Qlik Cloud tenants")]
    Internationalised,
}

impl Host {
    /// Longest host name in bytes (RFC 1035, section 2.3.4, less the root).
    pub const MAX_BYTES: usize = 253;

    /// Checks a text against the rules of a tenant host.
    ///
    /// # Errors
    ///
    /// [`InvalidHost`], the first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidHost::TooLong);
        }
        let labels: Vec<&str> = text.split('.').collect();
        if !labels.iter().all(|label| is_label(label)) {
            return Err(InvalidHost::BadLabel);
        }
        if labels.len() < 3 {
            return Err(InvalidHost::TooFewLabels);
        }
        if labels.last().is_some_and(|last| is_number(last)) {
            return Err(InvalidHost::IpAddress);
        }
        if labels.iter().any(|label| label.starts_with("xn--")) {
            return Err(InvalidHost::Internationalised);
        }
        Ok(Self(text.to_owned()))
    }

    /// The host as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything after the leftmost label.
    fn parent(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, parent)| parent)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether a URL parser takes a last label for a part of an IPv4 address: digits,
/// or `0x` and any number of hexadecimal digits.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// One entry of a region's `hosts`: an exact host, or `*` as the whole leftmost
/// label, which matches exactly one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this host.
    Exact(Host),
    /// One label, then this.
    AnyLabelOf(String),
}

impl HostPattern {
    /// Reads a pattern as the configuration writes it.
    ///
    /// # Errors
    ///
    /// [`InvalidHost`], as for the host that would result if `*` were a letter.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        match text.strip_prefix("*.") {
            // A wildcard must leave two labels: `*.com` would allow the world.
            Some(parent) => Host::parse(&format!("a.{parent}")).map(|_| Self::AnyLabelOf(parent.to_owned())),
            None => Host::parse(text).map(Self::Exact),
        }
    }

    /// Whether the pattern allows this host.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(exact) => exact == host,
            Self::AnyLabelOf(parent) => host.parent() == parent,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::AnyLabelOf(parent) => write!(f, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_tenant_hosts_are_hosts() {
        let long = format!("{}.us.qlikcloud.com", "a".repeat(64));
        let huge = format!("{}.qlikcloud.com", vec!["abcdefgh"; 30].join("."));
        for (text, expected) in [
            ("https://acme.us.qlikcloud.com", InvalidHost::BadLabel),
            ("acme.us.qlikcloud.com:443", InvalidHost::BadLabel),
            ("acme.us.qlikcloud.com/", InvalidHost::BadLabel),
            ("acme us.qlikcloud.com", InvalidHost::BadLabel),
            ("Acme.us.qlikcloud.com", InvalidHost::BadLabel),
            ("*.us.qlikcloud.com", InvalidHost::BadLabel),
            ("acme.us.qlikcloud.com.", InvalidHost::BadLabel),
            ("-acme.us.qlikcloud.com", InvalidHost::BadLabel),
            ("acme-.us.qlikcloud.com", InvalidHost::BadLabel),
            ("münchen.us.qlikcloud.com", InvalidHost::BadLabel),
            ("acme..qlikcloud.com", InvalidHost::BadLabel),
            ("", InvalidHost::BadLabel),
            (long.as_str(), InvalidHost::BadLabel),
            (huge.as_str(), InvalidHost::TooLong),
            ("qlikcloud.com", InvalidHost::TooFewLabels),
            ("10.0.0.1", InvalidHost::IpAddress),
            ("1.2.3.0x7f", InvalidHost::IpAddress),
            ("acme.us.0x", InvalidHost::IpAddress),
            ("xn--mnchen-3ya.us.qlikcloud.com", InvalidHost::Internationalised),
        ] {
            assert_eq!(Host::parse(text), Err(expected), "{text}");
        }
        assert!(Host::parse("acme-42.us.qlikcloud.com").is_ok());
        assert!(Host::parse("acme.us.0xyz").is_ok(), "not hexadecimal, so no number");
    }

    #[test]
    fn a_wildcard_matches_exactly_one_label() {
        let pattern = HostPattern::parse("*.us.qlikcloud.com").unwrap();
        let host = |text| Host::parse(text).unwrap();

        assert!(pattern.matches(&host("acme.us.qlikcloud.com")));
        assert!(!pattern.matches(&host("a.acme.us.qlikcloud.com")));
        assert!(!pattern.matches(&host("us.qlikcloud.com")));
        assert!(!pattern.matches(&host("acme.eu.qlikcloud.com")));
        assert!(!pattern.matches(&host("acme.us.qlikcloud.com.evil.example")));
    }

    #[test]
    fn a_wildcard_never_covers_a_whole_top_level_domain() {
        assert!(HostPattern::parse("*.com").is_err());
        assert!(HostPattern::parse("*").is_err());
        assert!(HostPattern::parse("acme.*.qlikcloud.com").is_err());
    }
}
