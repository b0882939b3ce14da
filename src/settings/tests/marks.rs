//! What differs between two configurations is named, and nothing of it is told.

use super::super::marks::{AT_RESTART, Marks};
use super::{Scratch, layered};

const PAGE: &str = include_str!("../../../docs/configuration.md");

fn marks(text: &str) -> Marks {
    layered(text, &[]).marks()
}

const TWO: &str =
    "[[regions]]\nname = \"us\"\nclient_secret = \"a\"\n[[regions]]\nname = \"eu\"\nclient_secret = \"b\"\n";

#[test]
fn a_setting_that_differs_is_named_and_nothing_of_it_is_told() {
    let before = marks(&format!("{TWO}[worker]\nlease = \"90s\"\n[budget]\nremovals_per_hour = 5\n"));
    let after = TWO.replace("\"b\"", "\"c3cr3t\"");
    let after = marks(&format!("{after}[worker]\nlease = \"91s\"\n[budget]\nremovals_per_hour = 5\n"));

    let changed = before.changes_to(&after);

    assert_eq!(changed.at_once, ["regions[eu].client_secret"]);
    assert_eq!(changed.at_restart, ["worker.lease"]);
    assert!(!format!("{after:?}{changed:?}").contains("c3cr3t"));
}

#[test]
fn what_needs_a_restart_is_told_until_there_is_one() {
    let mut before = marks("[worker]\nlease = \"90s\"\n[retry]\ncap = \"10m\"\n");
    let after = marks("[worker]\nlease = \"91s\"\n[retry]\ncap = \"11m\"\n");

    before.take_over(after.clone());

    let changed = before.changes_to(&after);
    assert_eq!((changed.at_once, changed.at_restart), (vec![], vec!["worker.lease".to_owned()]));
}

#[test]
fn a_region_before_another_does_not_change_that() {
    let other = "[[regions]]\nname = \"ap\"\n";

    let changed = marks(TWO).changes_to(&marks(&format!("{other}{TWO}")));

    assert_eq!(changed.at_once, ["regions[ap].name"]);
}

#[test]
fn the_file_that_a_setting_names_counts_but_for_tokens() {
    let directory = Scratch::new("marks");
    let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
    let text = format!(
        "[vault]\nkeyring_file = \"{}\"\n[http]\ntoken_file = \"{}\"\n",
        one.display(),
        two.display()
    );
    let write = |content: &str| [&one, &two].map(|path| std::fs::write(path, content).unwrap());
    write("before");
    let before = marks(&text);

    write("after");

    let changed = before.changes_to(&marks(&text));
    assert_eq!((changed.at_once, changed.at_restart), (vec!["vault.keyring_file".to_owned()], vec![]));
}

#[test]
fn the_page_lists_what_needs_a_restart() {
    let section = PAGE.split("\n## At run time, or at a restart\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let row = section.lines().find(|line| line.starts_with("| a restart |")).unwrap();
    let listed: Vec<&str> = row.split('`').skip(1).step_by(2).collect();

    let expected: Vec<String> = AT_RESTART
        .iter()
        .map(|key| key.strip_suffix('.').map_or_else(|| (*key).to_owned(), |name| format!("[{name}]")))
        .collect();

    assert_eq!(listed, expected);
}
