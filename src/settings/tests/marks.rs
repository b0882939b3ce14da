//! What differs between two configurations is named, and nothing of it is told.

use std::os::unix::fs::symlink;

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
    let before = marks(&format!("{TWO}[worker]\nlease = \"90s\"\n[http]\nlisten = \"127.0.0.1:1\"\n"));
    let after = TWO.replace("\"b\"", "\"c3cr3t\"");
    let after = marks(&format!("{after}[worker]\nlease = \"91s\"\n[http]\nlisten = \"127.0.0.1:2\"\n"));

    let changed = before.changes_to(&after);

    assert_eq!(changed.at_once, ["regions[eu].client_secret"]);
    assert_eq!(changed.at_restart, ["http.listen", "worker.lease"]);
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

/// Whoever reads the file for good refuses it. A pipe into which nobody writes would be read for ever.
#[test]
fn what_is_no_file_is_not_read() {
    let directory = Scratch::new("marks-pipe");
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = format!("[vault]\nkeyring_file = \"{}\"\n", pipe.display());
    let (sender, read) = std::sync::mpsc::channel();

    std::thread::spawn(move || sender.send(marks(&text)));

    let marked = read.recv_timeout(std::time::Duration::from_secs(10)).expect("nothing is read");
    assert_eq!(marked.changes_to(&marks("")).at_once, ["vault.keyring_file"]);
}

#[test]
fn a_setting_that_is_new_or_gone_is_named() {
    let (without, with) = (marks(""), marks("[proxy]\ncolour = \"red\"\n"));

    assert_eq!(without.changes_to(&with).at_once, ["proxy.colour"]);
    assert_eq!(with.changes_to(&without).at_once, ["proxy.colour"]);
}

/// As Kubernetes brings another one: the link of the folder is turned, and no name changes.
#[test]
fn a_file_behind_links_that_are_turned_has_changed() {
    let directory = Scratch::new("marks-links");
    let here = |name: &str| directory.path().join(name);
    for (version, text) in [("v1", "before"), ("v2", "after")] {
        std::fs::create_dir(here(version)).unwrap();
        std::fs::write(here(version).join("keyring"), text).unwrap();
    }
    symlink("v1", here("..data")).unwrap();
    symlink("..data/keyring", here("keyring")).unwrap();
    let text = format!("[vault]\nkeyring_file = \"{}\"\n", here("keyring").display());
    let before = marks(&text);

    symlink("v2", here("..data_tmp")).unwrap();
    std::fs::rename(here("..data_tmp"), here("..data")).unwrap();

    assert_eq!(before.changes_to(&marks(&text)).at_once, ["vault.keyring_file"]);
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
