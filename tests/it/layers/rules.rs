//! The rules themselves: one table of directions, and a few words that some rooms may not say.

use super::paths::{paths_in, shipped_code};

/// What the surfaces for people put together.
const BELOW_CLI: [&str; 17] = [
    "answers",
    "api",
    "app",
    "demo",
    "domain",
    "engine",
    "http",
    "page",
    "ports",
    "postgres",
    "qlik",
    "settings",
    "simulator",
    "system",
    "telemetry",
    "vault",
    "visits",
];

/// Each room, and the rooms it may name besides itself.
const MAY_NAME: [(&str, &[&str]); 19] = [
    ("lib", &[]),
    ("main", &["cli"]),
    ("cli", &BELOW_CLI),
    ("http", &["telemetry"]),
    ("api", &["answers", "domain", "http", "postgres", "telemetry"]),
    ("page", &["answers", "api", "domain", "http", "ports", "postgres"]),
    ("answers", &["domain", "postgres"]),
    ("demo", &BELOW_CLI),
    (
        "app",
        &[
            "domain",
            "engine",
            "ports",
            "postgres",
            "qlik",
            "settings",
            "system",
            "telemetry",
            "vault",
            "visits",
        ],
    ),
    ("visits", &["domain", "engine", "ports", "postgres", "telemetry"]),
    ("engine", &["domain", "ports", "postgres", "telemetry", "vault"]),
    ("postgres", &["domain", "ports", "telemetry"]),
    ("qlik", &["domain", "ports", "telemetry"]),
    ("vault", &["domain", "ports"]),
    ("settings", &["domain", "telemetry"]),
    ("simulator", &["domain", "ports"]),
    ("telemetry", &["domain"]),
    ("ports", &["domain"]),
    ("system", &["ports"]),
];

/// What the pure core may not touch: the outside world.
const NOT_IN_DOMAIN: [&str; 7] =
    ["tokio", "sqlx", "reqwest", "std::fs", "std::net", "std::time::Instant", "std::time::SystemTime"];

/// What sends statements past the limit that each has (`postgres/connections/link.rs`), and who may.
const UNLIMITED: [&str; 4] = ["PgConnection", "PgPool", "PgPoolOptions", "PgListener"];
const MAY_SEND: [&str; 4] = [
    "postgres/connections/link.rs",
    "postgres/migrate.rs",
    "postgres/work/listener.rs",
    // It only hears.
    "cli/tenant/wait.rs",
];

const UNFINISHED: [&str; 4] = ["TODO", "FIXME", "todo!", "unimplemented!"];

/// Everything wrong with one file; `path` is relative to `src/`.
pub(super) fn faults_of(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{path}: does not begin with `//!`, which says what it is for"));
    }
    for word in UNFINISHED.into_iter().filter(|word| text.contains(word)) {
        faults.push(format!("{path}: is unfinished ({word})"));
    }
    if path.ends_with("tests.rs") || path.contains("/tests/") {
        return faults;
    }
    let room = path.split(['/', '.']).next().unwrap_or_default();
    let paths = paths_in(&shipped_code(text));
    faults.extend(directions(path, room, &paths));
    faults.extend(words(path, room, &paths));
    faults
}

fn directions(path: &str, room: &str, paths: &[Vec<String>]) -> Vec<String> {
    let allowed = match MAY_NAME.iter().find(|(name, _)| *name == room) {
        Some((_, allowed)) => *allowed,
        None if room == "domain" => &[],
        None => return vec![format!("{path}: {room} has no line in the table of tests/it/layers/rules.rs")],
    };
    let mut named: Vec<&str> = paths.iter().filter_map(|found| room_named(path, found)).collect();
    named.sort_unstable();
    named.dedup();
    named
        .into_iter()
        .filter(|other| *other != room && !allowed.contains(other))
        .map(|other| format!("{path}: {room} must not name {other}"))
        .collect()
}

/// The room that a path leads to, where it leads to one: through `crate`, through
/// the library's name, or up through as many `super`s as the file is deep.
fn room_named<'a>(path: &str, found: &'a [String]) -> Option<&'a str> {
    let ups = found.iter().take_while(|segment| *segment == "super").count();
    let next = match found.first()?.as_str() {
        "crate" | "tenantd" => found.get(1)?,
        "super" if ups == depth(path) => found.get(ups)?,
        _ => return None,
    };
    let is_room = next == "domain" || MAY_NAME.iter().any(|(name, _)| name == next);
    is_room.then_some(next.as_str())
}

/// How many modules deep a file is: `app.rs` and `vault/mod.rs` are 1.
fn depth(path: &str) -> usize {
    let segments = path.split('/').count();
    if path.ends_with("/mod.rs") { segments - 1 } else { segments }
}

fn words(path: &str, room: &str, paths: &[Vec<String>]) -> Vec<String> {
    let names = |words: &str| {
        let words: Vec<&str> = words.split("::").collect();
        paths.iter().any(|found| found.iter().map(String::as_str).take(words.len()).eq(words.iter().copied()))
    };
    let mut faults = Vec::new();
    if room == "domain" {
        let touched = NOT_IN_DOMAIN.into_iter().filter(|words| names(words));
        faults.extend(touched.map(|words| format!("{path}: domain must not touch {words}")));
    }
    if room == "engine" && names("reqwest") {
        faults.push(format!("{path}: engine must not know reqwest"));
    }
    let sends = |words: &&str| paths.iter().flatten().any(|segment| segment == words);
    if !MAY_SEND.contains(&path) {
        let unlimited = UNLIMITED.into_iter().filter(sends);
        faults
            .extend(unlimited.map(|words| format!("{path}: {words} would send statements without a limit")));
    }
    if !["main", "cli"].contains(&room) && names("anyhow") {
        faults.push(format!("{path}: anyhow is for main and cli; give the error a type"));
    }
    faults
}
