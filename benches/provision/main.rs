//! What tenantd costs, and how it grows: `make bench ARGS=ROW`, or
//! `cargo bench --bench provision -- ROW`.
//!
//! Each row answers one question as a ratio within one run, because machines are noisy, and
//! writes its section of `docs/benchmarks.md`. Without a row, `cost` is run.
//!
//! The simulator is a process of its own, so that its CPU is not counted.

mod cpu;
mod floor;
mod report;
mod rows;
mod simulator;
mod stage;

use std::time::Duration;

/// At most so many tenants at a time where a row says nothing else, in daemon and floor alike.
const CONCURRENCY: u32 = 64;
/// Token, create, consent, proof.
const CALLS: u32 = 4;
/// What a call takes at a Qlik Cloud that is far away.
const LATENCY: Duration = Duration::from_millis(50);

fn main() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo adds this by itself.
    let arguments: Vec<String> = arguments.into_iter().filter(|argument| argument != "--bench").collect();
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("simulator") => simulator::main(rest),
        Some("floor") => floor::main(rest),
        None => rows::run("cost", &Options(Vec::new())),
        Some(option) if option.starts_with("--") => rows::run("cost", &Options(arguments.clone())),
        Some(row) => rows::run(row, &Options(rest.to_vec())),
    }
}

/// `--name number` and `name=word`, in any order.
pub(crate) struct Options(Vec<String>);

impl Options {
    /// The number after this name.
    pub(crate) fn number(&self, name: &str, default: u32) -> u32 {
        let value = self.0.iter().skip_while(|argument| *argument != name).nth(1);
        value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} wants a number")))
    }

    /// Every name with its word.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|argument| argument.split_once('='))
    }
}
