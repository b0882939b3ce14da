//! `docs/benchmarks.md`, section by section.
//!
//! The rule: **figures come from a run and from nowhere else**: each section is replaced as
//! a whole by the run of its row, with machine, date and commit.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use tenantd::ports::Clock;
use tenantd::system::SystemClock;

use crate::rows::ROWS;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md");
const HEAD: &str = "\
# Benchmarks

Each section is written by `make bench ARGS=ROW` (`cargo bench --bench provision -- ROW`), on a private PostgreSQL that
does not flush to disk, with the simulator of Qlik Cloud in a process of its own on the same machine. Compare numbers
within a section, not between machines. What limits a fleet first is reckoned in [scaling](scaling.md).

* **A call** is one request to Qlik Cloud, of which four make a tenant ready; `0ns` and `50ms` are how long the simulator waits before it
  answers. Of a statement a call is one run of it. Statements have the names of the log's spans, `table.verb`.
* **Buffers** are the pages of 8 kB that Postgres touched for one run of a statement, in its cache or not: work that no busy machine distorts.
* **Two columns under one head**, in `flat`: first beside the small fleet (10,000), then beside the large one. What is the same in both does not
  grow with the fleet; `ratio` is the second by the first.
";

/// A section that grows line by line, on the screen as well.
pub(crate) struct Report {
    row: &'static str,
    text: String,
}

impl Report {
    pub(crate) fn new(row: &'static str, title: &str) -> Self {
        let mut report = Self { row, text: format!("## {row}: {title}\n\n") };
        report.line(&format!("{}; {}; commit {}.\n", machine(), today(), commit()));
        report
    }

    /// A line.
    pub(crate) fn line(&mut self, line: &str) {
        println!("{line}");
        writeln!(self.text, "{line}").expect("text can be written");
    }

    /// A table.
    pub(crate) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        self.line(&format!("| {} |", header.join(" | ")));
        self.line(&format!("|---{}|", "|--:".repeat(header.len() - 1)));
        for row in rows {
            self.line(&format!("| {} |", row.join(" | ")));
        }
        self.line("");
    }

    /// Puts the section in its place.
    pub(crate) fn write(self) {
        if cfg!(debug_assertions) {
            println!("not written to docs/benchmarks.md: this is no release build");
            return;
        }
        let page = fs::read_to_string(PAGE).unwrap_or_default();
        let mut sections: Vec<(String, String)> = page
            .split("\n## ")
            .skip(1)
            .map(|section| {
                let row = section.split(':').next().unwrap_or_default().to_owned();
                (row, format!("## {}\n", section.trim_end()))
            })
            .filter(|(row, _)| row != self.row)
            .collect();
        sections.push((self.row.to_owned(), format!("{}\n", self.text.trim_end())));
        let place = |row: &str| ROWS.iter().position(|known| known.name == row);
        sections.sort_by_key(|(row, _)| place(row));
        let sections: Vec<String> = sections.into_iter().map(|(_, section)| section).collect();
        fs::write(PAGE, format!("{HEAD}\n{}", sections.join("\n"))).expect("the page can be written");
        println!("wrote section {} of docs/benchmarks.md", self.row);
    }
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let cpu = value(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = value(&read("/proc/meminfo"), "MemTotal");
    let kilobytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    format!("{cores} cores of {cpu}, {} GiB", kilobytes.div_ceil(1 << 20))
}

fn today() -> String {
    SystemClock::start().now().format("%Y-%m-%d").to_string()
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let changed = git(&["status", "--porcelain", "--", "src", "migrations", "Cargo.toml"]);
    format!(
        "{}{}",
        git(&["rev-parse", "--short", "HEAD"]),
        if changed.is_empty() { "" } else { " with changes" }
    )
}
