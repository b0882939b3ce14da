//! Which writes of a tenant's row touch indexes, and whether table and indexes stay of one
//! size while the same rows are written again and again, with autovacuum.
//!
//! `--tenants 10000 --waves 40`: each wave edits every client and works that off.

use std::time::Duration;

use crate::report::Report;
use crate::stage::Stage;
use crate::{CONCURRENCY, Options};

/// Updates, and those of them that touched no index.
const UPDATES: &str = "
    SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'tenantd.tenants'::regclass";
const SIZES: &str = "
    SELECT (pg_table_size('tenantd.tenants') / 1048576.0)::float8, (pg_indexes_size('tenantd.tenants') / 1048576.0)::float8";

pub(super) fn run(options: &Options) {
    let (tenants, waves) = (options.number("--tenants", 10_000), options.number("--waves", 40));
    let mut report = Report::new("writes", "what a visit writes, and whether tables stay of one size");
    let stage = Stage::new(
        Duration::ZERO,
        CONCURRENCY,
        &["autovacuum=on", "autovacuum_naptime=1s", "max_wal_size=8GB"],
    );
    let database = stage.fresh_database(tenants);

    let mut before = updates(&stage, &database);
    let mut since = |what: &str| {
        let now = updates(&stage, &database);
        let (all, hot) = (now.0 - before.0, now.1 - before.1);
        before = now;
        let each = |count: i64| format!("{:.2}", precise(count) / f64::from(tenants));
        (
            all,
            vec![
                what.to_owned(),
                each(all),
                each(all - hot),
                format!("{:.0} %", precise(hot) * 100.0 / precise(all).max(1.0)),
            ],
        )
    };
    stage.work_off(&database);
    let (mut steps, provisioned) = since("from row to ready");
    let mut sizes = vec![size(&stage, &database, "ready", steps)];
    let mut edited = Vec::new();
    for wave in 1..=waves {
        stage.write(&database, &format!("UPDATE tenantd.tenants SET client_name = 'wave {wave}'"));
        let (_, owners) = since("the owner's edit");
        stage.work_off(&database);
        let (ours, line) = since("the edit worked off");
        steps += ours;
        edited = vec![owners, line];
        if wave % (waves / 4).max(1) == 0 {
            sizes.push(size(&stage, &database, &format!("wave {wave}"), steps));
        }
    }

    report.line(&format!("Writes of a row of `tenantd.tenants`, {tenants} tenants.\n"));
    let mut rows = vec![provisioned];
    rows.extend(edited);
    report.table(&["a visit", "writes", "of these touch indexes", "touch none"], &rows);
    report.table(&["after", "steps", "table, MB", "indexes, MB"], &sizes);
    report.write();
}

/// After the writers have ended, so that all they did is told.
fn updates(stage: &Stage, database: &str) -> (i64, i64) {
    std::thread::sleep(Duration::from_secs(1));
    stage.rows(database, UPDATES).pop().expect("the table is known")
}

fn size(stage: &Stage, database: &str, when: &str, steps: i64) -> Vec<String> {
    // Autovacuum looks every second.
    std::thread::sleep(Duration::from_secs(5));
    let (table, indexes): (f64, f64) = stage.rows(database, SIZES).pop().expect("the table is there");
    vec![when.to_owned(), steps.to_string(), format!("{table:.0}"), format!("{indexes:.0}")]
}

fn precise(count: i64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
