//! Which region a host belongs to, and so whether we may talk to it at all.
//!
//! The rule: **an [`AllowedHost`] is made here and nowhere else.** Every call of
//! the Qlik port takes one, so a request to a host that the configuration does
//! not allow cannot be written down.

use super::host::{Host, HostPattern};
use super::ids::RegionName;

/// A host together with the region whose credential works on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AllowedHost {
    host: Host,
    region: RegionName,
}

impl AllowedHost {
    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The region whose credential works on it.
    #[must_use]
    pub fn region(&self) -> &RegionName {
        &self.region
    }
}

/// All regions with their host patterns, in the order of the configuration.
#[derive(Debug, Clone, Default)]
pub struct RegionMap {
    entries: Vec<(HostPattern, RegionName)>,
}

impl RegionMap {
    /// A map of these patterns. Exact hosts win over wildcards, then the first.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = (HostPattern, RegionName)>) -> Self {
        let mut entries: Vec<_> = patterns.into_iter().collect();
        entries.sort_by_key(|(pattern, _)| matches!(pattern, HostPattern::AnyLabelOf(_)));
        Self { entries }
    }

    /// The host with its region, or `None` when no region allows it.
    #[must_use]
    pub fn allow(&self, host: &Host) -> Option<AllowedHost> {
        let (_, region) = self.entries.iter().find(|(pattern, _)| pattern.matches(host))?;
        Some(AllowedHost { host: host.clone(), region: region.clone() })
    }

    /// Every pattern with its region, exact hosts first.
    pub fn patterns(&self) -> impl Iterator<Item = (&HostPattern, &RegionName)> {
        self.entries.iter().map(|(pattern, region)| (pattern, region))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_host_wins_over_a_wildcard() {
        let map = RegionMap::new([
            (HostPattern::parse("*.us.qlikcloud.com").unwrap(), RegionName::new("us")),
            (HostPattern::parse("vip.us.qlikcloud.com").unwrap(), RegionName::new("vip")),
        ]);
        let region = |text| map.allow(&Host::parse(text).unwrap()).map(|a| a.region().to_string());

        assert_eq!(region("vip.us.qlikcloud.com").as_deref(), Some("vip"));
        assert_eq!(region("acme.us.qlikcloud.com").as_deref(), Some("us"));
        assert_eq!(region("acme.eu.qlikcloud.com"), None);
    }
}
