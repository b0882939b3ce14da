//! What a tenant costs: `make bench`.
//!
//! Two questions, each answered as a ratio within one run, because machines are noisy:
//!
//! * **CPU**: seconds of CPU per 1,000 tenants, daemon and Postgres together, beside
//!   a *floor*: a bare loop of the same four HTTPS calls with one SELECT and one
//!   UPDATE a tenant of a plain table. The simulator is a process of its own and is not counted.
//! * **Wall**: 1,000 tenants at 50 ms per call and 64 at a time, beside
//!   `ceil(1000 / 64) × 4 calls × 50 ms`.
//!
//! `cargo bench -- --tenants 300 --rounds 1` for a quick look.

mod cpu;
mod floor;
mod simulator;
mod stage;

use std::time::Duration;

use stage::{Run, Stage};

/// At most so many tenants at a time, in daemon and floor alike.
const CONCURRENCY: u32 = 64;
/// Token, create, consent, proof.
const CALLS: u32 = 4;
/// Of the wall-time run.
const LATENCY: Duration = Duration::from_millis(50);

fn main() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("simulator") => simulator::main(&arguments[1..]),
        Some("floor") => floor::main(&arguments[1..]),
        _ => measure(number(&arguments, "--tenants", 1000), number(&arguments, "--rounds", 3)),
    }
}

fn number(arguments: &[String], name: &str, default: u32) -> u32 {
    let value = arguments.iter().skip_while(|argument| *argument != name).nth(1);
    value.map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} wants a number")))
}

fn measure(tenants: u32, rounds: u32) {
    let stage = Stage::new(Duration::ZERO);
    println!("CPU seconds per 1,000 tenants ({tenants} a run, {CONCURRENCY} at a time)\n");
    println!(
        "{:>5}  {:>22}  {:>22}  {:>6}",
        "round", "floor (client + pg)", "tenantd (client + pg)", "ratio"
    );
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let floor = stage.floor(tenants);
        let daemon = stage.daemon(tenants);
        let ratio = daemon.cpu().as_secs_f64() / floor.cpu().as_secs_f64();
        println!("{round:>5}  {}  {}  {ratio:>6.2}", shown(&floor, tenants), shown(&daemon, tenants));
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("\nCPU ratio, median of {rounds}: {:.2}\n", ratios[ratios.len() / 2]);
    drop(stage);

    let ideal = tenants.div_ceil(CONCURRENCY) * CALLS * LATENCY;
    let wall = Stage::new(LATENCY).daemon(tenants).wall;
    let ratio = wall.as_secs_f64() / ideal.as_secs_f64();
    println!("Wall time at {LATENCY:?} a call: {wall:.2?}, ideal {ideal:.2?}, ratio {ratio:.2}");
}

fn shown(run: &Run, tenants: u32) -> String {
    let per_thousand = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / f64::from(tenants);
    format!(
        "{:>6.2} ({:>5.2} + {:>5.2})",
        per_thousand(run.cpu()),
        per_thousand(run.client),
        per_thousand(run.postgres)
    )
}
