//! What is deployed together fits together: the example configuration, the unit
//! of systemd and the containers name the same secrets.

use std::collections::BTreeSet;

const EXAMPLE: &str = include_str!("../../config/production.example.toml");
const UNIT: &str = include_str!("../../deploy/systemd/tenantd.service");
const COMPOSE: &str = include_str!("../../deploy/docker/compose.yaml");

/// Where the example configuration finds its secrets.
const CREDENTIALS: &str = "/run/credentials/tenantd.service/";

/// The rest of each line after `start`, up to `end`; comments are left out.
fn named<'a>(text: &'a str, start: &str, end: char) -> BTreeSet<&'a str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let rests = lines.filter_map(|line| line.split_once(start).map(|(_, rest)| rest));
    rests.filter_map(|rest| rest.split(end).next()).collect()
}

#[test]
fn every_secret_of_the_example_is_handed_over_by_systemd_and_by_compose() {
    let wanted = named(EXAMPLE, CREDENTIALS, '"');

    assert_eq!(wanted, BTreeSet::from(["database-url", "http-token", "keyring", "qlik-eu", "qlik-us"]));
    assert_eq!(named(UNIT, "LoadCredential=", ':'), wanted);
    assert_eq!(named(COMPOSE, CREDENTIALS, '\n'), wanted);
}

#[test]
fn every_secret_of_the_unit_lies_under_its_own_name() {
    for name in named(UNIT, "LoadCredential=", ':') {
        assert!(UNIT.contains(&format!("\nLoadCredential={name}:/etc/tenantd/secrets/{name}\n")), "{name}");
    }
    for name in named(COMPOSE, "- source: ", '\n') {
        assert!(COMPOSE.contains(&format!("  {name}:\n    file: ./secrets/{name}\n")), "{name}");
    }
}
