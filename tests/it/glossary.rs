//! `docs/glossary.md` has a line for every word of a closed list, and none for any other.
//!
//! The rule: the code is asked what its words are. Where it has no list of them, the text
//! is that says them to the world: the roles' script, the view, the operator's page.

use std::collections::BTreeSet;
use std::path::Path;

use tenantd::domain::census::{Action, Class};
use tenantd::domain::drift::DriftKind;
use tenantd::domain::hints::Standing;
use tenantd::domain::machine::effect::EffectKind;
use tenantd::domain::phase::Phase;
use tenantd::domain::reason::{ParkReason, WaitReason};
use tenantd::domain::retry::RetryClass;
use tenantd::domain::rollout::{Kind, Stage};
use tenantd::domain::waiting::BlockerKind;
use tenantd::postgres::fleet::schedules::Job;
use tenantd::postgres::work::commit::DONE;
use tenantd::telemetry::metrics;

use crate::support::roles::SCRIPT;

const GLOSSARY: &str = include_str!("../../docs/glossary.md");
const HISTORY: &str = include_str!("../../docs/history.md");
const COMMANDS: &str = include_str!("../../docs/cli.md");
const SCHEMA: &str = include_str!("../../docs/schema.sql");

type Words = BTreeSet<String>;

fn words(of: &[&str]) -> Words {
    let words: Words = of.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), of.len(), "a word is there twice: {of:?}");
    words
}

/// The first columns of the table under a heading, whose meaning must not be empty.
fn table(page: &str, heading: &str) -> Words {
    let section = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading:?}"));
    let section = section.split("\n#").next().unwrap();
    let rows: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|row| row.split_once("` | ").unwrap()).collect();
    assert!(rows.iter().all(|(_, meaning)| meaning.len() > 5), "{heading}: a word without a meaning");
    words(&rows.iter().map(|(word, _)| *word).collect::<Vec<_>>())
}

#[test]
fn every_word_of_a_closed_list_is_in_the_glossary_and_no_other() {
    let outcomes = [&[DONE], &RetryClass::ALL.map(RetryClass::as_str)[..]].concat();
    for (heading, of_the_code) in [
        ("### Phases", &Phase::ALL.map(Phase::as_str)[..]),
        ("### Reasons that pass by themselves", &WaitReason::ALL.map(WaitReason::as_str)),
        ("### Reasons that wait for somebody", &ParkReason::ALL.map(ParkReason::as_str)),
        ("### Blockers", &BlockerKind::ALL.map(BlockerKind::as_str)),
        ("### Effects", &EffectKind::ALL.map(EffectKind::as_str)),
        ("### Outcomes", &outcomes),
        ("### Drift", &DriftKind::ALL.map(DriftKind::as_str)),
        ("### Standings of a secret", &Standing::ALL.map(Standing::as_str)),
        ("### Kinds of rollout", &Kind::ALL.map(Kind::as_str)),
        ("### Stages of a rollout", &Stage::ALL.map(Stage::as_str)),
        ("### Classes of a census", &Class::ALL.map(Class::as_str)),
        ("### Proposals of a census", &Action::ALL.map(Action::as_str)),
        ("### Jobs", &Job::ALL.map(Job::as_str)),
    ] {
        assert_eq!(table(GLOSSARY, heading), words(of_the_code), "{heading}");
    }
}

#[test]
fn the_glossary_has_every_role_of_the_script_that_grants_them() {
    let made = SCRIPT.split("('tenantd_").skip(1).map(|rest| rest.split('\'').next().unwrap());
    let made: Words = made.map(|rest| format!("tenantd_{rest}")).collect();

    assert_eq!(table(GLOSSARY, "### Database roles"), made);
}

#[test]
fn the_glossary_has_every_reason_that_the_view_derives() {
    let is_reason = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphabetic())
    };
    let view = SCHEMA.split("CREATE VIEW tenantd.status AS").nth(1).unwrap().split("\n\n").next().unwrap();
    let literals = view.split('\'').skip(1).step_by(2);
    let told: Words = literals.filter(is_reason).map(ToOwned::to_owned).collect();

    let derived: Words = told.difference(&words(&WaitReason::ALL.map(WaitReason::as_str))).cloned().collect();

    assert_eq!(table(GLOSSARY, "### Reasons that the view derives"), derived);
}

#[test]
fn the_lines_of_a_history_are_explained_to_the_operator_in_the_same_words() {
    let [effects, people] = ["### Effects", "### What people do"].map(|heading| table(GLOSSARY, heading));

    assert_eq!(table(HISTORY, "## What was tried"), effects.union(&people).cloned().collect());
    assert_eq!(table(HISTORY, "## What came of it"), table(GLOSSARY, "### Outcomes"));
}

#[test]
fn the_commands_page_names_every_blocker() {
    let section =
        COMMANDS.split("\n## `tenantd tenant explain`\n").nth(1).unwrap().split("\n## ").next().unwrap();

    for blocker in BlockerKind::ALL {
        assert!(section.contains(&format!("`{}`", blocker.as_str())), "{}", blocker.as_str());
    }
}

/// Whether a column of a table, or several with the same beginning, is in the schema.
fn is_column(table: &str, column: &str) -> bool {
    let section = SCHEMA.split(&format!("CREATE TABLE tenantd.{table} (")).nth(1);
    let section = section.and_then(|rest| rest.split("\n)").next()).unwrap_or_default();
    section.lines().any(|line| match column.strip_suffix('…') {
        Some(beginning) => line.trim().starts_with(beginning),
        None => line.split_whitespace().next() == Some(column),
    })
}

/// `None` where nothing here knows what the text names.
fn is_there(text: &str) -> Option<bool> {
    let is_file = text.contains('/') && !text.contains(' ');
    let first = text.split(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c))).next()?;
    if is_file {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        return Some(["src", ""].iter().any(|room| root.join(room).join(text).exists()));
    }
    if let Some(rest) = first.strip_prefix("tenantd.") {
        let name = rest.split('.').next()?;
        return Some(SCHEMA.contains(&format!("tenantd.{name}")));
    }
    if first.starts_with("tenantd_") {
        return Some(
            metrics::ALL.iter().any(|metric| metric.name == first) || SCRIPT.contains(&format!("'{first}'")),
        );
    }
    let (table, column) = text.split_once('.')?;
    SCHEMA.contains(&format!("CREATE TABLE tenantd.{table} (")).then(|| is_column(table, column))
}

#[test]
fn what_the_glossary_points_at_is_there() {
    let named: Vec<&str> = GLOSSARY.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    let known: Vec<(&str, bool)> =
        named.into_iter().filter_map(|text| is_there(text).map(|is_there| (text, is_there))).collect();

    let missing: Vec<_> = known.iter().filter(|(_, is_there)| !is_there).collect();

    assert!(known.len() > 100, "only {} were looked for", known.len());
    assert!(missing.is_empty(), "{missing:?}");
}
