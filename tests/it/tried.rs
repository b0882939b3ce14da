//! What `docs/tried.md` claims.
//!
//! The rule: every line names a test that is there, so that a verdict cannot outlive its proof.

use std::fs;
use std::path::Path;

const TRIED: &str = include_str!("../../docs/tried.md");

fn sources(directory: &Path) -> String {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.extension() {
            Some(extension) if extension == "rs" => fs::read_to_string(&path).unwrap(),
            _ if path.is_dir() => sources(&path),
            _ => String::new(),
        })
        .collect()
}

#[test]
fn every_report_that_was_tried_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = sources(&root.join("tests")) + &sources(&root.join("src"));
    let lines: Vec<_> = TRIED.lines().filter(|line| line.starts_with("| [")).collect();
    assert!(lines.len() >= 20, "{}", lines.len());

    for line in lines {
        let columns: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [source, _, verdict, test] = columns[..] else { panic!("{line}") };
        assert!(source.contains("](https://"), "{line}");
        assert!(["held", "mended", "by design"].iter().any(|word| verdict.starts_with(word)), "{line}");
        assert!(tests.contains(&format!("fn {}(", test.trim_matches('`'))), "no such test: {test}");
    }
}
