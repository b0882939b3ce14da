//! The pages, over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::telemetry::metrics::{CLAIMS_TOTAL, Metrics};

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

const PATIENT: serve::Patience = serve::Patience {
    head: Duration::from_mins(1),
    life: Duration::from_mins(1),
    end: Duration::from_millis(100),
};

async fn given_pages(readiness: Readiness, token: Option<&str>) -> Served {
    let patience = serve::Patience { head: Duration::from_millis(200), ..PATIENT };
    given_patient_pages(readiness, token, patience).await
}

async fn given_patient_pages(readiness: Readiness, token: Option<&str>, patience: serve::Patience) -> Served {
    let (recorder, metrics) = Metrics::local();
    metrics::with_local_recorder(&recorder, || metrics::counter!(CLAIMS_TOTAL).increment(3));
    let door = Door { looks: token.map(always), acts: None };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let pages = Pages { readiness, metrics, door, api: Router::new(), status: Router::new() };
    let task = tokio::spawn(serve::serve_with(listener, pages, stop.clone(), patience));
    Served { address, stop, task }
}

fn always(token: &str) -> TokenSource {
    let token = Token::new(&SecretString::from(token), Some(format!("who-has-{token}")));
    TokenSource::new(move || Ok(token.clone()))
}

fn ready() -> Readiness {
    Readiness::new(async || Report::ready())
}

impl Served {
    /// Sends one request and reads until the server closes.
    async fn ask(&self, method: &str, path: &str, header: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn status(&self, method: &str, path: &str, header: &str) -> u16 {
        let answer = self.ask(method, path, header).await;
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn a_ready_process_says_so_and_no_more() {
    let served = given_pages(ready(), None).await;

    let (alive, ready) = (served.ask("GET", "/healthz", "").await, served.ask("GET", "/readyz", "").await);

    assert!(alive.starts_with("HTTP/1.1 200 ") && body(&alive) == "alive\n", "{alive}");
    assert!(ready.starts_with("HTTP/1.1 200 ") && body(&ready) == "ready\n", "{ready}");
}

#[tokio::test]
async fn a_process_that_is_not_ready_says_why_and_stays_alive() {
    let report = Report {
        database: Ok(()),
        schema: Err("2 migrations are missing; run `tenantd migrate`".to_owned()),
        worker: Err("the loop has not gone round for 61 s".to_owned()),
    };
    let served = given_pages(Readiness::new(move || std::future::ready(report.clone())), None).await;

    let answer = served.ask("GET", "/readyz", "").await;
    let alive = served.status("GET", "/healthz", "").await;

    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(
        body(&answer),
        "schema: 2 migrations are missing; run `tenantd migrate`\nworker: the loop has not gone round for 61 s\n"
    );
    assert_eq!(alive, 200);
}

#[tokio::test]
async fn a_check_that_hangs_is_itself_the_reason() {
    let served = given_pages(Readiness::new(std::future::pending::<Report>), None).await;

    let answer = served.ask("GET", "/readyz", "").await;

    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(body(&answer), "the checks did not finish within 3 s\n");
}

#[tokio::test]
async fn metrics_need_the_token_where_there_is_one_and_health_never_does() {
    let served = given_pages(ready(), Some("open-sesame")).await;

    for (header, status) in [
        ("", 401),
        ("authorization: Bearer open-sesam\r\n", 401),
        ("authorization: Bearer \r\n", 401),
        ("authorization: Basic open-sesame\r\n", 401),
        ("authorization: Bearer open-sesame\r\n", 200),
        ("authorization: bearer open-sesame\r\n", 200),
    ] {
        assert_eq!(served.status("GET", "/metrics", header).await, status, "{header:?}");
    }
    assert_eq!(served.status("GET", "/healthz", "").await, 200);
    assert_eq!(served.status("GET", "/readyz", "").await, 200);
}

#[tokio::test]
async fn a_refusal_says_what_is_asked_for_and_shows_neither_token_nor_metric() {
    let served = given_pages(ready(), Some("open-sesame")).await;

    let answer = served.ask("GET", "/metrics", "authorization: Bearer guess\r\n").await;

    assert!(answer.contains("\r\nwww-authenticate: Bearer\r\n"), "{answer}");
    assert!(body(&answer).contains("http.token_file"), "{answer}");
    assert!(!answer.contains("sesame") && !answer.contains(CLAIMS_TOTAL), "{answer}");
}

#[tokio::test]
async fn metrics_are_shown_in_the_text_format_of_prometheus() {
    let served = given_pages(ready(), None).await;

    let answer = served.ask("GET", "/metrics", "").await;

    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    assert!(body(&answer).lines().any(|line| line == "tenantd_claims_total 3"), "{answer}");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_nothing_can_be_written() {
    let served = given_pages(ready(), Some("open-sesame")).await;

    for (method, path, status) in [
        ("GET", "/", 303),
        ("GET", "/metrics/", 404),
        ("POST", "/nowhere", 404),
        ("HEAD", "/healthz", 200),
        ("POST", "/healthz", 405),
        ("DELETE", "/readyz", 405),
        ("TRACE", "/healthz", 405),
    ] {
        assert_eq!(served.status(method, path, "").await, status, "{method} {path}");
    }
    let token = "authorization: Bearer open-sesame\r\n";
    assert_eq!(served.status("PUT", "/metrics", token).await, 405);
}

#[tokio::test]
async fn every_answer_keeps_a_browser_from_making_anything_of_it() {
    let served = given_pages(ready(), Some("open-sesame")).await;

    for path in ["/healthz", "/readyz", "/metrics", "/nowhere"] {
        let answer = served.ask("GET", path, "").await;

        for header in ["x-content-type-options: nosniff", "cache-control: no-store", "default-src 'none'"] {
            assert!(answer.contains(header), "{header} is missing from {path}:\n{answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_cut_off() {
    let served = given_pages(ready(), None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();

    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;

    assert!(read.is_ok(), "the connection is still open");
    assert!(!answer.contains(" 200 "), "{answer}");
}

/// What a client may send, and then nothing more.
const HALF_DONE: [(&str, &str); 5] = [
    ("nothing", ""),
    ("half a head", "GET /healthz HTTP/1.1\r\nhost:"),
    ("a request, and then idles", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    ("half a body", "GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nhalf"),
    ("a question that takes long", "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n"),
];

#[tokio::test]
async fn probes_are_answered_at_once_however_many_others_hold_connections_half_open() {
    for (what, half) in HALF_DONE {
        let served = given_patient_pages(Readiness::new(std::future::pending::<Report>), None, PATIENT).await;
        let mut held = Vec::new();
        for number in 1..=serve::CONNECTIONS + 16 {
            let mut stream = TcpStream::connect(served.address).await.unwrap();
            stream.write_all(half.as_bytes()).await.unwrap();
            held.push(stream);
            // Before there is too little room, while there is just enough, and after.
            if number % 64 == 0 || number >= serve::CONNECTIONS {
                let alive = served.status("GET", "/healthz", "");
                let alive = tokio::time::timeout(Duration::from_secs(1), alive).await;
                assert_eq!(alive.ok(), Some(200), "{number} clients sent {what}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_of_what_it_asks_for_is_cut_off_in_the_end() {
    let patience = serve::Patience { life: Duration::from_millis(300), ..PATIENT };
    let served = given_patient_pages(ready(), None, patience).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let ask = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);

    // Writes until nobody takes any more: the connection has ended.
    let ended = async { while stream.write_all(ask.as_bytes()).await.is_ok() {} };
    let in_time = tokio::time::timeout(Duration::from_secs(20), ended).await;

    assert!(in_time.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn stopping_finishes_the_answer_under_way_and_accepts_no_more() {
    let (asked, was_asked) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let once = std::sync::Mutex::new(Some((asked, released)));
    let readiness = Readiness::new(move || {
        let (asked, released) = once.lock().unwrap().take().unwrap();
        async move {
            asked.send(()).unwrap();
            released.await.unwrap();
            Report::ready()
        }
    });
    let Served { address, stop, task } = given_pages(readiness, None).await;
    let client = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    was_asked.await.unwrap();

    stop.cancel();
    release.send(()).unwrap();
    let answer = client.await.unwrap();
    task.await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(TcpStream::connect(address).await.is_err());
}

fn presenting(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([
        (header::AUTHORIZATION, value),
        (header::HOST, HeaderValue::from_static("localhost")),
    ])
}

fn named(host: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())])
}

#[tokio::test]
async fn without_a_token_only_who_asks_this_machine_by_its_own_name_looks() {
    let open = Door::default();

    for host in ["localhost", "LOCALHOST:9464", "127.0.0.1:9464", "127.1.2.3", "[::1]", "[::1]:9464"] {
        assert_eq!(open.admit(&named(host), Right::Look).await, Ok(Visitor(None)), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "10.0.0.1:9464",
        "[::2]",
        "localhost:x",
        "",
        "127.0.0.1.evil.example",
    ] {
        assert_eq!(open.admit(&named(host), Right::Look).await, Err(Refusal::WrongHost), "{host}");
    }
    let twice = HeaderMap::from_iter(
        ["localhost", "evil.example"].map(|host| (header::HOST, HeaderValue::from_static(host))),
    );
    assert_eq!(open.admit(&twice, Right::Look).await, Err(Refusal::WrongHost));
    // A token is no site's to send.
    let guarded = Door { looks: Some(always("looker")), acts: None };
    let mut asks = presenting("looker");
    asks.insert(header::HOST, HeaderValue::from_static("tenantd.internal"));
    assert!(guarded.admit(&asks, Right::Look).await.is_ok());
}

#[tokio::test]
async fn who_acts_may_look_and_who_looks_may_not_act() {
    let (looks, acts) = (Some(always("looker")), Some(always("actor")));
    let both = Door { looks: looks.clone(), acts: acts.clone() };
    let (open, closed) = (Door { looks: None, acts }, Door { looks, acts: None });
    let who = |name: &str| Ok(Visitor(Some(format!("who-has-{name}"))));
    for (door, token, right, told) in [
        (&both, "looker", Right::Look, who("looker")),
        (&both, "actor", Right::Look, who("actor")),
        (&both, "actor", Right::Act, who("actor")),
        (&both, "looker", Right::Act, Err(Refusal::MayOnlyLook)),
        (&both, "guess", Right::Look, Err(Refusal::Unknown)),
        (&both, "guess", Right::Act, Err(Refusal::Unknown)),
        (&open, "guess", Right::Look, Ok(Visitor(None))),
        (&open, "guess", Right::Act, Err(Refusal::Unknown)),
        (&open, "actor", Right::Act, who("actor")),
        (&closed, "looker", Right::Act, Err(Refusal::NobodyActs)),
        (&Door::default(), "looker", Right::Act, Err(Refusal::NobodyActs)),
    ] {
        assert_eq!(door.admit(&presenting(token), right).await, told, "{token} {right:?} {door:?}");
    }
    assert_eq!(both.admit(&HeaderMap::new(), Right::Act).await, Err(Refusal::Unknown));
}

#[tokio::test]
async fn a_token_is_asked_for_anew_each_time_and_none_that_cannot_be_read_opens() {
    let now = std::sync::Arc::new(std::sync::Mutex::new(Ok("first")));
    let source = {
        let now = now.clone();
        TokenSource::new(move || {
            now.lock().unwrap().clone().map(|text| Token::new(&SecretString::from(text), None))
        })
    };
    let door = Door { looks: Some(source), acts: None };
    let mut told = Vec::new();

    for then in [Ok("second"), Err("it is gone".to_owned()), Ok("first")] {
        told.push(door.admit(&presenting("first"), Right::Look).await.map(drop));
        *now.lock().unwrap() = then;
    }
    told.push(door.admit(&presenting("first"), Right::Look).await.map(drop));

    assert_eq!(told, [Ok(()), Err(Refusal::Unknown), Err(Refusal::Unreadable), Ok(())]);
}
