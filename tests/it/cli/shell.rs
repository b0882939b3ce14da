//! What shells and pipes meet.

use std::process::Stdio;

use super::support::{Bench, Scratch};

#[tokio::test]
async fn completions_and_manual_pages_tell_of_every_command() {
    let scratch = Scratch::new();

    let bash = scratch.tenantd(&["completions", "bash"]).await;
    let page = scratch.tenantd(&["man"]).await;
    let pages = scratch.tenantd(&["man", "--out", "."]).await;

    assert!(
        bash.stdout.contains("tenantd__subcmd__tenant__subcmd__wait")
            || bash.stdout.contains("tenantd__tenant__wait")
    );
    assert!(page.stdout.contains(".TH tenantd 1") && page.stdout.contains("doctor"), "{page:?}");
    assert_eq!((pages.code, scratch.path("tenantd-tenant-add.1").exists()), (0, true), "{pages:?}");
}

#[tokio::test]
async fn a_reader_that_closes_the_pipe_ends_the_command_quietly() {
    let bench = Bench::new().await;
    bench.given_tenant("customer-1").await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = bench.command(&["tenant", "list"]);

    let output = command.stdout(writer).stderr(Stdio::piped()).output().await.unwrap();

    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]));
}

#[tokio::test]
async fn help_says_of_every_exit_code_what_the_page_of_commands_says() {
    let scratch = Scratch::new();
    let page = include_str!("../../../docs/cli.md");
    let table = page.split("| exit code | means |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let wanted: Vec<String> = rows.map(|(code, meaning)| format!("{code} {meaning}")).collect();

    let ran = scratch.tenantd(&["--help"]).await;

    let said = ran.stdout.split("Exit codes:").nth(1).unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(wanted.len(), 6);
    assert_eq!(said, wanted.join(" "));
}

#[tokio::test]
async fn migrations_are_listed_applied_and_then_up_to_date() {
    let bench = Bench::new().await;
    bench.sql("DROP SCHEMA tenantd CASCADE").await;

    let pending = bench.tenantd(&["migrate", "--status", "--output", "json"]).await;
    let applied = bench.tenantd(&["migrate"]).await;
    let status = bench.tenantd(&["migrate", "--status"]).await;
    let again = bench.tenantd(&["migrate"]).await;

    let first = &pending.json()[0];
    assert_eq!((pending.code, first["applied"].as_bool()), (3, Some(false)), "{pending:?}");
    assert!(applied.code == 0 && applied.stdout.contains("create tenants"), "{applied:?}");
    assert!(status.code == 0 && !status.stdout.contains("pending"), "{status:?}");
    assert_eq!((again.code, again.stdout.as_str()), (0, "the schema is up to date\n"));
}
