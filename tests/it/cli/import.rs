//! Tenants imported from a file: what is inserted, what is rejected and why, and that the same
//! command goes on wherever it was broken off.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::io::AsyncWriteExt as _;

use super::support::{Bench, Ran, Scratch};
use crate::support::pgbouncer::PgBouncer;
use crate::support::process::eventually;
use crate::support::roles::{DAEMON, OPERATOR, PIPELINE, grant};

const LIMIT: Duration = Duration::from_mins(1);
const HEADER: &str = "external_id,host,priority,labels\n";

impl Bench {
    async fn import(&self, name: &str, text: impl AsRef<[u8]>, words: &[&str]) -> Ran {
        std::fs::write(self.scratch.path(name), text).unwrap();
        self.tenantd(&[&["tenant", "import", name], words].concat()).await
    }

    async fn one<T>(&self, query: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin + 'static,
    {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&self.db.pool).await.unwrap()
    }

    async fn tenants(&self) -> i64 {
        self.one("SELECT count(*) FROM tenantd.tenants").await
    }

    /// The address of a login that has this role alone.
    async fn url_of(&self, role: &str) -> (String, String) {
        grant(&self.db.pool).await;
        let login = format!("{}_{role}", self.one::<String>("SELECT current_database()::text").await);
        self.sql(&format!("CREATE ROLE {login} LOGIN")).await;
        self.sql(&format!("GRANT {role} TO {login}")).await;
        let (before, after) = self.db.url.split_once("://").unwrap();
        let after = after.split_once('@').map_or(after, |(_, host)| host);
        (format!("{before}://{login}@{after}"), login)
    }

    async fn without(&self, login: &str) {
        self.sql(&format!("DROP ROLE {login}")).await;
    }
}

impl Scratch {
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

fn good(count: usize) -> String {
    (0..count).fold(HEADER.to_owned(), |mut text, n| {
        writeln!(text, "t{n},t{n}.us.qlikcloud.com,,").unwrap();
        text
    })
}

#[tokio::test]
async fn bad_lines_are_told_with_number_and_rule_kept_with_their_reason_and_keep_no_other_out() {
    let bench = Bench::new().await;
    bench.given_tenant("taken").await;
    let mut lines: Vec<String> = good(3000).lines().map(str::to_owned).collect();
    lines[7] = "up,UP.us.qlikcloud.com,,".to_owned();
    lines[1500] = "late,late.us.qlikcloud.com,500,".to_owned();
    lines[1501] = "host,taken.us.qlikcloud.com,,".to_owned();
    lines[2000] = r#"json,json.us.qlikcloud.com,,"{""a"":""\u0000""}""#.to_owned();
    lines[2500] = "t0,other.us.qlikcloud.com,,".to_owned();
    lines[3000] = "short,short.us.qlikcloud.com".to_owned();

    let ran = bench.import("in.csv", lines.join("\r\n"), &[]).await;

    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (3, "3000 lines: 2994 inserted, 0 there already, 6 rejected\n"),
        "{ran:?}"
    );
    let all = [
        "line 8: the row breaks the rule host_has_no_upper_case: host of tenant up has upper case; Write it in lower case.",
        "line 1501: the row breaks the rule priority_is_minus_100_to_100: ",
        "line 1502: the row breaks the rule host_is_unique: another tenant has this host already",
        "line 2001: the database said: unsupported Unicode escape sequence",
        "line 2501: its external_id is there already, and its row differs in host: an import changes no row",
        "line 3001: has 2 cells, and the header has 4",
        "the rejected lines are in in.rejected.csv",
    ];
    assert_eq!(ran.stderr.lines().count(), all.len(), "{}", ran.stderr);
    for (line, told) in ran.stderr.lines().zip(all) {
        assert!(line.contains(told), "in the order of the file, {told}: {}", ran.stderr);
    }
    let rejected = bench.scratch.read("in.rejected.csv");
    assert!(rejected.starts_with("rejected_because,external_id,host,priority,labels\n"), "{rejected}");
    assert_eq!(bench.tenants().await, 2995);

    let again = bench.import("again.csv", &rejected, &[]).await;
    let mended = rejected
        .replace("UP.us", "up.us")
        .replace(",500,", ",5,")
        .replace("host,taken.us", "host,host.us")
        .replace("\\u0000", "x")
        .replace("t0,other.us", "t99999,other.us")
        .replace("short,short.us.qlikcloud.com", "short,short.us.qlikcloud.com,,");
    let done = bench.import("in.rejected-9.csv", mended, &[]).await;

    assert_eq!(
        (again.code, again.stdout.as_str()),
        (3, "6 lines: 0 inserted, 0 there already, 6 rejected\n")
    );
    assert_eq!(bench.scratch.read("again.rejected.csv"), rejected.replace("\r\n", "\n"));
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, "6 lines: 6 inserted, 0 there already, 0 rejected\n"),
        "{done:?}"
    );
}

#[tokio::test]
async fn what_is_there_with_the_same_wants_is_passed_by_and_other_wants_are_named() {
    let bench = Bench::new().await;
    let full = r#"{"external_id":"a","host":"a.us.qlikcloud.com","profile":"eu","client_name":"A","redirect_uris":["https://x","https://y"],"priority":5,"not_before":"2027-01-31T06:00:00Z","labels":{"team":"a"}}"#;
    let first = bench.import("in.jsonl", format!("{full}\n"), &[]).await;
    let others = [
        full.to_owned(),
        full.replace("\"https://x\",\"https://y\"", "\"https://y\",\"https://x\"")
            .replace("06:00:00Z", "08:00:00+02:00"),
        r#"{"external_id":"a","host":"a.us.qlikcloud.com"}"#.to_owned(),
        full.replace("\"eu\"", "null").replace("\"A\"", "null").replace(":5", ":6"),
        full.replace("a.us", "b.us").replace("\"team\":\"a\"", "").replace("2027", "2028"),
        full.replace("\"https://x\",\"https://y\"", "")
            .replace(",\"priority\"", ",\"desired_state\":\"absent\",\"priority\""),
        full.replace("\"https://y\"", "\"https://y\",\"https://z\""),
        full.replace(",\"https://y\"", ""),
    ];

    let again = bench.import("in.jsonl", others.join("\n"), &["--output", "json"]).await;

    assert_eq!(first.code, 0, "{first:?}");
    let summary = again.json();
    assert_eq!((again.code, &summary["there"], &summary["rejected"]), (3, &3.into(), &5.into()), "{again:?}");
    assert_eq!(summary["rejects"], "in.rejected.jsonl");
    for told in [
        "line 4: its external_id is there already, and its row differs in profile, client_name, priority:",
        "line 5: its external_id is there already, and its row differs in host, not_before, labels:",
        "line 6: its external_id is there already, and its row differs in redirect_uris, desired_state:",
        "line 7: its external_id is there already, and its row differs in redirect_uris:",
        "line 8: its external_id is there already, and its row differs in redirect_uris:",
    ] {
        assert!(again.stderr.contains(told), "{told}: {}", again.stderr);
    }
    bench.sql("UPDATE tenantd.tenants SET desired_state = 'absent'").await;
    let removed = bench.import("in.jsonl", r#"{"external_id":"a","host":"a.us.qlikcloud.com"}"#, &[]).await;
    assert!(removed.stderr.contains("differs in desired_state"), "{removed:?}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_leaves_no_trace() {
    let bench = Bench::new().await;
    bench.given_tenant("t1").await;
    let counts =
        "SELECT (SELECT count(*) FROM tenantd.count_deltas) + (SELECT count(*) FROM tenantd.awaited)";
    let before: i64 = bench.one(counts).await;
    let mut heard = sqlx::postgres::PgListener::connect(&bench.db.url).await.unwrap();
    heard.listen_all(["tenantd_work", "tenantd_events"]).await.unwrap();
    // Behind the first batch: the database has forgotten it.
    let mut text = good(5001);
    text.push_str("t1,t1.us.qlikcloud.com,,\nt2,t2.us.qlikcloud.com,,\nt3,t3.us.qlikcloud.com,7,\nnew,t4.us.qlikcloud.com,,\nup,UP.us.qlikcloud.com,,\n");

    let ran = bench.import("in.csv", text, &["--dry-run"]).await;

    let told =
        "5006 lines: 5000 would be inserted, 3 there already, 3 would be rejected; nothing is changed\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (3, told), "{ran:?}");
    assert!(ran.stderr.contains("line 5005: line 5 has the same external_id, with other wants"), "{ran:?}");
    assert!(
        ran.stderr.contains("line 5006: the row breaks the rule host_is_unique: line 6 has the same host"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("line 5007: the row breaks the rule host_has_no_upper_case"), "{ran:?}");
    assert_eq!((bench.tenants().await, bench.one::<i64>(counts).await), (1, before));
    assert!(!bench.scratch.path("in.rejected.csv").exists());
    // What is said now comes behind anything that was said before.
    bench.sql("SELECT pg_notify('tenantd_work', 'the end')").await;
    assert_eq!(heard.recv().await.unwrap().payload(), "the end");
}

#[tokio::test]
async fn a_file_that_cannot_be_meant_is_refused_before_the_database_is_asked() {
    let scratch = Scratch::new();
    let refused = async |name: &str, text: &[u8], words: &[&str], part: &str| {
        std::fs::write(scratch.path(name), text).unwrap();
        let words = [&["tenant", "import", name], words].concat();
        let ran = Ran::of(
            scratch
                .command(&words)
                .env("TENANTD_DATABASE__URL", "postgres://127.0.0.1:1/none")
                .output()
                .await
                .unwrap(),
        );
        ran.assert_refused(2, &[part]);
    };

    refused("a.csv", b"external_id,hots\n", &[], "there is no column \"hots\": did you mean host?").await;
    refused("a.csv", b"external_id,host,desired_version\n", &[], "desired_version is not imported").await;
    refused("a.csv", b"external_id,host,host\n", &[], "the header names host twice").await;
    refused("a.csv", b"\xff\xfee\0", &[], "the header is not UTF-8").await;
    refused("a.csv", b"", &[], "the file is empty").await;
    refused(
        "a.jsonl",
        b"\n{\"external_id\":\"a\",\"hots\":\"b\"}\n",
        &[],
        "line 2: there is no column \"hots\"",
    )
    .await;
    refused("a.txt", b"", &[], "say which with --format").await;
    std::fs::write(scratch.path("out.csv"), "mine").unwrap();
    refused(
        "a.csv",
        HEADER.as_bytes(),
        &["--rejects", "out.csv"],
        "out.csv is there already, and is not overwritten",
    )
    .await;
    assert_eq!(scratch.read("out.csv"), "mine");
}

#[tokio::test]
async fn odd_bytes_cost_their_own_line_and_are_kept_as_they_were() {
    let bench = Bench::new().await;
    let long = "x".repeat(300_000);
    let mut text = b"\xef\xbb\xbfexternal_id,host,client_name\r\n".to_vec();
    text.extend_from_slice(b"a,a.us.qlikcloud.com,\"two\r\nlines\"\r\n\r\nb,b.us.qlikcloud.com,K\xf6ln\r\n");
    text.extend_from_slice(format!("c,c.us.qlikcloud.com,{long}\r\nd\0,d.us.qlikcloud.com,\r\n").as_bytes());
    text.extend_from_slice(b"e,e.us.qlikcloud.com,\"tab\there, back\\slash \"\"quoted\"\"\"");

    let ran = bench.import("in.csv", text, &[]).await;

    assert_eq!(ran.stdout, "5 lines: 2 inserted, 0 there already, 3 rejected\n", "{ran:?}");
    for told in [
        "line 5: client_name is not UTF-8",
        "line 6: is longer than 262144 bytes",
        "line 7: external_id holds a NUL",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    let rejected = std::fs::read(bench.scratch.path("in.rejected.csv")).unwrap();
    assert!(rejected.windows(5).any(|bytes| bytes == b"K\xf6ln\n") && rejected.len() < 1000, "{rejected:?}");
    let names: Vec<String> =
        bench.one("SELECT array_agg(client_name ORDER BY external_id) FROM tenantd.tenants").await;
    assert_eq!(names, ["two\r\nlines", "tab\there, back\\slash \"quoted\""]);
}

#[tokio::test]
async fn a_line_that_no_cells_can_be_read_of_can_be_found_and_mended() {
    let bench = Bench::new().await;
    let long = "x".repeat(300_000);
    let text = format!(
        "external_id,host\r\na,a.us.qlikcloud.com\r\n{long},\r\nb,\"b.us.qlikcloud.com\r\nc,c.us.qlikcloud.com\r\n"
    );
    let first = bench.import("in.csv", text, &[]).await;
    let rejected = bench.scratch.read("in.rejected.csv");
    let again = bench.import("again.csv", &rejected, &[]).await;
    let half = rejected.replace("\"b,\"\"b.us.qlikcloud.com\"", "b,\"b.us.qlikcloud.com");
    let still_open = bench.import("half.csv", half, &[]).await;
    let mended = rejected.replace("\"b,\"\"b.us.qlikcloud.com\"", "b,b.us.qlikcloud.com");
    let done = bench.import("mended.csv", mended, &[]).await;

    assert_eq!(first.stdout, "4 lines: 2 inserted, 0 there already, 2 rejected\n", "{first:?}");
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!((lines[0], lines.len()), ("rejected_because,external_id,host", 3), "{rejected}");
    assert_eq!(lines[1], "line 3 of in.csv: is longer than 262144 bytes");
    assert!(
        lines[2].starts_with("\"line 4 of in.csv: opens a quote that is closed at the end of no cell ")
            && lines[2].ends_with("\",\"b,\"\"b.us.qlikcloud.com\""),
        "{rejected}"
    );
    assert_eq!(again.stdout, "2 lines: 0 inserted, 0 there already, 2 rejected\n", "{again:?}");
    assert_eq!(
        bench.scratch.read("again.rejected.csv").lines().skip(1).collect::<Vec<_>>(),
        [
            "\"has 0 cells, and the header has 2\"",
            "\"has 1 cells, and the header has 2\",\"b,\"\"b.us.qlikcloud.com\""
        ]
    );
    assert_eq!(still_open.stdout, "2 lines: 0 inserted, 0 there already, 2 rejected\n", "{still_open:?}");
    let still_open = bench.scratch.read("half.rejected.csv");
    assert!(still_open.ends_with("\",\"b,\"\"b.us.qlikcloud.com\"\n"), "{still_open}");
    assert!(still_open.contains("line 3 of half.csv: opens a quote"), "{still_open}");
    assert_eq!(done.stdout, "2 lines: 1 inserted, 0 there already, 1 rejected\n", "{done:?}");
    assert_eq!(bench.tenants().await, 3);
}

#[tokio::test]
async fn lines_that_end_with_cr_are_lines() {
    let bench = Bench::new().await;
    let text = "external_id,host\ra,a.us.qlikcloud.com\rb,\"b.us.qlikcloud.com\rc,c.us.qlikcloud.com\rUP,UP.us.qlikcloud.com\r";

    let ran = bench.import("in.csv", text, &[]).await;

    assert_eq!(ran.stdout, "4 lines: 2 inserted, 0 there already, 2 rejected\n", "{ran:?}");
    assert!(
        ran.stderr.contains("line 3: opens a quote") && ran.stderr.contains("line 5: the row breaks"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_file_in_which_line_after_line_leaves_a_quote_open_is_not_read_on() {
    let bench = Bench::new().await;
    let good = "a,a.us.qlikcloud.com\nb,b.us.qlikcloud.com\n";
    let text = format!("external_id,host\n{good}{}", "a\",\"\n".repeat(200_000));

    let ran = bench.import("in.csv", text, &[]).await;

    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.contains("one line after the other leaves a quote open"), "{ran:?}");
    assert!(ran.stderr.contains(": the same command with a file that is mended goes on"), "{ran:?}");
    assert_eq!(bench.tenants().await, 2, "the lines before are inserted");
}

/// Its end is the next cell's beginning, and the lines between would be one cell.
#[tokio::test]
async fn a_quote_that_the_next_one_closes_takes_no_line_with_it() {
    let bench = Bench::new().await;
    let row = |id: &str, name: &str| format!("{id},{id}.us.qlikcloud.com,{name}\n");
    let rows =
        [row("a", "\"Acme"), row("b", "Bolt"), row("c", "\"Cargo\""), row("d", "\"Dy\" no"), row("e", "E")];
    let text = format!("external_id,host,client_name\n{}", rows.concat());

    let ran = bench.import("in.csv", text, &[]).await;

    assert_eq!(ran.stdout, "5 lines: 3 inserted, 0 there already, 2 rejected\n", "{ran:?}");
    assert!(
        ran.stderr.contains("line 2: opens a quote") && ran.stderr.contains("line 5: opens a quote"),
        "{ran:?}"
    );
    let names = "SELECT string_agg(client_name, ' ' ORDER BY external_id) FROM tenantd.tenants";
    let names: String = sqlx::query_scalar(names).fetch_one(&bench.db.pool).await.unwrap();
    assert_eq!(names, "Bolt Cargo E");
}

#[tokio::test]
async fn who_has_no_room_for_the_rejected_lines_is_told_that_not_all_are_there() {
    let bench = Bench::new().await;
    let text = format!("external_id,host\n{}", "short\n".repeat(100));
    bench.scratch.file("in.csv", &text);
    let program = bench.command(&["tenant", "import", "in.csv"]);
    let mut command = tokio::process::Command::new("sh");
    // A file has no more than a block then, and whoever writes on is told instead of ended.
    command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"]);
    command.arg(program.as_std().get_program()).args(program.as_std().get_args());
    command.current_dir(program.as_std().get_current_dir().unwrap());
    for (name, value) in program.as_std().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }

    let ran = Ran::of(command.output().await.unwrap());

    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(
        ran.stderr.contains("not all of the rejected lines are in in.rejected.csv: File too large"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("the rejected lines are in in.rejected.csv, each"), "{ran:?}");
    assert!(ran.stderr.contains("error: in.rejected.csv cannot be written on: File too large"), "{ran:?}");
    assert!(ran.stderr.contains("the same command with another --rejects goes on"), "{ran:?}");
    assert!(ran.stderr.ends_with("make room, or name another with --rejects\n"), "{ran:?}");
    let nowhere = bench.tenantd(&["tenant", "import", "in.csv", "--rejects", "nowhere/r.csv"]).await;
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
    assert!(nowhere.stderr.contains("the same command with another --rejects goes on"), "{nowhere:?}");
}

#[tokio::test]
async fn standard_input_is_read_and_its_rejected_lines_are_kept() {
    let bench = Bench::new().await;
    let mut command = bench.command(&["tenant", "import", "-", "--format", "jsonl"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"external_id\":\"a\",\"host\":\"a.us.qlikcloud.com\"}\nnonsense\n").await.unwrap();
    drop(input);

    let ran = Ran::of(child.wait_with_output().await.unwrap());

    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (3, "2 lines: 1 inserted, 0 there already, 1 rejected\n"),
        "{ran:?}"
    );
    let rejected = bench.scratch.read("import.rejected.jsonl");
    assert!(
        rejected.starts_with("{\"rejected_because\":\"is no JSON object")
            && rejected.ends_with("\nnonsense\n")
    );
}

#[tokio::test]
async fn an_import_that_is_killed_or_interrupted_is_finished_by_the_same_command() {
    let bench = Bench::new().await;
    let text = good(12_000);
    let begin = async |sent: &str| {
        let mut command = bench.command(&["tenant", "import", "-", "--format", "csv"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(sent.as_bytes()).await.unwrap();
        (child, input)
    };
    let reached = async |least: i64| {
        eventually("so many are there", LIMIT, || async { bench.tenants().await >= least }).await;
    };
    let (mut killed, kept_open) = begin(&text[..text.len() / 2]).await;
    reached(5000).await;
    killed.start_kill().unwrap();
    killed.wait().await.unwrap();
    drop(kept_open);

    // The pipe stays open: only the signal can end it.
    let (interrupted, kept_open) = begin(&text[..text.len() - 100]).await;
    reached(10_000).await;
    let pid = interrupted.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let interrupted = Ran::of(interrupted.wait_with_output().await.unwrap());
    drop(kept_open);

    assert_eq!(interrupted.code, 1, "{interrupted:?}");
    assert!(
        interrupted.stdout.starts_with("10000 lines: 5000 inserted, 5000 there already"),
        "{interrupted:?}"
    );
    assert!(
        interrupted.stderr.contains("ended behind line 10001: the same command goes on"),
        "{interrupted:?}"
    );
    let ran = bench.import("all.csv", text, &[]).await;
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "12000 lines: 2000 inserted, 10000 there already, 0 rejected\n"),
        "{ran:?}"
    );
}

impl Bench {
    /// When the transaction of an import began that waits for a lock.
    async fn waiting_since(&self) -> Option<String> {
        sqlx::query_scalar(
            "SELECT xact_start::text FROM pg_stat_activity
              WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%-- import.insert%'",
        )
        .fetch_optional(&self.db.pool)
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_row_that_somebody_is_inserting_is_waited_for_in_one_transaction_after_another() {
    let bench = Bench::new().await;
    let mut other = bench.db.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ('t1', 't1.us.qlikcloud.com')")
        .execute(&mut *other)
        .await
        .unwrap();
    let waits = async || {
        eventually("it waits", LIMIT, || async { bench.waiting_since().await.is_some() }).await;
        bench.waiting_since().await
    };

    let first = async {
        let first = waits().await;
        let is_another = || async { bench.waiting_since().await.is_some_and(|since| Some(since) != first) };
        eventually("another transaction waits", LIMIT, is_another).await;
        other.commit().await.unwrap();
    };
    let (ran, ()) = tokio::join!(bench.import("in.csv", good(3), &[]), first);

    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "3 lines: 2 inserted, 1 there already, 0 rejected\n"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_second_signal_breaks_off_in_the_middle_of_a_batch() {
    let bench = Bench::new().await;
    let mut other = bench.db.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ('t1', 't1.us.qlikcloud.com')")
        .execute(&mut *other)
        .await
        .unwrap();
    std::fs::write(bench.scratch.path("in.csv"), good(3)).unwrap();
    let mut command = bench.command(&["tenant", "import", "in.csv"]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("it waits", LIMIT, || async { bench.waiting_since().await.is_some() }).await;

    let pid = running.id().unwrap().to_string();
    for signal in ["-INT", "-TERM"] {
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
    let ran = Ran::of(running.wait_with_output().await.unwrap());

    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    for told in
        ["a second signal breaks off", "broken off in the middle of a batch", "the same command goes on"]
    {
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    }
    other.rollback().await.unwrap();
    assert_eq!(bench.tenants().await, 0);
}

/// A server process remembers 64 of them; with more, everybody's snapshots have to look them up.
#[tokio::test]
async fn a_transaction_has_no_more_subtransactions_than_a_server_remembers() {
    let bench = Bench::new().await;
    for statement in [
        "CREATE TABLE seen (external_id text, whole xid8)",
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO public.seen VALUES (NEW.external_id, pg_current_xact_id()); RETURN NEW; END'",
        "CREATE TRIGGER see AFTER INSERT ON tenantd.tenants FOR EACH ROW EXECUTE FUNCTION see()",
    ] {
        bench.sql(statement).await;
    }
    let text =
        good(300).lines().fold(String::new(), |text, line| text + line + "\nbad,BAD.us.qlikcloud.com,,\n");

    let ran = bench.import("in.csv", text.replacen("bad,BAD.us.qlikcloud.com,,\n", "", 1), &[]).await;

    assert_eq!(ran.stdout, "600 lines: 300 inserted, 0 there already, 300 rejected\n");
    let most: i64 = bench
        .one(
            "SELECT max(parts) FROM (SELECT count(DISTINCT t.xmin::text) AS parts
                                       FROM seen JOIN tenantd.tenants AS t USING (external_id) GROUP BY whole) AS all_of",
        )
        .await;
    assert!(most <= 64, "{most}");
}

#[tokio::test]
async fn pipeline_and_daemon_may_import_and_who_may_not_is_told_what_is_missing() {
    let bench = Bench::new().await;
    let line = |id: &str| {
        format!(
            "external_id,host,desired_state,priority,not_before,labels,profile,client_name,redirect_uris\n{id},{id}.us.qlikcloud.com,present,1,2027-01-31T06:00:00Z,\"{{}}\",eu,N,https://a https://b\n"
        )
    };
    for (id, role) in [("a", PIPELINE), ("b", DAEMON)] {
        let (url, login) = bench.url_of(role).await;
        bench.scratch.file("in.csv", &line(id));
        let ran = bench.tenantd_on(&url, &["tenant", "import", "in.csv"]).await;
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (0, "1 line: 1 inserted, 0 there already, 0 rejected\n"),
            "{role}: {ran:?}"
        );
        bench.without(&login).await;
    }

    bench.scratch.file("in.csv", &line("c"));
    let (url, login) = bench.url_of(OPERATOR).await;
    let operator = bench.tenantd_on(&url, &["tenant", "import", "in.csv"]).await;
    bench.without(&login).await;
    let database: String = bench.one("SELECT current_database()::text").await;
    bench.sql(&format!("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")).await;
    let (url, login) = bench.url_of(PIPELINE).await;
    let bare = bench.tenantd_on(&url, &["tenant", "import", "in.csv"]).await;
    bench.without(&login).await;

    assert_eq!((operator.code, bare.code), (2, 2), "{operator:?} {bare:?}");
    assert!(operator.stderr.contains("a login that has tenantd_pipeline or tenantd_daemon"), "{operator:?}");
    assert!(bare.stderr.contains("GRANT TEMPORARY ON DATABASE"), "{bare:?}");
    assert_eq!(bench.tenants().await, 2);
}

#[tokio::test]
async fn an_import_goes_through_a_pooler_that_keeps_no_session() {
    let bench = Bench::new().await;
    let bouncer =
        PgBouncer::before(&bench.db.url, "import", "pool_mode = transaction\ndefault_pool_size = 1").await;
    let mut text = good(6000);
    text.push_str("up,UP.us.qlikcloud.com,,\n");
    std::fs::write(bench.scratch.path("in.csv"), text).unwrap();
    let words = ["tenant", "import", "in.csv"];
    let ran = Ran::of(
        bench
            .command(&words)
            .env("TENANTD_DATABASE__URL", &bouncer.url)
            .env("TENANTD_DATABASE__POOLER", "transaction")
            .output()
            .await
            .unwrap(),
    );

    assert_eq!(ran.stdout, "6001 lines: 6000 inserted, 0 there already, 1 rejected\n", "{ran:?}");
    assert!(!bouncer.log().contains("ERROR"), "{}", bouncer.log());
}

#[tokio::test]
async fn what_csv_lists_is_imported_elsewhere_as_it_was() {
    let (here, there) = (Bench::new().await, Bench::new().await);
    for n in 0..1500 {
        here.given_tenant(&format!("t{n}")).await;
    }
    here.sql(
        "INSERT INTO tenantd.tenants (external_id, host, profile, client_name, redirect_uris, desired_state, priority, not_before, labels)
         VALUES (E' a,\"\\n\\u202e', 'a.us.qlikcloud.com', 'eu', E'N \"x\"\\r\\n', ARRAY['https://x', 'https://y'], 'present', -5, '2027-01-31 06:00:00.123456+00', '{\"n\": 12345678901234567890.5}'),
                ('none', 'none.us.qlikcloud.com', 'default', NULL, '{}', 'absent', 0, NULL, '{}')",
    )
    .await;
    let listed = here.tenantd(&["tenant", "list", "--output", "csv"]).await;
    let some = here.tenantd(&["tenant", "list", "--output", "csv", "--filter", "profile:eu"]).await;

    let ran = there.import("fleet.csv", &listed.stdout, &[]).await;

    assert_eq!((listed.code, listed.stderr.as_str()), (0, ""), "{}", listed.stderr);
    assert_eq!(ran.stdout, "1502 lines: 1502 inserted, 0 there already, 0 rejected\n", "{ran:?}");
    let all = "SELECT md5(string_agg(concat_ws('|', external_id, host, profile, coalesce(client_name, 'NULL'), coalesce(redirect_uris::text, 'NULL'),
                      desired_state, priority, not_before, labels), E'\\n' ORDER BY external_id)) FROM tenantd.tenants";
    assert_eq!(here.one::<String>(all).await, there.one::<String>(all).await);
    assert_eq!(some.stdout.lines().count(), 4, "{some:?}");
    let few = ["tenant", "list", "--output", "csv", "--filter", "profile:default", "--limit", "1001"];
    assert_eq!(here.tenantd(&few).await.stdout.lines().count(), 1 + 1001, "more than a page, and no more");
    let again = there.import("fleet.csv", &listed.stdout, &[]).await;
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (0, "1502 lines: 0 inserted, 1502 there already, 0 rejected\n"),
        "{again:?}"
    );
}
