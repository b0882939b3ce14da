//! A retry of all tenants of one reason: by whom, of whom, and how often.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ACTS, FROM_HERE, LOOKS, Served, hidden};

const AT: &str = "/status/attention/NameTaken/retry";

async fn parked(served: &Served) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT external_id FROM tenantd.tenants WHERE parked_reason IS NOT NULL ORDER BY external_id",
    )
    .fetch_all(&served.db.pool)
    .await
    .unwrap()
}

/// The form of the page, filled in.
async fn filled(served: &Served, session: &str, reason: &str) -> String {
    let page = served.page(AT, session).await.body;
    let (form, counted_at) = (hidden(&page, "form"), hidden(&page, "counted_at"));
    let expect = hidden(&page, "expect");
    format!("form={form}&expect={expect}&counted_at={counted_at}&reason={reason}")
}

#[tokio::test]
async fn all_that_were_counted_are_retried_once_and_it_is_written_down_who_asked() {
    let served = Served::new().await;
    served.given_parked("NameTaken", &["a", "b"]).await;
    served.given_parked("Rejected", &["other"]).await;
    let session = served.session(ACTS).await;
    let form = filled(&served, &session, "the+names+are+free").await;

    let first = served.send(AT, &session, FROM_HERE, &form).await;
    served.given_parked("NameTaken", &["again"]).await;
    let second = served.send(AT, &session, FROM_HERE, &form).await;
    let otherwise = served.send(AT, &session, FROM_HERE, &form.replace("free", "taken")).await;

    for reply in [&first, &second] {
        assert_eq!(reply.status, 303, "{reply:?}");
        let location = reply.header("location").unwrap();
        assert!(location.starts_with("/status/attention?retried=2&left=0&told="), "{location}");
    }
    assert_eq!(otherwise.status, 400, "{otherwise:?}");
    assert_eq!(parked(&served).await, ["again", "other"]);
    let noted: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT t.external_id, a.effect, a.message
           FROM tenantd.attempts AS a JOIN tenantd.tenants AS t USING (tenant_id) ORDER BY 1",
    )
    .fetch_all(&served.db.pool)
    .await
    .unwrap();
    let line = |key: &str| {
        (key.to_owned(), "retry".to_owned(), "the names are free; asked for by alice over HTTP".to_owned())
    };
    assert_eq!(noted, [line("a"), line("b")]);
    let location = first.header("location").unwrap();
    let told = served.page(location, &session).await.body;
    assert!(told.contains("2 tenants are due at once") && !told.contains("left for another go"), "{told}");
    // Nobody is told by a link what was never done.
    let other = served.session(LOOKS).await;
    let more = location.replace("retried=2", "retried=3");
    for (path, session) in
        [(location, &other), (&more, &session), ("/status/attention?retried=2&left=3", &session)]
    {
        let page = served.page(path, session).await.body;
        assert!(page.contains("<h1>Needs attention</h1>") && !page.contains("due at once"), "{path}: {page}");
    }
}

#[tokio::test]
async fn when_they_are_not_as_many_as_were_shown_nothing_is_done_and_it_is_asked_anew() {
    let served = Served::new().await;
    served.given_parked("NameTaken", &["a", "b"]).await;
    let session = served.session(ACTS).await;
    let form = filled(&served, &session, "x").await;
    served.given_parked("NameTaken", &["c"]).await;

    let reply = served.send(AT, &session, FROM_HERE, &form).await;

    assert_eq!(reply.status, 409, "{reply:?}");
    assert!(reply.body.contains("Retry 3 tenants") && reply.body.contains("nothing was done"), "{reply:?}");
    assert_eq!(parked(&served).await, ["a", "b", "c"]);
    assert_eq!(hidden(&reply.body, "expect"), "3");
}

#[tokio::test]
async fn nobody_keeps_others_from_acting_by_half_a_form() {
    let served = Served::new().await;
    served.given_parked("NameTaken", &["a"]).await;
    let (looks, acts) = (served.session(LOOKS).await, served.session(ACTS).await);
    let form = filled(&served, &acts, "x").await;
    let half = async |session: &str, awaited: &str| {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let head = format!(
            "POST {AT} HTTP/1.1\r\nhost: localhost\r\n{FROM_HERE}cookie: {session}\r\ncontent-length: 100\r\n\
             expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; awaited.len()];
        let reading = stream.read_exact(&mut answer);
        tokio::time::timeout(Duration::from_secs(5), reading).await.expect("there is an answer").unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), awaited);
        stream.write_all(b"form=").await.unwrap();
        stream
    };

    // Who may not act is told so at once; who may is waited for, and has no place yet.
    let refused = half(&looks, "HTTP/1.1 403").await;
    let waited_for = half(&acts, "HTTP/1.1 100").await;
    let sent = served.send(AT, &acts, FROM_HERE, &form);
    let sent = tokio::time::timeout(Duration::from_secs(5), sent).await.expect("there is a place");

    assert_eq!(sent.status, 303, "{sent:?}");
    assert!(parked(&served).await.is_empty());
    let mut told = Vec::new();
    let mut waited_for = waited_for;
    let telling = async {
        while !String::from_utf8_lossy(&told).contains("nothing was done") {
            if waited_for.read_buf(&mut told).await.unwrap() == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), telling)
        .await
        .expect("nobody is waited for without an end");
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("nothing was done") && !told.contains("may still be done"), "{told}");
    drop(refused);
}

#[tokio::test]
async fn a_retry_that_has_no_answer_may_be_done_and_is_asked_for_again_with_the_same_form() {
    let served = Served::new().await;
    served.given_parked("NameTaken", &["a"]).await;
    let session = served.session(ACTS).await;
    let form = filled(&served, &session, "x").await;
    let mut locked = served.db.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();

    let late = served.send(AT, &session, FROM_HERE, &form).await;
    let confirm = served.page(AT, &session).await;
    locked.rollback().await.unwrap();
    let again = served.send(AT, &session, FROM_HERE, &form).await;

    assert_eq!((late.status, confirm.status), (503, 503), "{late:?} {confirm:?}");
    assert!(late.body.contains("may still be done. Send the same form again"), "{late:?}");
    assert!(!confirm.body.contains("may still be done"), "{confirm:?}");
    assert_eq!(again.status, 303, "{again:?}");
    assert!(parked(&served).await.is_empty());
}

#[tokio::test]
async fn who_may_only_look_and_whoever_forges_a_form_changes_nothing() {
    let served = Served::new().await;
    served.given_parked("NameTaken", &["a"]).await;
    let (looks, acts) = (served.session(LOOKS).await, served.session(ACTS).await);
    let form = filled(&served, &acts, "x").await;
    let mark = hidden(&served.page("/status", &looks).await.body, "form").to_owned();
    let of_who_looks = format!("form={mark}&expect=1&counted_at=x&reason=x");
    let token = format!("{FROM_HERE}authorization: Bearer {ACTS}\r\n");

    for (what, cookie, lines, form, status) in [
        ("who looks, with a mark of his own", looks.as_str(), FROM_HERE, of_who_looks.as_str(), 403),
        ("who looks, with the mark of who acts", &looks, FROM_HERE, &form, 403),
        ("the mark of another session", &acts, FROM_HERE, &of_who_looks, 403),
        ("without a mark", &acts, FROM_HERE, "expect=1&counted_at=x&reason=x", 403),
        ("from elsewhere", &acts, "origin: https://evil.example\r\n", &form, 403),
        ("from nowhere", &acts, "", &form, 403),
        (
            "from another site",
            &acts,
            "origin: http://localhost\r\nsec-fetch-site: cross-site\r\n",
            &form,
            403,
        ),
        ("without a session", "", FROM_HERE, &form, 303),
        ("with a token and no session", "", &token, &form, 403),
        ("without a reason", &acts, FROM_HERE, &form.replace("reason=x", "reason=+"), 400),
        ("without a count", &acts, FROM_HERE, &form.replace("expect=1", "expect=x"), 400),
        ("with too much", &acts, FROM_HERE, &format!("{form}{}", "x".repeat(9_000)), 400),
    ] {
        let reply = served.send(AT, cookie, lines, form).await;

        assert_eq!(reply.status, status, "{what}: {reply:?}");
        assert_eq!(parked(&served).await, ["a"], "{what}");
    }
    let page = served.page(AT, &looks).await.body;
    assert!(!page.contains(&format!("action=\"{AT}\"")), "who looks has no form: {page}");
    assert_eq!(served.send(AT, &acts, FROM_HERE, &form).await.status, 303, "the form itself is good");
}
