//! Whether anything grows with the fleet: every statement of claims, commits, jobs, gauges
//! and commands on a fleet of millions, beside the same on 10,000.
//!
//! The rule: it asks `pg_stat_statements` what the real daemon and its commands ran, so that
//! no statement can be left out.
//!
//! `--fleet 1000000 --due 1000 --seconds 75`: filling takes some 100 s a million.

use std::collections::BTreeMap;
use std::time::Duration;

use super::milliseconds;
use crate::report::Report;
use crate::stage::Stage;
use crate::{CONCURRENCY, Options};

const SMALL: u32 = 10_000;
/// What a job, a gauge or a command may take.
const LIMIT: f64 = 200.0;
/// By the comment that each statement of ours begins with. `--` and a name survive in the text.
const STATEMENTS: &str = r"
    SELECT substring(query FROM '-- ([a-z_]+\.[a-z_]+)'), sum(calls)::bigint,
           sum(total_exec_time) / sum(calls), max(max_exec_time),
           (sum(shared_blks_hit + shared_blks_read) / sum(calls))::float8, sum(rows)::bigint
      FROM pg_stat_statements
     WHERE query ~ '-- [a-z_]+\.[a-z_]+' AND calls > 0
     GROUP BY 1";
const RESET: &str = "SELECT pg_stat_statements_reset()";
/// Asked at the shell, after the first page of a list.
const COMMANDS: [&[&str]; 7] = [
    &["tenant", "list", "--limit", "50"],
    &["tenant", "list", "--limit", "50", "--parked"],
    &["tenant", "list", "--limit", "50", "--phase", "creating"],
    &["tenant", "list", "--limit", "50", "--reason", "Queued"],
    &["tenant", "show", "filler-77"],
    &["tenant", "explain", "filler-77"],
    &["fleet", "status"],
];

/// Calls, mean and longest time in ms, buffers a call, rows.
type Statement = (i64, f64, f64, f64, i64);
type Statements = BTreeMap<String, Statement>;

struct Measured {
    work: Statements,
    rest: Statements,
    commands: Vec<Duration>,
    wall: Duration,
}

pub(super) fn run(options: &Options) {
    let fleet = options.number("--fleet", 1_000_000);
    let (due, watch) = (options.number("--due", 1000), options.number("--seconds", 75));
    let mut report = Report::new("flat", "whether anything grows with the fleet");
    report.line(&format!(
        "{due} due tenants among {fleet} ready ones with {fleet} attempts, beside {SMALL}; then {watch} s of a daemon with \
         rotation by age and audits, and the commands. Times are those of the server, in ms a call.\n"
    ));
    let [small, large] = [SMALL, fleet].map(|fleet| measure(fleet, due, watch));

    report.line(&format!("The {due} took {} and {}.\n", milliseconds(small.wall), milliseconds(large.wall)));
    let header = ["while 1,000 are due", "calls", "", "ms", "", "ratio", "buffers", "", "ratio"];
    report.table(&header, &work(&small.work, &large.work));
    let header = ["jobs, gauges, commands", "ms", "", "longest", "", "buffers", ""];
    report.table(&header, &rest(&small.rest, &large.rest));
    let slow: Vec<&str> =
        large.rest.iter().filter(|(_, of)| of.1 >= LIMIT).map(|(name, _)| name.as_str()).collect();
    report.line(&match slow.as_slice() {
        [] => format!("No statement takes {LIMIT} ms.\n"),
        slow => format!("{LIMIT} ms or more: {}.\n", slow.join(", ")),
    });
    let commands = COMMANDS.iter().zip(small.commands.iter().zip(&large.commands));
    let rows: Vec<_> = commands
        .map(|(command, (small, large))| {
            vec![format!("`{}`", command.join(" ")), milliseconds(*small), milliseconds(*large)]
        })
        .collect();
    report.table(&["command, with its start", "10,000", "the fleet"], &rows);
    report.write();
}

fn measure(fleet: u32, due: u32, watch: u32) -> Measured {
    let mut stage = Stage::new(
        Duration::ZERO,
        CONCURRENCY,
        &["shared_preload_libraries=pg_stat_statements", "shared_buffers=1GB", "max_wal_size=8GB"],
    );
    let database = stage.fresh_database(0);
    stage.write(&database, "CREATE EXTENSION pg_stat_statements");
    stage.fill(&database, fleet);
    // What is done once after a change of the configuration is not of interest here.
    stage.work_off(&database);
    stage.insert(&database, 1, due);
    stage.write(&database, RESET);
    let wall = stage.work_off(&database).wall;
    let work = statements(&stage, &database);

    stage.settings.push_str("rotation.every = \"90d\"");
    stage.write(&database, RESET);
    let daemon = stage.spawn(&database);
    std::thread::sleep(Duration::from_secs(watch.into()));
    drop(daemon);
    let commands = COMMANDS.iter().map(|command| median(|| stage.tell(&database, command))).collect();
    Measured { work, rest: statements(&stage, &database), commands, wall }
}

fn median(time: impl Fn() -> Duration) -> Duration {
    let mut times = [time(), time(), time()];
    times.sort_unstable();
    times[1]
}

fn statements(stage: &Stage, database: &str) -> Statements {
    let rows: Vec<(String, i64, f64, f64, f64, i64)> = stage.rows(database, STATEMENTS);
    rows.into_iter()
        .map(|(name, calls, mean, longest, buffers, rows)| (name, (calls, mean, longest, buffers, rows)))
        .collect()
}

/// The dearest first, as far as they matter.
fn work(small: &Statements, large: &Statements) -> Vec<Vec<String>> {
    let total = |of: &Statement| f64::from(u32::try_from(of.0).unwrap_or(u32::MAX)) * of.1;
    let mut names: Vec<_> = large.iter().collect();
    names.sort_by(|one, other| total(other.1).total_cmp(&total(one.1)));
    names
        .into_iter()
        .take(8)
        .filter_map(|(name, large)| {
            let small = small.get(name)?;
            Some(vec![
                name.clone(),
                small.0.to_string(),
                large.0.to_string(),
                format!("{:.2}", small.1),
                format!("{:.2}", large.1),
                format!("{:.2}", large.1 / small.1),
                format!("{:.0}", small.3),
                format!("{:.0}", large.3),
                format!("{:.2}", large.3 / small.3.max(1.0)),
            ])
        })
        .collect()
}

fn rest(small: &Statements, large: &Statements) -> Vec<Vec<String>> {
    let shown = |of: Option<f64>| of.map_or_else(|| "-".to_owned(), |of| format!("{of:.2}"));
    let names = large.iter();
    names
        .map(|(name, large)| {
            let small = small.get(name);
            vec![
                name.clone(),
                shown(small.map(|of| of.1)),
                shown(Some(large.1)),
                shown(small.map(|of| of.2)),
                shown(Some(large.2)),
                small.map_or_else(|| "-".to_owned(), |of| format!("{:.0}", of.3)),
                format!("{:.0}", large.3),
            ]
        })
        .collect()
}
