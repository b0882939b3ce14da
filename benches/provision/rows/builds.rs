//! Builds of the program beside one another: profiles, allocators.
//!
//! `release=target/release/tenantd dist=target/dist/tenantd --tenants 2000 --rounds 5`: each
//! build works in every round, so that a noisy minute meets all of them.

use std::time::Duration;

use super::median;
use crate::report::Report;
use crate::stage::Stage;
use crate::{CONCURRENCY, Options};

#[derive(Default)]
struct Build {
    cpu: Vec<f64>,
    idle: Vec<f64>,
    worked: Vec<f64>,
    most: Vec<f64>,
}

pub(super) fn run(options: &Options) {
    let (tenants, rounds) = (options.number("--tenants", 2000), options.number("--rounds", 5));
    let programs: Vec<(&str, &str)> = options.named().collect();
    assert!(!programs.is_empty(), "name the builds: release=target/release/tenantd dist=target/dist/tenantd");
    let mut report = Report::new("builds", "profiles and allocators");
    report.line(&format!("{tenants} tenants, {CONCURRENCY} at a time; medians of {rounds}.\n"));
    let mut stage = Stage::new(Duration::ZERO, CONCURRENCY, &[]);
    let mut builds: Vec<Build> = programs.iter().map(|_| Build::default()).collect();
    for _ in 0..rounds {
        for ((_, program), build) in programs.iter().zip(&mut builds) {
            stage.program = std::fs::canonicalize(program).expect("the program is there");
            one(&stage, tenants, build);
        }
    }
    let rows: Vec<_> = programs
        .iter()
        .zip(builds)
        .map(|((name, program), build)| {
            let size = std::fs::metadata(program).map_or(0, |file| file.len() / (1 << 20));
            let megabytes = |of| format!("{:.1}", median(of));
            vec![
                (*name).to_owned(),
                format!("{:.3}", median(build.cpu)),
                megabytes(build.idle),
                megabytes(build.most),
                megabytes(build.worked),
                size.to_string(),
            ]
        })
        .collect();
    let header =
        ["build", "CPU s per 1,000", "RSS started, MB", "at the most", "10 s afterwards", "program, MB"];
    report.table(&header, &rows);
    report.write();
}

fn one(stage: &Stage, tenants: u32, build: &mut Build) {
    let database = stage.fresh_database(0);
    let daemon = stage.spawn(&database);
    stage.wait_until(&database, "SELECT EXISTS (SELECT FROM tenantd.regions)");
    std::thread::sleep(Duration::from_secs(3));
    build.idle.push(daemon.memory().0);
    let before = daemon.cpu();
    stage.insert(&database, 1, tenants);
    stage.wait_until_ready(&database, tenants);
    build.cpu.push(daemon.cpu().saturating_sub(before).as_secs_f64() * 1000.0 / f64::from(tenants));
    std::thread::sleep(Duration::from_secs(10));
    let (now, most) = daemon.memory();
    build.worked.push(now);
    build.most.push(most);
}
