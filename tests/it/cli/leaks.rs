//! No part of the database's password is told, however the URL breaks because of it.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::process::Command;

use super::support::{Bench, Ran};

const SENTINEL: &str = "s3ntinel0f";

/// What the log may hold, whatever its level (docs/logging.md).
const MAY_SPEAK: [&str; 4] = ["tenantd", "sqlx::query", "sqlx::pool::acquire", "tokio_cron_scheduler"];

async fn ran(mut command: Command) -> Ran {
    Ran::of(command.output().await.unwrap())
}

#[track_caller]
fn assert_silent(what: &str, ran: &Ran) {
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(SENTINEL), "{what}: {ran:?}");
}

#[tokio::test]
async fn a_url_that_breaks_or_says_too_much_is_refused_and_nothing_of_it_is_told() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("[log]\nlevel = \"trace\"\n").await;
    let config = config.to_str().unwrap();
    // A password with a question mark in it, and a parameter that libpq knows and the driver does not.
    let unescaped = format!("postgres://tenantd:12?{SENTINEL}=x@localhost/tenants");
    let separator = if bench.db.url.contains('?') { '&' } else { '?' };
    let unknown = format!("{}{separator}connect_timeout={SENTINEL}", bench.db.url);
    let mistyped = format!("{}{separator}{SENTINEL}=1", bench.db.url);

    for url in [&unescaped, &unknown, &mistyped] {
        let file = bench.scratch.file("database-url", &format!("{url}\n"));
        for words in [
            &["config", "check"][..],
            &["config", "show"],
            &["doctor"],
            &["doctor", "--output", "json"],
            &["run"],
            &["run", "--once"],
            &["tenant", "list"],
            &["migrate", "--status"],
            &["demo", "--exit", "--tenants", "1"],
        ] {
            let words = [words, &["--config", config]].concat();
            let in_place = bench.tenantd_on(url, &words).await;
            let mut command = bench.scratch.command(&words);
            command.env("TENANTD_DATABASE__URL_FILE", &file);
            let in_file = ran(command).await;

            for ran in [&in_place, &in_file] {
                assert_silent(&words.join(" "), ran);
                assert_eq!(ran.code, if words[1] == "show" { 0 } else { 2 }, "{words:?}: {ran:?}");
            }
            let told = format!("{}{}", in_place.stdout, in_place.stderr);
            assert!(told.contains("database.url"), "{words:?}: {told}");
        }
    }
}

#[tokio::test]
async fn nothing_is_taken_from_the_drivers_own_variables_and_files() {
    let bench = Bench::new().await;
    bench.given_tenant("customer-1").await;
    let home = bench.scratch.path("home");
    std::fs::create_dir(&home).unwrap();
    let config = bench
        .scratch
        .config("[log]\nlevel = \"trace,sqlx=trace,hyper=trace,rustls=trace\"\nformat = \"json\"\n")
        .await;
    let pgpass = bench.scratch.file("home/.pgpass", &format!("{SENTINEL}\n*:*:*:*:{SENTINEL}\n"));
    let url = bench.db.url.replace("&sslmode=disable", "");
    let mut command = bench.scratch.command(&["run", "--once", "--config", config.to_str().unwrap()]);
    command
        .env("TENANTD_DATABASE__URL", url)
        .env("HOME", &home)
        .env("PGPASSFILE", &pgpass)
        .env("PGPASSWORD", SENTINEL)
        .env("PGHOST", "nowhere.invalid")
        .env("PGHOSTADDR", "192.0.2.1")
        .env("PGPORT", "1")
        .env("PGDATABASE", "nowhere")
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", "/nowhere/ca.pem")
        .env("PGAPPNAME", SENTINEL);

    let once = ran(command).await;

    assert_eq!(once.code, 0, "{once:?}");
    assert_silent("run --once", &once);
    let lines: Vec<Value> = once.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let targets: BTreeSet<&str> = lines.iter().map(|line| line["target"].as_str().unwrap()).collect();
    let may_speak =
        |target: &&str| MAY_SPEAK.iter().any(|it| target == it || target.starts_with(&format!("{it}::")));
    assert!(targets.iter().all(may_speak), "{targets:?}");
    assert!(targets.contains("sqlx::query") && targets.len() > 1, "{targets:?}");
}

#[tokio::test]
async fn a_variable_that_the_driver_would_follow_all_the_same_is_refused() {
    let bench = Bench::new().await;
    let mut command = bench.command(&["tenant", "list"]);
    command.env("PGOPTIONS", "-c default_transaction_read_only=on");

    let ran = ran(command).await;

    ran.assert_refused(2, &["database.url", "PGOPTIONS", "unset it"]);
}
