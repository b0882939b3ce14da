//! The book holds together: each page is in its contents, each link leads somewhere, each reason
//! and each alert has a page of the runbook, and what is told from the code is what the code says.
//!
//! The rule: that the commands of a page work is shown by `make book-test`, which runs them. Here
//! nothing is run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use tenantd::domain::reason::{Evidence, ParkReason, WaitReason};

/// Set by `make schema`.
const WRITE: &str = "WRITE_SCHEMA";
const GLOSSARY: &str = include_str!("../../docs/glossary.md");
const ALERTS: &str = include_str!("../../deploy/monitoring/alerts.yaml");

/// What every page of the runbook tells, in this order.
const PARTS: [&str; 5] =
    ["## What it means", "## What users notice", "## Look at", "## Do", "## It is over when"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|failure| panic!("{}: {failure}", path.display()))
}

/// Every page below `docs/`, by its path from there.
fn pages() -> BTreeMap<String, String> {
    fn below(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                below(&entry, found);
            } else if entry.extension().is_some_and(|kind| kind == "md") {
                found.push(entry);
            }
        }
    }
    let docs = root().join("docs");
    let mut found = Vec::new();
    below(&docs, &mut found);
    let name = |path: &Path| path.strip_prefix(&docs).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (name(path), read(path))).collect()
}

/// A page without what it shows as code: a link in there is none.
fn prose(page: &str) -> String {
    let mut is_code = false;
    let lines = page.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    ends.filter(|link| !link.contains("://")).map(ToOwned::to_owned).collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let written = page.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .chain(written.map(str::to_owned))
        .collect()
}

/// A path without `..` and `.`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
        plain
    })
}

/// What is wrong with a link of the page at this path.
fn misfit(page: &Path, link: &str) -> Option<String> {
    let (file, wanted) = link.split_once('#').map_or((link, None), |(file, at)| (file, Some(at)));
    let path = if file.is_empty() { page.to_path_buf() } else { plain(&page.parent()?.join(file)) };
    if !path.exists() {
        return Some(format!("{}: {link} leads nowhere", page.display()));
    }
    let wanted = wanted?;
    let is_there = path.is_file() && anchors(&read(&path)).contains(wanted);
    (!is_there).then(|| format!("{}: {link} leads to no heading", page.display()))
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let names = pages().into_keys().map(|name| format!("docs/{name}"));
    let others = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"].map(str::to_owned);
    let (mut seen, mut wrong) = (0, Vec::new());

    for path in names.chain(others).map(|name| root().join(name)) {
        for link in links(&read(&path)) {
            seen += 1;
            wrong.extend(misfit(&path, &link));
        }
    }

    assert!(seen > 300, "only {seen} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The book has only pages of its own folder, and names of pages in code are links for nobody.
#[test]
fn the_contents_name_every_page_once_and_no_other() {
    let mut pages = pages();
    let contents = pages.remove("SUMMARY.md").unwrap();
    let mut named = links(&contents);
    named.sort();

    assert_eq!(named, pages.into_keys().collect::<Vec<_>>());
}

fn reasons() -> BTreeSet<String> {
    let derived = rows("### Reasons that the view derives").into_iter().map(|(reason, _)| reason);
    let waits = WaitReason::ALL.map(|reason| reason.to_string());
    let parks = ParkReason::ALL.map(|reason| reason.to_string());
    derived.chain(waits).chain(parks).collect()
}

fn alerts() -> BTreeSet<String> {
    let rules = ALERTS.split("\n      - alert: ").skip(1);
    rules.map(|rule| rule.lines().next().unwrap().to_owned()).collect()
}

#[test]
fn every_reason_and_every_alert_has_its_page_of_the_runbook_and_nothing_else_has() {
    let pages = pages();
    let of_the_runbook = pages.keys().filter_map(|name| name.strip_prefix("runbook/")?.strip_suffix(".md"));

    let wanted: BTreeSet<String> = reasons().union(&alerts()).cloned().collect();

    assert!(wanted.len() > 45, "{}", wanted.len());
    assert_eq!(of_the_runbook.map(ToOwned::to_owned).collect::<BTreeSet<_>>(), wanted);
    let index = links(&pages["runbook.md"]);
    for name in wanted {
        assert!(index.contains(&format!("runbook/{name}.md")), "docs/runbook.md does not lead to {name}");
    }
}

#[test]
fn every_page_of_the_runbook_says_what_it_means_who_notices_what_to_do_and_when_it_is_over() {
    for (name, page) in pages().into_iter().filter(|(name, _)| name.starts_with("runbook/")) {
        let title = name.trim_start_matches("runbook/").trim_end_matches(".md");
        assert_eq!(page.lines().next(), Some(format!("# {title}").as_str()), "{name}");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, PARTS, "{name}");
        for part in page.split("\n## ").skip(1) {
            let (heading, text) = part.split_once('\n').unwrap_or((part, ""));
            assert!(text.trim().len() > 7, "{name}: nothing under {heading}");
        }
    }
}

/// A page of a reason that waits for somebody gives the remedy that the program gives.
#[test]
fn every_page_of_a_park_shows_the_command_of_its_remedy() {
    let pages = pages();
    for reason in ParkReason::ALL {
        let page = &pages[&format!("runbook/{reason}.md")];
        for command in reason.remedy().split('`').skip(1).step_by(2) {
            assert!(page.contains(command), "{reason}: its page does not show {command}");
        }
    }
}

/// The rows of a table of the glossary: a word, and its meaning.
fn rows(heading: &str) -> Vec<(String, String)> {
    let section = GLOSSARY.split(&format!("\n{heading}\n")).nth(1).unwrap().split("\n#").next().unwrap();
    let cells = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.splitn(3, '|');
        let word = cells.next()?.trim().trim_end_matches('`').to_owned();
        Some((word, cells.next()?.trim().to_owned()))
    };
    section.lines().filter_map(cells).collect()
}

fn against(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Fleet => "counts against it",
        Evidence::Tenant => "says nothing of others",
        Evidence::Nobody => "waits with it",
    }
}

fn told() -> String {
    let meaning = |heading, reason: &str| {
        let rows = rows(heading);
        rows.into_iter().find(|(word, _)| word == reason).map(|(_, meaning)| meaning).unwrap()
    };
    let link = |reason: &str| format!("[`{reason}`](runbook/{reason}.md)");
    let mut page = "# Reasons\n\nWhy a tenant is not ready, as `tenantd.status.reason`, `tenantd tenant list` and the API say it. This page is told from \
                    the code (`make schema`); a reason's own page says what to do. What a rollout makes of it: [A rollout \
                    halted](operations.md#a-rollout-halted).\n\n## That wait for you\n\nThe tenant is parked until somebody acts.\n\n\
                    | reason | meaning | remedy | in a rollout |\n|---|---|---|---|\n"
        .to_owned();
    for reason in ParkReason::ALL {
        let meaning = meaning("### Reasons that wait for somebody", reason.as_str());
        let (link, remedy, rollout) = (link(reason.as_str()), reason.remedy(), against(reason.evidence()));
        writeln!(page, "| {link} | {meaning} | {remedy} | {rollout} |").unwrap();
    }
    page.push_str(
        "\n## That pass by themselves\n\n\
         \"Kept\" says whether the wait goes on when an owner or operator says something of the tenant.\n\n\
         | reason | meaning | kept | in a rollout |\n|---|---|---|---|\n",
    );
    for reason in WaitReason::ALL {
        let meaning = meaning("### Reasons that pass by themselves", reason.as_str());
        let kept = if reason.outlasts_a_wake() { "yes" } else { "no" };
        let (link, rollout) = (link(reason.as_str()), against(reason.evidence()));
        writeln!(page, "| {link} | {meaning} | {kept} | {rollout} |").unwrap();
    }
    page.push_str(
        "\n## That the view derives\n\nThey stand in no column: the view tells them from the row and the time.\n\n\
         | reason | meaning |\n|---|---|\n",
    );
    for (reason, meaning) in rows("### Reasons that the view derives") {
        writeln!(page, "| {} | {meaning} |", link(&reason)).unwrap();
    }
    page
}

#[test]
fn the_page_of_reasons_is_what_the_code_says() {
    let path = root().join("docs/reasons.md");
    let now = told();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &now).unwrap();
    }

    assert_eq!(read(&path), now, "docs/reasons.md is not current: run `make schema` and commit it");
}
