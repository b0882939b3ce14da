//! `tenantd tenant wait` ends when there is an answer, and says which.

use std::process::Stdio;
use std::time::Duration;

use super::support::Bench;

#[tokio::test]
async fn all_who_match_are_waited_for_without_a_question() {
    let bench = Bench::new().await;
    for id in ["a", "b", "c"] {
        bench.given_tenant(id).await;
        bench.make_ready(id).await;
    }
    bench.given_tenant("d").await;

    let ready = bench.tenantd(&["tenant", "wait", "--filter", "-d", "--after", "a"]).await;
    let late = bench.tenantd(&["tenant", "wait", "--filter", "since:0s", "--timeout", "100ms"]).await;
    let neither = bench.tenantd(&["tenant", "wait"]).await;

    assert_eq!((ready.code, ready.stdout.as_str()), (0, "b is ready\nc is ready\n"), "{ready:?}");
    assert_eq!(ready.stderr, "2 tenants match\n");
    assert_eq!((late.code, late.stdout.lines().count()), (5, 4), "{late:?}");
    assert_eq!(neither.code, 2, "{neither:?}");
}

#[tokio::test]
async fn waiting_ends_with_0_as_soon_as_the_last_tenant_is_ready() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;
    bench.given_tenant("b").await;
    bench.make_ready("a").await;
    let mut command = bench.command(&["tenant", "wait", "a", "b"]);
    let waiting = command.stdout(Stdio::piped()).spawn().unwrap();
    let listening = "SELECT EXISTS (SELECT FROM pg_stat_activity
                      WHERE datname = current_database() AND query = 'LISTEN \"tenantd_events\"')";
    while !sqlx::query_scalar::<_, bool>(listening).fetch_one(&bench.db.pool).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    bench.make_ready("b").await;
    let output =
        tokio::time::timeout(Duration::from_secs(30), waiting.wait_with_output()).await.unwrap().unwrap();

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "a is ready\nb is ready\n");
}

#[tokio::test]
async fn waiting_ends_with_4_when_a_tenant_needs_a_human() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;
    bench.given_tenant("b").await;
    bench.make_ready("a").await;
    bench.park("b", "NameTaken").await;

    let ran = bench.tenantd(&["tenant", "wait", "a", "b"]).await;
    let json = bench.tenantd(&["tenant", "wait", "a", "b", "--output", "json"]).await;

    assert_eq!((ran.code, json.code), (4, 4), "{ran:?}");
    assert!(ran.stdout.contains("b needs a human, phase pending, NameTaken: do this"), "{ran:?}");
    assert_eq!((&json.json()[0]["ready"], &json.json()[1]["reason"]), (&true.into(), &"NameTaken".into()));
}

#[tokio::test]
async fn waiting_ends_with_5_when_the_time_is_up() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;

    let ran = bench.tenantd(&["tenant", "wait", "a", "--timeout", "200ms"]).await;
    let added =
        bench.tenantd(&["tenant", "add", "b", "b.us.qlikcloud.com", "--wait", "--timeout", "200ms"]).await;

    assert_eq!((ran.code, added.code), (5, 5), "{ran:?} {added:?}");
    assert!(ran.stdout.contains("a is not ready yet, phase pending, Queued"), "{ran:?}");
}
