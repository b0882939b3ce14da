//! Text that an owner or Qlik wrote, wherever a person may read it.

use serde_json::Value;
use tenantd::domain::text::is_hidden;

use super::support::{Bench, Ran};

/// Line breaks, a terminal's commands in both spellings, text that runs backwards, and
/// what nobody sees.
const HOSTILE: &str = "a\nFORGED\r\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{2028}\u{feff}\u{200b}\u{ad}z";

/// As it is shown.
const SHOWN: &str = r"a\nFORGED\r\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{2028}\u{feff}\u{200b}\u{ad}z";

#[track_caller]
fn assert_plain(words: &[&str], text: &str) {
    for line in text.split('\n') {
        assert!(!line.chars().any(is_hidden), "{words:?}: {line:?}");
        assert!(!line.trim_start().starts_with("FORGED"), "{words:?}: {text}");
    }
}

/// A tenant of whom everything that others write is hostile.
async fn given_hostile_tenant(bench: &Bench) {
    let row = "INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, 'victim.us.qlikcloud.com')";
    sqlx::query(row).bind(HOSTILE).execute(&bench.db.pool).await.unwrap();
    let hostile = "UPDATE tenantd.tenants
        SET profile = $1, client_name = $1, labels = jsonb_build_object($1::text, $1::text),
            parked_reason = 'NameTaken', message = $1, paused_at = tenantd.clock(), pause_reason = $1, due_at = NULL";
    sqlx::query(hostile).bind(HOSTILE).execute(&bench.db.pool).await.unwrap();
    let attempt = "INSERT INTO tenantd.attempts
            (tenant_id, phase, effect, outcome, http_status, error_code, trace_id, message, started_at, duration_ms, holder)
        SELECT tenant_id, phase, 'create', 'failed', 400, $1, $1, $1, tenantd.clock(), 1, gen_random_uuid() FROM tenantd.tenants";
    sqlx::query(attempt).bind(HOSTILE).execute(&bench.db.pool).await.unwrap();
    let pause = "INSERT INTO tenantd.pauses (region, reason) VALUES ($1, $1)";
    sqlx::query(pause).bind(HOSTILE).execute(&bench.db.pool).await.unwrap();
}

#[tokio::test]
async fn no_command_lets_hostile_text_make_a_line_or_steer_the_terminal() {
    let bench = Bench::new().await;
    given_hostile_tenant(&bench).await;
    let config = bench.scratch.config("").await;
    let config = config.to_str().unwrap();

    for words in [
        &["tenant", "list"][..],
        &["tenant", "show", HOSTILE],
        &["tenant", "history", HOSTILE],
        &["tenant", "explain", HOSTILE],
        &["tenant", "wait", HOSTILE, "--timeout", "10ms"],
        &["tenant", "rotate", HOSTILE],
        &["tenant", "rotate", "--rollback", HOSTILE],
        &["tenant", "pause", HOSTILE, "--reason", HOSTILE],
        &["tenant", "resume", HOSTILE],
        &["tenant", "retry", "--recreate", HOSTILE],
        &["tenant", "retry", HOSTILE],
        &["tenant", "add", HOSTILE, "other.us.qlikcloud.com"],
        &["tenant", "add", HOSTILE, "victim.us.qlikcloud.com"],
        &["tenant", "drift", HOSTILE],
        &["tenant", "tokens", "list", HOSTILE],
        &["tenant", "adopt", HOSTILE, "--client-id", HOSTILE],
        &["tenant", "remove", HOSTILE],
        &["tenant", "forget", HOSTILE, "--reason", HOSTILE],
        &["tenant", "show", "\nFORGED"],
        &["secret", "reveal", HOSTILE, "--yes"],
        &["fleet", "status"],
        &["fleet", "pause", "--region", HOSTILE, "--reason", HOSTILE],
        &["fleet", "resume", "--region", HOSTILE],
        &["census", "--region", HOSTILE],
        &["rejoin", "--status"],
        &["tenant", "remove", HOSTILE, "--yes"],
        &["tenant", "forget", HOSTILE, "--reason", HOSTILE, "--yes"],
    ] {
        let ran = bench.tenantd(&[words, &["--config", config]].concat()).await;

        assert_plain(words, &ran.stdout);
        assert_plain(words, &ran.stderr);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(r"\nFORGED") || words[0] == "rejoin", "{words:?} tell nothing of it: {ran:?}");
    }
}

#[tokio::test]
async fn a_program_reads_hostile_text_as_it_was_written() {
    let bench = Bench::new().await;
    given_hostile_tenant(&bench).await;
    let config = bench.scratch.config("").await;
    let json = async |words: &[&str]| {
        let common = ["--output", "json", "--config", config.to_str().unwrap()];
        let ran: Ran = bench.tenantd(&[words, &common].concat()).await;
        assert_plain(words, &ran.stdout);
        ran.json()
    };

    let list = json(&["tenant", "list"]).await;
    let shown = json(&["tenant", "show", HOSTILE]).await;
    let history = json(&["tenant", "history", HOSTILE]).await;
    let fleet = json(&["fleet", "status"]).await;

    assert_eq!((&list[0]["external_id"], &list[0]["labels"][HOSTILE]), (&HOSTILE.into(), &HOSTILE.into()));
    assert_eq!(shown["message"], HOSTILE);
    assert_eq!((&history[0]["error_code"], &history[0]["trace_id"]), (&HOSTILE.into(), &HOSTILE.into()));
    assert_eq!(fleet["pauses"][0]["reason"], HOSTILE);
}

#[tokio::test]
async fn a_hostile_row_forges_no_line_of_the_log_in_either_format() {
    for format in ["text", "json"] {
        let bench = Bench::new().await;
        // No region allows its host, so it is parked, and the log tells whose row it is.
        let row = "INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, 'a.elsewhere.example')";
        sqlx::query(row).bind(HOSTILE).execute(&bench.db.pool).await.unwrap();
        let config =
            bench.scratch.config(&format!("[log]\nformat = \"{format}\"\nlevel = \"trace\"\n")).await;

        let ran = bench.tenantd(&["run", "--once", "--config", config.to_str().unwrap()]).await;

        assert_eq!(ran.code, 4, "{ran:?}");
        assert_plain(&[format], &ran.stderr);
        if format == "json" {
            let lines: Vec<Value> =
                ran.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
            let whose = |line: &Value| line["span"]["tenant.external_id"].clone();
            assert!(lines.iter().any(|line| whose(line) == HOSTILE), "{}", ran.stderr);
        } else {
            assert!(ran.stderr.lines().all(|line| line.starts_with("20")), "{}", ran.stderr);
            assert!(ran.stderr.contains(SHOWN), "{}", ran.stderr);
        }
    }
}

#[tokio::test]
async fn what_the_status_says_of_a_hostile_row_is_plain_for_whoever_reads_the_view() {
    let bench = Bench::new().await;
    let row = "INSERT INTO tenantd.tenants (external_id, host, profile)
        VALUES ('customer-1', 'victim.us.qlikcloud.com', $1)";
    sqlx::query(row).bind(HOSTILE).execute(&bench.db.pool).await.unwrap();
    let config = bench.scratch.config("").await;

    let ran = bench.tenantd(&["run", "--once", "--config", config.to_str().unwrap()]).await;

    let status = "SELECT reason, message FROM tenantd.status WHERE external_id = 'customer-1'";
    let (reason, message): (String, String) = sqlx::query_as(status).fetch_one(&bench.db.pool).await.unwrap();
    assert_eq!((ran.code, &*reason), (4, "UnknownProfile"), "{ran:?}");
    assert!(message.contains(SHOWN) && !message.chars().any(is_hidden), "{message:?}");
}
