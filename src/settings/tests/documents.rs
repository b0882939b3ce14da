//! The files and pages that explain the settings say what the code does.

use std::collections::{BTreeMap, BTreeSet};

use super::super::layers::DEFAULTS;
use super::super::reader::Reader;
use super::super::sections;
use super::{LEAST, Scratch, layered};

const EXAMPLE: &str = include_str!("../../../config/production.example.toml");
const PAGE: &str = include_str!("../../../docs/configuration.md");

/// Every key that the code reads, without the indices of lists.
fn keys_read() -> BTreeSet<String> {
    let layered = layered(LEAST, &[]);
    let mut reader = Reader::new(&layered.tree);
    sections::settings(&mut reader).unwrap();
    reader.known().iter().map(|key| key.replace("[0]", "")).collect()
}

/// Every key that `config/default.toml` sets or shows as a comment.
fn keys_explained() -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in DEFAULTS.lines() {
        let line = line.trim_start_matches("# ");
        if line.starts_with('[') && line.ends_with(']') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

/// The rows of the page's tables: key to its default and its variable.
fn keys_tabled() -> BTreeMap<String, (String, String)> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    let cells =
        rows.map(|row| row.split(" | ").map(|it| it.trim_matches(['|', ' ', '`'])).collect::<Vec<_>>());
    cells.map(|it| (it[0].to_owned(), (it[2].to_owned(), it[4].to_owned()))).collect()
}

#[test]
fn the_defaults_explain_every_key_and_no_other() {
    assert_eq!(keys_explained(), keys_read());
}

#[test]
fn the_page_has_every_key_with_its_default_and_its_variable() {
    let rows = layered("", &[]).rows();
    let defaults: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key, row.value)).collect();
    let tabled = keys_tabled();

    assert_eq!(tabled.keys().cloned().collect::<BTreeSet<_>>(), keys_read());
    for (key, (default, variable)) in tabled {
        let name = format!("TENANTD_{}", key.to_uppercase().replace('.', "__"));
        let expected = if key.starts_with("regions.") { "–" } else { &name };
        assert_eq!(variable, expected, "{key}");
        assert_eq!(&default, defaults.get(&key).map_or("–", String::as_str), "{key}");
    }
}

#[test]
fn the_production_example_runs_without_a_warning() {
    let scratch = Scratch::new("example");
    for (name, content) in [
        ("database-url", "postgres://tenantd:s3cret@db.internal/tenants?sslmode=verify-full\n"),
        ("qlik-us", "us-secret\n"),
        ("qlik-eu", "eu-secret\n"),
        ("http-token", "token-of-prometheus\n"),
    ] {
        scratch.private_file(name, content);
    }
    let directory = scratch.path().to_str().unwrap();

    let toml = EXAMPLE.replace("/run/credentials/tenantd.service", directory);
    let (settings, warnings) = layered(&toml, &[]).settings().unwrap();

    assert_eq!(warnings, []);
    assert_eq!((settings.regions.len(), settings.profiles.len()), (2, 2));
    assert_eq!(settings.regions[1].credential.expose_to_token_endpoint(), "eu-secret");
    assert!(settings.http.looks.is_some());
}
