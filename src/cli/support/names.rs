//! Pseudonyms, for whoever may not tell who their customers are.
//!
//! The rules: a tenant's pseudonym comes from its `tenant_id`, which is drawn by chance: it is
//! **the same in every bundle, and only whoever has the database finds the name**. What no row
//! explains is numbered. Names are looked for in every text, not only where they are expected.

use std::collections::BTreeMap;

use regex::{Captures, Regex};
use serde_json::Value;

use super::bundle::{Body, Bundle};
use crate::domain::host::{Host, HostPattern};
use crate::domain::ids::RegionName;
use crate::domain::region::RegionMap;
use crate::postgres::operator::support;

/// Whatever may be the name of a host; with its asterisk it is a pattern.
const HOST: &str = r"(?i)(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+";
/// Under which every host is somebody's.
const QLIK: &str = ".qlikcloud.com";

/// See the file's head.
#[derive(Debug)]
pub(super) struct Names {
    host: Regex,
    map: RegionMap,
    external_ids: BTreeMap<String, String>,
    hosts: BTreeMap<String, String>,
}

impl Names {
    /// Every external id and host that is told, and these ids.
    pub(super) fn found_in(
        bundle: &Bundle,
        external_ids: &[String],
        patterns: Vec<(HostPattern, RegionName)>,
    ) -> Self {
        // It is a constant, which a test builds.
        let host = Regex::new(HOST).unwrap_or_else(|error| unreachable!("{error}"));
        let map = RegionMap::new(patterns);
        let mut names = Self { host, map, external_ids: BTreeMap::new(), hosts: BTreeMap::new() };
        for external_id in external_ids {
            names.external_ids.insert(external_id.clone(), String::new());
        }
        for part in &bundle.parts {
            names.take_text(&part.about);
            match &part.body {
                Body::Json(value) => names.take_value(None, value),
                Body::Text(text) => names.take_text(text),
            }
        }
        for note in &bundle.notes {
            names.take_text(note);
        }
        names.number();
        names
    }

    pub(super) fn external_ids(&self) -> Vec<String> {
        self.external_ids.keys().cloned().collect()
    }

    pub(super) fn hosts(&self) -> Vec<String> {
        self.hosts.keys().cloned().collect()
    }

    /// Names the tenants by their ids.
    pub(super) fn learn(&mut self, known: &[support::Names]) {
        for names in known {
            let id = names.tenant_id.0.simple().to_string();
            // A text may tell of a tenant by its key alone.
            self.external_ids.insert(names.external_id.clone(), format!("tenant-{}", &id[..12]));
            self.hosts.insert(names.host.clone(), of_host(&names.host, &format!("host-{}", &id[..12])));
        }
    }

    /// The text with pseudonyms.
    pub(super) fn text(&self, text: &str) -> String {
        if let Some(pseudonym) = self.external_ids.get(text) {
            return pseudonym.clone();
        }
        let pseudonym = |found: &Captures<'_>| {
            let name = found[0].to_lowercase();
            self.hosts.get(&name).cloned().unwrap_or_else(|| found[0].to_owned())
        };
        let mut text = self.host.replace_all(text, pseudonym).into_owned();
        let mut ids: Vec<_> = self.external_ids.iter().collect();
        ids.sort_by_key(|(id, _)| std::cmp::Reverse(id.len()));
        for (id, pseudonym) in ids {
            text = with_word(&text, id, pseudonym);
        }
        text
    }

    fn take_value(&mut self, name: Option<&str>, value: &Value) {
        match value {
            Value::String(text) => match name {
                Some("external_id") => drop(self.external_ids.insert(text.clone(), String::new())),
                Some("host") => drop(self.hosts.insert(text.clone(), String::new())),
                Some(_) | None => self.take_text(text),
            },
            Value::Array(items) => items.iter().for_each(|item| self.take_value(name, item)),
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| self.take_value(Some(name), value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn take_text(&mut self, text: &str) {
        let found: Vec<String> =
            self.host.find_iter(text).map(|found| found.as_str().to_lowercase()).collect();
        for name in found {
            let is_ours = Host::parse(&name).is_ok_and(|host| self.map.allow(&host).is_some());
            if is_ours || (name.ends_with(QLIK) && !name.starts_with('*')) {
                self.hosts.insert(name, String::new());
            }
        }
    }

    /// So that each has one, whatever the database knows.
    fn number(&mut self) {
        for (number, pseudonym) in self.external_ids.values_mut().enumerate() {
            *pseudonym = format!("tenant-unknown-{}", number + 1);
        }
        for (number, (host, pseudonym)) in self.hosts.iter_mut().enumerate() {
            *pseudonym = of_host(host, &format!("host-unknown-{}", number + 1));
        }
    }
}

/// What lies under Qlik's domain still does: it tells the region.
fn of_host(host: &str, label: &str) -> String {
    match host.split_once('.') {
        Some((_, parent)) if format!(".{parent}").ends_with(QLIK) => format!("{label}.{parent}"),
        Some(_) | None => format!("{label}.invalid"),
    }
}

/// The text with another word for this one; what is part of a longer word stays.
fn with_word(text: &str, word: &str, other: &str) -> String {
    if word.is_empty() {
        return text.to_owned();
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let (mut done, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(word) {
        let (before, behind) = (&rest[..at], &rest[at + word.len()..]);
        done.push_str(before);
        let is_within =
            done.chars().next_back().is_some_and(is_part) || behind.chars().next().is_some_and(is_part);
        done.push_str(if is_within { word } else { other });
        rest = behind;
    }
    done + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::TenantId;
    use crate::system::SystemClock;

    fn names() -> Names {
        let mut bundle = Bundle::new(SystemClock::start());
        let told = json!([
            { "external_id": "acme", "host": "acme.us.qlikcloud.com", "message": "see bi.acme.example" },
            { "external_id": "gone", "message": "*.us.qlikcloud.com allows it" },
        ]);
        bundle.value("told.json", "", &told);
        bundle.note("acme.eu.qlikcloud.com", "no");
        let pattern = (HostPattern::parse("bi.acme.example").unwrap(), RegionName::new("us"));
        let mut names = Names::found_in(&bundle, &["asked".to_owned(), "acme.b".to_owned()], vec![pattern]);
        names.learn(&[support::Names {
            tenant_id: TenantId(Uuid::from_u128(0xABCD << 112)),
            external_id: "acme".to_owned(),
            host: "acme.us.qlikcloud.com".to_owned(),
        }]);
        names
    }

    #[test]
    fn a_tenant_is_named_after_its_id_and_whoever_is_unknown_by_a_number() {
        let names = names();

        for (text, told) in [
            ("acme", "tenant-abcd00000000"),
            ("ACME.us.qlikcloud.com: no", "host-abcd00000000.us.qlikcloud.com: no"),
            ("of acme's, not acme-2 or acmes", "of tenant-abcd00000000's, not acme-2 or acmes"),
            ("asked, gone", "tenant-unknown-3, tenant-unknown-4"),
            ("acme.b is not acme", "tenant-unknown-2 is not tenant-abcd00000000"),
            ("bi.acme.example", "host-unknown-3.invalid"),
            ("acme.eu.qlikcloud.com", "host-unknown-1.eu.qlikcloud.com"),
            ("*.us.qlikcloud.com", "*.us.qlikcloud.com"),
            ("docs/metrics.md 1.2.3", "docs/metrics.md 1.2.3"),
        ] {
            assert_eq!(names.text(text), told, "{text}");
        }
    }
}
