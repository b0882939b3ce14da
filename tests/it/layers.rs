//! Who may name whom: the directions of the house, kept by a test.
//!
//! `main -> cli, http -> app -> engine -> {postgres, vault, ports, domain}`;
//! adapters never see each other, and `domain` sees nothing of ours. Only what
//! ships is looked at: what stands under `#[cfg(test)]` may name anything.

mod circles;
mod paths;
mod rules;

use std::path::{Path, PathBuf};

use circles::circles_in;
use rules::faults_of;

/// Every Rust file of the program, relative to `src/`.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn every_file_keeps_the_directions_of_the_house() {
    let sources = sources();

    let faults: Vec<String> = sources.iter().flat_map(|(path, text)| faults_of(path, text)).collect();

    assert!(sources.len() > 20, "only {} files were found", sources.len());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_two_files_of_a_room_name_each_other_in_a_loop() {
    const ROOMS: [&str; 16] = [
        "answers",
        "api",
        "app",
        "cli",
        "demo",
        "domain",
        "http",
        "page",
        "ports",
        "qlik",
        "settings",
        "simulator",
        "system",
        "telemetry",
        "vault",
        "visits",
    ];
    let sources = sources();

    let circles: Vec<String> =
        ROOMS.iter().flat_map(|room| circles_in(room, &sources)).map(|way| way.join(" -> ")).collect();

    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn a_breach_of_any_rule_is_found() {
    for (path, text, part) in [
        ("domain/phase.rs", "//! x\nuse crate::ports::Clock;", "domain must not name ports"),
        ("domain/phase.rs", "//! x\nfn f() { crate::engine::run(); }", "domain must not name engine"),
        ("domain/phase.rs", "//! x\nuse super::super::qlik::Token;", "domain must not name qlik"),
        ("domain/phase.rs", "//! x\nuse std::{fmt, time::{Duration, Instant}};", "std::time::Instant"),
        ("domain/phase.rs", "//! x\nfn f() { std::fs::read(p); }", "std::fs"),
        ("domain/phase.rs", "//! x\nuse ::tokio::time::sleep;", "tokio"),
        ("domain/phase.rs", "//! x\n#[derive(sqlx::Type)] struct A;", "sqlx"),
        ("qlik/token.rs", "//! x\nuse crate::{domain::ids, postgres::rows};", "qlik must not name postgres"),
        ("vault/jwe.rs", "//! x\nuse crate::qlik::Token;", "vault must not name qlik"),
        ("postgres/rows.rs", "//! x\nuse crate::vault::Keyring;", "postgres must not name vault"),
        ("engine/mod.rs", "//! x\nuse super::qlik::Token;", "engine must not name qlik"),
        ("engine/step.rs", "//! x\nfn f(e: reqwest::Error) {}", "reqwest"),
        ("settings/raw.rs", "//! x\nuse crate::ports::Clock;", "settings must not name ports"),
        ("simulator/world.rs", "//! x\nuse crate::postgres;", "simulator must not name postgres"),
        ("demo/tour.rs", "//! x\nuse crate::cli::Args;", "demo must not name cli"),
        ("main.rs", "//! x\nuse tenantd::engine;", "main must not name engine"),
        ("newroom/mod.rs", "//! x\n", "has no line in the table"),
        ("engine/step.rs", "//! x\nfn f() -> anyhow::Result<()> {}", "anyhow"),
        ("engine/step.rs", "fn f() {}", "`//!`"),
        ("engine/step.rs", "//! x\n// TODO: later", "unfinished"),
        ("engine/step.rs", "//! x\nfn f() { todo!() }", "unfinished"),
        (
            "engine/step.rs",
            "//! x\n#[cfg(test)]\nmod tests;\nuse crate::cli::Args;",
            "engine must not name cli",
        ),
    ] {
        let faults = faults_of(path, text);

        assert!(faults.len() == 1 && faults[0].contains(part), "{path}: {text:?} gave {faults:?}");
    }
}

#[test]
fn what_is_allowed_is_not_a_fault() {
    for (path, text) in [
        ("domain/phase.rs", "//! x\nuse super::ids::Hint;\nuse std::time::Duration;"),
        (
            "domain/phase.rs",
            "//! tokio, crate::engine and std::fs in a comment\nconst A: &str = \"crate::cli\";",
        ),
        ("domain/phase.rs", "//! x\n#[cfg(test)]\nmod tests { use crate::cli::A; fn f() { \"}\"; } }"),
        ("domain/phase/tests.rs", "//! x\nuse crate::cli::A;"),
        ("qlik/tests/server.rs", "//! x\nuse crate::simulator::World;"),
        ("engine/step.rs", "//! x\nuse crate::{domain::ids::{self, Hint}, ports::Clock, vault, postgres};"),
        ("cli/run.rs", "//! x\nuse crate::app; fn f() -> anyhow::Result<()> {}"),
        ("app.rs", "//! x\nuse crate::{engine, postgres, qlik, settings, vault};"),
    ] {
        let faults = faults_of(path, text);

        assert!(faults.is_empty(), "{path}: {text:?} gave {faults:?}");
    }
}
