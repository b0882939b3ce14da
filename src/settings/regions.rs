//! `[[regions]]`: which hosts may be talked to, and as whom.
//!
//! The rule: a host pattern belongs to one region only. A credential sent to a
//! host of another region would be shown to whoever answers there.

use std::collections::HashMap;

use config::Value;
use secrecy::SecretString;

use super::checked::Region;
use super::misfit::{Misfit, quoted};
use super::parse::{filled, list, name};
use super::reader::{Read, Reader};
use crate::domain::host::HostPattern;
use crate::domain::ids::RegionName;
use crate::domain::secret::RegionCredential;
use crate::domain::text::named;

/// All regions, in the order of the file; at least one.
pub(super) fn regions(from: &mut Reader<'_>) -> Read<Vec<Region>> {
    each(from, region)
}

/// Every host pattern with its region, without a look at any credential.
pub(super) fn hosts(from: &mut Reader<'_>) -> Read<Vec<(HostPattern, RegionName)>> {
    let regions = each(from, name_and_hosts)?;
    let beside = |(name, hosts): (RegionName, Vec<HostPattern>)| {
        hosts.into_iter().map(move |host| (host, name.clone())).collect::<Vec<_>>()
    };
    Ok(regions.into_iter().flat_map(beside).collect())
}

/// The host patterns that can be read, whatever is wrong with the others or with their regions; of one that
/// was written as an address, its host.
pub(super) fn readable_hosts(from: &Reader<'_>) -> Vec<(HostPattern, RegionName)> {
    let of = |index: usize| {
        let region = from.peek(&format!("regions[{index}].name"), name).unwrap_or_default();
        let texts = from.peek(&format!("regions[{index}].hosts"), list).unwrap_or_default();
        let hosts: Vec<_> = texts.iter().filter_map(|text| HostPattern::parse(host_of(text)).ok()).collect();
        hosts.into_iter().map(move |host| (host, RegionName::new(region.clone())))
    };
    (0..from.tables("regions")).flat_map(of).collect()
}

fn host_of(text: &str) -> &str {
    let behind_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    behind_scheme.split(['/', ':']).next().unwrap_or_default()
}

fn each<T>(from: &mut Reader<'_>, read: fn(&mut Reader<'_>, &str) -> Read<T>) -> Read<Vec<T>> {
    let count = from.tables("regions");
    if count == 0 {
        let remedy = "add a [[regions]] table with name, hosts, client_id and client_secret_file to the file of --config";
        return Err(from.fault(
            "regions",
            "is not set, and without a region no tenant can be reached",
            remedy,
        ));
    }
    let all: Vec<_> = (0..count).map(|index| read(from, &format!("regions[{index}]"))).collect();
    refuse_repeated_names(from, count);
    refuse_repeated_hosts(from, count);
    all.into_iter().collect()
}

fn name_and_hosts(from: &mut Reader<'_>, at: &str) -> Read<(RegionName, Vec<HostPattern>)> {
    let name = from.required(&format!("{at}.name"), name);
    let hosts = from.required(&format!("{at}.hosts"), host_patterns);
    Ok((RegionName::new(name?), hosts?))
}

fn region(from: &mut Reader<'_>, at: &str) -> Read<Region> {
    let named = name_and_hosts(from, at);
    let client_id = from.required(&format!("{at}.client_id"), client_id);
    let secret = client_secret(from, &format!("{at}.client_secret"));
    let (name, hosts) = named?;
    Ok(Region { name, hosts, credential: RegionCredential::new(client_id?, secret?) })
}

fn client_id(value: &Value) -> Result<String, Misfit> {
    let text = filled(value)?;
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        None => Ok(text),
        Some(c) => Err(Misfit::new(format!("holds {}", named(c)), "remove it; no client id has one")),
    }
}

/// Both halves of a credential are of printable ASCII (RFC 6749, appendix A).
fn client_secret(from: &mut Reader<'_>, key: &str) -> Read<SecretString> {
    let given = from.required_secret(key)?;
    if given.text().is_ascii() {
        return Ok(given.secret);
    }
    let problem = "holds a character outside of ASCII, which no client secret has";
    Err(given.fault(from, &Misfit::new(problem, "copy it anew, without quotes around it")))
}

fn host_patterns(value: &Value) -> Result<Vec<HostPattern>, Misfit> {
    let remedy = "write an exact host, or * for the whole leftmost label, as in \"*.us.qlikcloud.com\"";
    let patterns = list(value)?;
    if patterns.is_empty() {
        return Err(Misfit::new("is empty", remedy));
    }
    let (mut parsed, mut wrong) = (Vec::new(), Vec::new());
    for text in &patterns {
        match HostPattern::parse(text) {
            Ok(pattern) => parsed.push(pattern),
            Err(error) => wrong.push(format!("{}, but {error}", quoted(text))),
        }
    }
    if wrong.is_empty() {
        return Ok(parsed);
    }
    Err(Misfit::new(format!("holds {}", wrong.join("; and ")), remedy))
}

fn refuse_repeated_names(from: &mut Reader<'_>, count: usize) {
    let mut first = HashMap::new();
    for index in 0..count {
        let key = format!("regions[{index}].name");
        let Some(name) = from.peek(&key, name) else { continue };
        if let Some(other) = first.get(&name) {
            from.fault(&key, format!("is {name:?}, and so is {other}"), "give every region its own name");
        } else {
            first.insert(name, key);
        }
    }
}

fn refuse_repeated_hosts(from: &mut Reader<'_>, count: usize) {
    let mut first = HashMap::new();
    for index in 0..count {
        let key = format!("regions[{index}].hosts");
        for pattern in from.peek(&key, host_patterns).unwrap_or_default() {
            if let Some(other) = first.get(&pattern) {
                from.fault(
                    &key,
                    format!("holds {pattern}, which is in {other} already"),
                    "keep it where its credential is the right one",
                );
            } else {
                first.insert(pattern, key.clone());
            }
        }
    }
}
