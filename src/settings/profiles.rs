//! `[profiles.NAME]`: what the clients of tenants have in common.
//!
//! The rule: Qlik's limits (`domain::profile`) are checked here, so that a slip
//! is a message at start and not a 400 for every tenant.

use std::collections::{BTreeMap, HashSet};

use config::Value;

use super::misfit::{Misfit, quoted};
use super::parse::{NAME_RULE, filled, is_name, list, text};
use super::reader::{Read, Reader};
use crate::domain::ids::ProfileName;
use crate::domain::mark::Mark;
use crate::domain::profile::{MAX_DESCRIPTION, MAX_NAME, MAX_URI, MAX_URIS, Profile};

/// What is left of Qlik's limit when a space and our mark follow.
const MAX_OWN_DESCRIPTION: usize = MAX_DESCRIPTION - Mark::BYTES - 1;

/// All profiles; `default` is built in.
pub(super) fn profiles(from: &mut Reader<'_>) -> Read<BTreeMap<ProfileName, Profile>> {
    let names = from.names("profiles");
    let all: Vec<_> = names.into_iter().map(|name| (name, profile(from, name))).collect();
    all.into_iter().map(|(name, profile)| Ok((ProfileName::new(name), profile?))).collect()
}

fn profile(from: &mut Reader<'_>, name: &str) -> Read<Profile> {
    let at = format!("profiles.{name}");
    let client_name = from.required(&format!("{at}.client_name"), client_name);
    let description = from.required(&format!("{at}.description"), description);
    let redirect_uris = from.required(&format!("{at}.redirect_uris"), redirect_uris);
    let allowed_origins = from.required(&format!("{at}.allowed_origins"), origins);
    let scopes = from.required(&format!("{at}.scopes"), scopes);
    if !is_name(name) {
        return Err(from.fault(&at, "is no name for a profile", NAME_RULE));
    }
    Ok(Profile {
        client_name: client_name?,
        description: description?,
        redirect_uris: redirect_uris?,
        allowed_origins: allowed_origins?,
        scopes: scopes?,
    })
}

fn client_name(value: &Value) -> Result<String, Misfit> {
    at_most(filled(value)?, MAX_NAME)
}

fn description(value: &Value) -> Result<String, Misfit> {
    at_most(text(value)?, MAX_OWN_DESCRIPTION)
}

fn at_most(text: String, limit: usize) -> Result<String, Misfit> {
    match text.chars().count() {
        length if length <= limit => Ok(text),
        length => Err(Misfit::new(
            format!("has {length} characters, more than {limit}"),
            format!("shorten it by {}", length - limit),
        )),
    }
}

fn redirect_uris(value: &Value) -> Result<Vec<String>, Misfit> {
    uris(value, |_| true, "write https:// addresses; http:// is for localhost only")
}

fn origins(value: &Value) -> Result<Vec<String>, Misfit> {
    let has_no_path = |rest: &str| !rest.contains(['/', '?', '#']);
    uris(value, has_no_path, "write https:// and a host, without a path; http:// is for localhost only")
}

fn uris(value: &Value, rest_fits: impl Fn(&str) -> bool, remedy: &str) -> Result<Vec<String>, Misfit> {
    let uris = unique(list(value)?)?;
    if uris.len() > MAX_URIS {
        let problem = format!("holds {} entries, more than {MAX_URIS}", uris.len());
        return Err(Misfit::new(problem, format!("keep at most {MAX_URIS}; Qlik Cloud takes no more")));
    }
    for uri in &uris {
        if !after_scheme(uri).is_some_and(&rest_fits) {
            return Err(Misfit::new(format!("holds {}", quoted(uri)), remedy));
        }
    }
    Ok(uris)
}

/// What follows the scheme, if this is an address that Qlik takes: `https`, or
/// `http` on localhost, without user information, white space or a fragment.
fn after_scheme(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let is_safe = scheme == "https" || (scheme == "http" && host == "localhost");
    let is_plain = rest.chars().all(|c| c.is_ascii_graphic()) && !authority.contains('@');
    (is_safe && is_plain && !authority.is_empty()).then_some(rest)
}

fn scopes(value: &Value) -> Result<Vec<String>, Misfit> {
    let scopes = unique(list(value)?)?;
    let is_scope = |scope: &String| scope.chars().all(|c| c.is_ascii_graphic());
    if scopes.is_empty() || !scopes.iter().all(is_scope) {
        return Err(Misfit::new("is not a list of scopes", "name at least one, as in [\"user_default\"]"));
    }
    Ok(scopes)
}

fn unique(items: Vec<String>) -> Result<Vec<String>, Misfit> {
    let mut seen = HashSet::new();
    for item in &items {
        if item.chars().count() > MAX_URI {
            let problem = format!("holds an entry of more than {MAX_URI} characters");
            return Err(Misfit::new(problem, "shorten it; Qlik Cloud takes no more"));
        }
        if !seen.insert(item) {
            return Err(Misfit::new(format!("holds {} twice", quoted(item)), "keep it once"));
        }
    }
    Ok(items)
}
