//! What is wrong is said once, with its remedy, and ends with the right code.

use std::time::Duration;

use super::support::{Bench, Scratch, set_mode};

/// An address where nobody listens: port 1 on this machine.
const NOBODY: &str = "postgres://tenantd@127.0.0.1:1/tenants";

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn every_fault_of_the_configuration_is_told_at_once_with_exit_code_2() {
    let scratch = Scratch::new();
    let config = scratch.file("bad.toml", "[worker]\nlaese = \"1s\"\n");

    let ran = scratch.tenantd(&["run", "--config", text(&config)]).await;

    ran.assert_refused(
        2,
        &["faults:\n  ", "database.url", "vault.keyring_file", "worker.laese", "worker.lease"],
    );
    assert_eq!(ran.stderr.matches("error:").count(), 1, "{ran:?}");
}

/// Not waited for, nor read without end: a daemon that is to reload would hang with it.
#[tokio::test]
async fn certificates_are_read_from_regular_files_alone() {
    let scratch = Scratch::new();
    let pipe = scratch.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let config = scratch.config(&format!("[qlik]\nca_file = \"{}\"\n", text(&pipe))).await;
    let url = format!("postgres://a@localhost/a?sslmode=verify-full&sslrootcert={}", text(&pipe));

    let mut check = scratch.command(&["config", "check", "--config", text(&config)]);
    let check = check.env("TENANTD_DATABASE__URL", url).kill_on_drop(true).output();
    let ran = tokio::time::timeout(Duration::from_secs(30), check).await.expect("it waits for nobody");

    let said = String::from_utf8(ran.unwrap().stderr).unwrap();
    assert!(
        said.contains("qlik.ca_file") && said.contains("which cannot be read: it is not a regular file"),
        "{said}"
    );
    assert!(
        said.contains("(sslrootcert, sslcert, sslkey) that cannot be read: it is not a regular file"),
        "{said}"
    );
}

#[tokio::test]
async fn a_keyring_that_is_missing_or_open_to_others_stops_the_daemon() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    let keyring = bench.scratch.path("keyring.json");

    set_mode(&keyring, 0o644);
    let open = bench.tenantd(&["run", "--config", text(&config)]).await;
    let checked = bench.tenantd(&["config", "check", "--config", text(&config)]).await;
    std::fs::remove_file(&keyring).unwrap();
    let missing = bench.tenantd(&["run", "--config", text(&config)]).await;

    assert_eq!((open.code, missing.code), (2, 2), "{open:?} {missing:?}");
    assert!(open.stderr.contains("mode 0644") && open.stderr.contains("chmod 0600"), "{open:?}");
    assert!(missing.stderr.contains("tenantd keys generate"), "{missing:?}");
    checked.assert_refused(2, &["chmod 0600"]);
}

#[tokio::test]
async fn faults_of_settings_keyring_and_certificates_and_warnings_are_told_in_one_round() {
    let scratch = Scratch::new();
    let more = "[prove]\nmethod = \"none\"\n[worker]\nlease = \"1s\"\n\
                [qlik]\nca_file = \"ca.pem\"\nrequest_timeout = \"20s\"\n";
    let config = scratch.config(more).await;
    scratch.file("ca.pem", "no certificate");
    scratch.file("keyring.json", "{}");

    let checked = scratch.tenantd(&["config", "check", "--config", text(&config)]).await;
    let run = scratch.tenantd(&["run", "--config", text(&config)]).await;

    let (shown, keyring) = (text(&config), scratch.path("keyring.json"));
    for ran in [checked, run] {
        assert_eq!(ran.code, 2, "{ran:?}");
        for part in [
            "  database.url is not set".to_owned(),
            format!("  worker.lease ({shown}) is 1s"),
            format!("  qlik.ca_file ({shown}) names ca.pem, which holds no readable PEM certificate: "),
            format!(
                "  vault.keyring_file ({shown}) names {}, which is not a JWK Set at line",
                text(&keyring)
            ),
        ] {
            assert!(ran.stderr.contains(&part), "{part} is missing: {ran:?}");
        }
    }
    let warned = scratch.tenantd(&["config", "check", "--config", text(&config)]).await;
    assert!(warned.stderr.contains("warning: prove.method"), "{warned:?}");
}

#[tokio::test]
async fn a_missing_schema_names_the_command_that_makes_it() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    bench.sql("DROP SCHEMA tenantd CASCADE").await;

    let list = bench.tenantd(&["tenant", "list"]).await;
    let daemon = bench.tenantd(&["run", "--config", text(&config)]).await;

    list.assert_refused(2, &["run `tenantd migrate`"]);
    assert_eq!(daemon.code, 2, "{daemon:?}");
    assert!(daemon.stderr.contains("error: the schema lacks"), "{daemon:?}");
}

#[tokio::test]
async fn a_role_without_rights_is_told_where_they_come_from() {
    let bench = Bench::new().await;
    let role = format!("tenantd_cli_{}", std::process::id());
    bench.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'")).await;
    let (before, after) = bench.db.url.split_once("://").unwrap();
    let host = after.split_once('@').map_or(after, |(_, host)| host);
    let url = format!("{before}://{role}:x@{host}");

    let ran = bench.tenantd_on(&url, &["tenant", "list"]).await;
    bench.sql(&format!("DROP ROLE {role}")).await;

    ran.assert_refused(2, &["permission denied", "deploy/postgres/roles.sql"]);
}

#[tokio::test]
async fn a_refused_sign_on_is_configuration_and_not_waited_for() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    let (path, query) = bench.db.url.split_once('?').unwrap_or((&bench.db.url, ""));
    let absent = format!("{path}_absent?{query}");

    let list = bench.tenantd_on(&absent, &["tenant", "list"]).await;
    let daemon = bench.tenantd_on(&absent, &["run", "--config", text(&config)]).await;

    list.assert_refused(2, &["does not exist", "correct user, password and database name in database.url"]);
    assert_eq!(daemon.code, 2, "{daemon:?}");
}

#[tokio::test]
async fn an_unreachable_database_is_a_failure_of_every_command_with_its_remedy() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    let config = text(&config);

    for words in [
        &["migrate"][..],
        &["migrate", "--status"],
        &["tenant", "list"],
        &["tenant", "add", "a", "a.us.qlikcloud.com"],
        &["tenant", "wait", "a"],
        &["secret", "reveal", "a", "--yes", "--config", config],
    ] {
        let ran = bench.tenantd_on(NOBODY, words).await;

        ran.assert_refused(1, &["Connection refused", "check database.url and that the server is up"]);
    }
    let once = bench.tenantd_on(NOBODY, &["run", "--once", "--config", config]).await;
    assert_eq!(once.code, 1, "{once:?}");
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2() {
    let scratch = Scratch::new();
    for words in [&["tennant"][..], &["tenant", "list", "--phase", "redy"], &["tenant", "retry"]] {
        let ran = scratch.tenantd(words).await;

        ran.assert_refused(2, &["--help"]);
    }
}

#[tokio::test]
async fn a_sound_configuration_is_called_so_and_what_is_unwise_is_a_warning() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("[prove]\nmethod = \"none\"\n").await;

    let ran = bench.tenantd(&["config", "check", "--config", text(&config)]).await;

    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("warning: prove.method"), "{ran:?}");
}

#[tokio::test]
async fn the_configuration_is_shown_with_origins_and_without_secrets() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;

    let ran = bench.tenantd(&["config", "show", "--output", "json", "--config", text(&config)]).await;

    let rows = ran.json();
    let row = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(row("regions[0].client_secret")["value"], "[redacted]");
    assert_eq!(row("database.url")["origin"], "environment variable TENANTD_DATABASE__URL");
    assert_eq!(row("http.listen")["origin"], text(&config));
    assert!(!ran.stdout.contains("region-secret"));
}
