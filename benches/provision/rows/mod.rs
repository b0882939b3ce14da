//! The rows: each a question, and the run that answers it.

mod builds;
mod bulk;
mod cost;
mod flat;
mod idle;
mod latency;
mod replicas;
mod writes;

use std::time::Duration;

use crate::Options;

/// A question of the benchmark.
pub(crate) struct Row {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    run: fn(&Options),
}

/// Every row, in the order of the page.
pub(crate) const ROWS: [Row; 8] = [
    Row { name: "cost", run: cost::run },
    Row { name: "latency", run: latency::run },
    Row { name: "replicas", run: replicas::run },
    Row { name: "flat", run: flat::run },
    Row { name: "bulk", run: bulk::run },
    Row { name: "idle", run: idle::run },
    Row { name: "writes", run: writes::run },
    Row { name: "builds", run: builds::run },
];

/// Runs a row.
pub(crate) fn run(name: &str, options: &Options) {
    let Some(row) = ROWS.iter().find(|row| row.name == name) else {
        panic!("no row {name:?}: there are {:?}", ROWS.map(|row| row.name));
    };
    (row.run)(options);
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// Below which this share of them lies.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among some thousand"
    )]
    let place = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted[place]
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
