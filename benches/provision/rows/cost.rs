//! CPU and throughput per tenant, beside the same four calls with one `SELECT` and one
//! `UPDATE` of a plain table.
//!
//! `--tenants 1000 --rounds 5`: some 20 s a round.

use std::time::Duration;

use super::{median, seconds};
use crate::report::Report;
use crate::stage::{Run, Stage};
use crate::{CONCURRENCY, LATENCY, Options};

pub(super) fn run(options: &Options) {
    let (tenants, rounds) = (options.number("--tenants", 1000), options.number("--rounds", 5));
    let mut report = Report::new("cost", "what a tenant costs");
    report.line(&format!(
        "CPU seconds per 1,000 tenants as client + Postgres, {tenants} a run, {CONCURRENCY} at a time. The floor is the \
         same four HTTPS calls with one SELECT and one UPDATE of a plain table.\n"
    ));
    let ratios = at(&mut report, Duration::ZERO, tenants, rounds);
    report.line(&format!(
        "No latency: CPU {:.2} × floor, tenants/s {:.2} × floor (medians).\n",
        ratios.0, ratios.1
    ));
    let ratios = at(&mut report, LATENCY, tenants, rounds.min(3));
    report.line(&format!(
        "{LATENCY:?} a call: CPU {:.2} × floor, tenants/s {:.2} × floor (medians).",
        ratios.0, ratios.1
    ));
    profile(&mut report, tenants);
    report.write();
}

/// Where the database's time goes, statement by statement, in a run of its own: counting
/// costs, too.
fn profile(report: &mut Report, tenants: u32) {
    let settings = ["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_planning=on"];
    let stage = Stage::new(Duration::ZERO, CONCURRENCY, &settings);
    let database = stage.fresh_database(tenants);
    stage.write(&database, "CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()");
    stage.work_off(&database);
    let rows: Vec<(String, i64, f64, f64, f64, f64)> = stage.rows(&database, PROFILE);
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, calls, planning, execution, share, buffers)| {
            vec![
                name,
                format!("{:.2}", f64::from(i32::try_from(calls).unwrap_or(i32::MAX)) / f64::from(tenants)),
                format!("{planning:.2}"),
                format!("{execution:.2}"),
                format!("{:.0} %", share * 100.0),
                format!("{buffers:.0}"),
            ]
        })
        .collect();
    report
        .line("The database's time by statement, no latency (`pg_stat_statements`, in a run of its own):\n");
    report.table(&["statement", "a tenant", "planning, ms", "execution, ms", "share", "buffers"], &rows);
}

/// Our statements begin with their name.
const PROFILE: &str = r"
    SELECT coalesce(substring(query from '-- ([a-z_.]+)'), left(regexp_replace(query, '\s+', ' ', 'g'), 40)) AS name,
           sum(calls)::bigint,
           sum(total_plan_time) / sum(calls),
           sum(total_exec_time) / sum(calls),
           sum(total_plan_time + total_exec_time) / sum(sum(total_plan_time + total_exec_time)) OVER (),
           (sum(shared_blks_hit + shared_blks_read) / sum(calls))::float8
      FROM pg_stat_statements
     WHERE calls > 0
     GROUP BY 1
     ORDER BY sum(total_plan_time + total_exec_time) DESC
     LIMIT 10";

/// The medians of the ratios of CPU and of tenants per second.
fn at(report: &mut Report, latency: Duration, tenants: u32, rounds: u32) -> (f64, f64) {
    let stage = Stage::new(latency, CONCURRENCY, &[]);
    let (mut cpu, mut speed, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (floor, daemon) = (stage.floor(tenants), stage.daemon(tenants));
        cpu.push(daemon.cpu().as_secs_f64() / floor.cpu().as_secs_f64());
        speed.push(floor.wall.as_secs_f64() / daemon.wall.as_secs_f64());
        rows.push(vec![
            format!("{latency:?}"),
            shown(&floor, tenants),
            seconds(floor.wall),
            shown(&daemon, tenants),
            seconds(daemon.wall),
            format!("{:.2}", cpu[cpu.len() - 1]),
            format!("{:.2}", speed[speed.len() - 1]),
        ]);
    }
    let header = ["a call", "floor", "wall", "tenantd", "wall", "CPU ratio", "speed ratio"];
    report.table(&header, &rows);
    (median(cpu), median(speed))
}

fn shown(run: &Run, tenants: u32) -> String {
    let per_thousand = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / f64::from(tenants);
    format!(
        "{:.2} ({:.2} + {:.2})",
        per_thousand(run.cpu()),
        per_thousand(run.client),
        per_thousand(run.postgres)
    )
}
