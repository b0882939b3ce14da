//! A million rows in one transaction, inserted and edited, beside the same on a plain table;
//! a daemon is at work meanwhile.
//!
//! `--rows 1000000`: some five minutes.

use std::time::Duration;

use super::seconds;
use crate::report::Report;
use crate::simulator::SUFFIX;
use crate::stage::Stage;
use crate::{CONCURRENCY, Options};

/// With the keys that the table of tenants has, and nothing else of it.
const PLAIN: &str = "
    CREATE TABLE plain (
        id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        external_id text NOT NULL UNIQUE,
        host        text NOT NULL UNIQUE,
        labels      jsonb NOT NULL DEFAULT '{}',
        created_at  timestamptz NOT NULL DEFAULT now()
    )";

pub(super) fn run(options: &Options) {
    let rows = options.number("--rows", 1_000_000);
    let mut report = Report::new("bulk", "many rows in one transaction");
    report.line(&format!(
        "{rows} rows inserted in one transaction, then the labels of all edited in another, beside a plain table with the \
         same three keys. A daemon works off what is due meanwhile.\n"
    ));
    let stage =
        Stage::new(Duration::ZERO, CONCURRENCY, &["autovacuum=on", "shared_buffers=1GB", "max_wal_size=8GB"]);
    let database = stage.fresh_database(100);
    stage.write(&database, PLAIN);
    let statements = |table: &str, name: &str| {
        let (table, name) = (table.to_owned(), name.to_owned());
        [
            format!(
                "INSERT INTO {table} (external_id, host)
                 SELECT '{name}-' || n, '{name}' || n || '.{SUFFIX}' FROM generate_series(1, {rows}) AS n"
            ),
            format!("UPDATE {table} SET labels = '{{\"plan\": \"gold\"}}' WHERE external_id LIKE '{name}-%'"),
        ]
    };
    let plain = statements("plain", "bulk").map(|statement| stage.time_write(&database, &statement));

    let daemon = stage.spawn(&database);
    stage.wait_until_ready(&database, 100);
    let before = daemon.memory().0;
    let ours = statements("tenantd.tenants", "bulk").map(|statement| {
        let took = stage.time_write(&database, &statement);
        let ready: i64 = stage.one(&database, "SELECT ready FROM tenantd.totals");
        (took, ready - 100)
    });
    let (after, most) = daemon.memory();

    let line = |what: &str, plain: Duration, ours: (Duration, i64)| {
        let ratio = ours.0.as_secs_f64() / plain.as_secs_f64();
        vec![what.to_owned(), seconds(plain), seconds(ours.0), format!("{ratio:.2}"), ours.1.to_string()]
    };
    report.table(
        &["", "plain", "tenantd.tenants", "ratio", "of them ready at its end"],
        &[line("inserted", plain[0], ours[0]), line("edited", plain[1], ours[1])],
    );
    report.line(&format!(
        "The daemon held {before:.0} MB before, {after:.0} MB after, {most:.0} MB at the most."
    ));
    report.write();
}
