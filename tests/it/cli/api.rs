//! A running daemon's API: its tokens, its files, its door.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::daemon::Daemon;
use super::support::{Bench, Ran};

async fn asked(address: &str, first: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{first} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[tokio::test]
async fn a_daemon_reads_its_token_files_anew_and_acts_for_whoever_has_the_right_one() {
    let bench = Bench::new().await;
    bench.given_tenant("customer-1").await;
    bench.park("customer-1", "NameTaken").await;
    let (looks, acts) = (
        bench.scratch.file("looks", "first-of-who-looks\n"),
        bench.scratch.file("acts", "alice s3cret-of-who-acts\n"),
    );
    let config = bench.scratch.config(&format!("token_file = {looks:?}\nact_token_file = {acts:?}\n")).await;
    let mut daemon = Daemon::start(bench.command(&["run", "--config", config.to_str().unwrap()]));
    let address = daemon.address().await;
    let page = "GET /api/v1/tenants/customer-1";

    let before = asked(&address, page, "first-of-who-looks", "").await;
    let new = bench.scratch.file("looks.new", "second-of-who-looks\n");
    std::fs::rename(new, &looks).unwrap();
    let (old, new) = (
        asked(&address, page, "first-of-who-looks", "").await,
        asked(&address, page, "second-of-who-looks", "").await,
    );
    std::fs::remove_file(&looks).unwrap();
    let gone = asked(&address, page, "second-of-who-looks", "").await;
    let pause = "POST /api/v1/tenants/customer-1/pause";
    let paused = asked(&address, pause, "s3cret-of-who-acts", r#"{"reason": "ticket 1"}"#).await;
    let history = bench.tenantd(&["tenant", "history", "customer-1", "--output", "json"]).await;

    assert_eq!([before.0, old.0, new.0, gone.0, paused.0], [200, 401, 200, 503, 200], "{paused:?}");
    assert!(before.1.contains(r#""external_id":"customer-1""#), "{before:?}");
    assert_eq!(history.json()[0]["message"], "ticket 1; asked for by alice over HTTP");
}

#[tokio::test]
async fn a_daemon_that_others_could_read_from_does_not_start() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    let mut command = bench.command(&["run", "--config", config.to_str().unwrap()]);
    command.env("TENANTD_HTTP__LISTEN", "0.0.0.0:0");

    let ran = Ran::of(command.output().await.unwrap());

    ran.assert_refused(2, &["http.listen", "0.0.0.0:0", "set http.token_file"]);
}
