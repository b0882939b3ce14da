//! Answers that are not what they should be: each is classified, none panics,
//! none is quoted.

use super::server::{Reply, Server, answer, json};
use super::*;
use crate::domain::failure::FailureKind;
use crate::domain::ids::Hint;
use crate::ports::QlikApi;

fn created(body: &str) -> Reply {
    json(201, body)
}

#[tokio::test]
async fn a_create_succeeds_with_any_2xx_that_holds_id_and_secret() {
    for (status, body, hint) in [
        (201, r#"{"clientId":"c1","clientSecret":"s3cret","clientSecretHint":"top"}"#, Some("top")),
        (200, r#"{"clientId":"c1","clientSecret":"s3cret","clientSecrets":[{"hint":"list"}]}"#, Some("list")),
        (202, r#"{"clientId":"c1","clientSecret":"s3cret"}"#, None),
        (201, r#"{"clientId":"c1","clientSecret":"s3cret","clientSecretHint":"","clientSecrets":[]}"#, None),
        (201, r#"{"clientId":"c1","clientSecret":"s3cret","clientSecretHint":5,"clientSecrets":"x"}"#, None),
        (201, r#"{"clientId":"c1","clientSecret":"s3cret","clientSecretHint":null,"x":{"y":[]}}"#, None),
    ] {
        let server = Server::with_token(move |_| json(status, body)).await;

        let new = cloud(&server).create_client(&acme(), &wanted()).await.unwrap();

        assert_eq!((new.client_id.as_str(), new.secret.expose_to_vault()), ("c1", "s3cret"), "{body}");
        assert_eq!(new.hint.as_ref().map(Hint::as_str), hint, "{body}");
    }
}

#[tokio::test]
async fn a_2xx_to_a_create_without_id_and_secret_is_unreadable() {
    const ID: &str = r#""clientId":"c1","#;
    const SECRET: &str = r#""clientSecret":"s3cret","#;
    let long = "x".repeat(5000);
    for body in [
        String::new(),
        "{}".into(),
        "null".into(),
        "[]".into(),
        "<html>".into(),
        r#"{"clientId":"c1","clientSecret":"s3cr"#.into(),
        format!(r#"{{{ID}"x":1}}"#),
        format!(r#"{{{SECRET}"x":1}}"#),
        format!(r#"{{{ID}"clientSecret":null}}"#),
        format!(r#"{{{ID}"clientSecret":""}}"#),
        format!(r#"{{{ID}"clientSecret":17}}"#),
        format!(r#"{{{ID}"clientSecret":["s3cret"]}}"#),
        format!(r#"{{{ID}"clientSecret":"{long}"}}"#),
        format!(r#"{{{SECRET}"clientId":""}}"#),
        format!(r#"{{{SECRET}"clientId":{{}}}}"#),
        format!(r#"{{{SECRET}"clientId":"a\u0000b"}}"#),
        format!(r#"{{{ID}{SECRET}"clientSecret":"s3cret"}}"#),
        format!(r#"{{{ID}{SECRET}"clientId":"c2"}}"#),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        let reply = body.clone();
        let server = Server::with_token(move |_| created(&reply)).await;

        let failure = cloud(&server).create_client(&acme(), &wanted()).await.unwrap_err();

        assert_eq!(
            (&failure.kind, failure.evidence.status),
            (&FailureKind::Unreadable, Some(201)),
            "{body:.60}"
        );
        assert!(!format!("{failure} {failure:?}").contains("s3cr"), "{failure:?}");
    }
}

/// Wraps a body into an answer.
type Answering = fn(&[u8]) -> Reply;

#[tokio::test]
async fn a_body_that_is_no_text_too_long_or_compressed_is_unreadable() {
    const GOOD: &str = r#"{"clientId":"c1","clientSecret":"s3cret"}"#;
    let huge = format!("{{\"x\":\"{}\",{}", "y".repeat(10 << 20), &GOOD[1..]);
    let chunk = format!("{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len());
    let chunked = format!("HTTP/1.1 201 X\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
    let cases: [(&str, Answering, Vec<u8>); 7] = [
        ("invalid UTF-8", |b| answer(201, "", b), b"{\"clientId\":\"\xff\",\"clientSecret\":\"s\"}".to_vec()),
        ("ten megabytes", |b| answer(201, "", b), huge.into_bytes()),
        ("ten megabytes in chunks", |b| Reply::Bytes(b.to_vec()), chunked.into_bytes()),
        ("gzip", |b| answer(201, "content-encoding: gzip\r\n", b), GOOD.into()),
        ("br", |b| answer(201, "content-encoding: identity\r\ncontent-encoding: BR\r\n", b), GOOD.into()),
        ("no content", |_| Reply::Bytes(b"HTTP/1.1 204 X\r\n\r\n".to_vec()), vec![]),
        ("length zero", |_| answer(201, "", ""), vec![]),
    ];
    for (name, reply, body) in cases {
        let server = Server::with_token(move |_| reply(&body)).await;

        let failure = cloud(&server).create_client(&acme(), &wanted()).await.unwrap_err();

        assert_eq!(failure.kind, FailureKind::Unreadable, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    for bytes in [
        "",
        "HTTP/1.1 201",
        "HTTP/1.1 201 X\r\ncontent-length: 100\r\n\r\n{\"clientId\":\"c1\",\"clientSecret\":\"s\"}",
        "HTTP/1.1 201 X\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"cli",
        "HTTP/1.1 201 X\r\ntransfer-encoding: chunked\r\n\r\nzzz",
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
    ] {
        let server = Server::with_token(move |_| Reply::Last(bytes.into())).await;

        let failure = cloud(&server).create_client(&acme(), &wanted()).await.unwrap_err();

        assert_eq!(failure.kind, FailureKind::NoAnswer, "{bytes}");
        assert_eq!(server.lines().len(), 2, "sent once: {bytes}");
    }
}

#[tokio::test]
async fn a_success_without_content_needs_no_body() {
    for reply in [
        || Reply::Bytes(b"HTTP/1.1 204 X\r\n\r\n".to_vec()),
        || json(200, "{}"),
        || answer(202, "content-encoding: gzip\r\n", "?"),
        || Reply::Last(b"HTTP/1.1 204 X\r\ncontent-length: 9\r\n\r\n".to_vec()),
    ] {
        let server = Server::with_token(move |_| reply()).await;

        assert_eq!(cloud(&server).trust(&acme(), &client()).await, Ok(()));
    }
}

#[tokio::test]
async fn a_refusal_is_judged_by_code_and_status_whatever_its_body_is() {
    for (reply, kind) in [
        (
            (|| json(401, r#"{"errors":[{"code":"TENANT_DEACTIVATED","status":"401"}]}"#)) as fn() -> Reply,
            FailureKind::TenantUnavailable,
        ),
        (|| json(403, r#"{"errors":[{"code":"AUTH-5","meta":[]}]}"#), FailureKind::Forbidden),
        (|| answer(503, "content-encoding: gzip\r\n", "\x1f\u{8b}"), FailureKind::ServerError),
        (|| answer(500, "", vec![b'x'; 2 << 20]), FailureKind::ServerError),
        (|| Reply::Last(b"HTTP/1.1 409 X\r\ncontent-length: 9\r\n\r\n".to_vec()), FailureKind::Conflict),
        (|| answer(404, "", b"\xff\xfe"), FailureKind::NotFound),
        (|| answer(302, "location: https://acme.us.qlikcloud.com/x\r\n", ""), FailureKind::Rejected),
        (|| answer(400, "", "<html>"), FailureKind::Rejected),
    ] {
        let server = Server::with_token(move |_| reply()).await;

        let failure = cloud(&server).create_client(&acme(), &wanted()).await.unwrap_err();

        assert_eq!(failure.kind, kind);
        assert_eq!(server.lines().len(), 2, "sent once");
    }
}

#[tokio::test]
async fn a_429_closes_the_tier_until_its_wait_is_over() {
    let server = Server::with_token(|seen| match seen.line.as_str() {
        "GET /api/v1/users/me" => json(200, r#"{"id":"bot"}"#),
        _ => answer(429, "retry-after: 13\r\n", r#"{"errors":[{"code":"HTTP-429"}]}"#),
    })
    .await;
    let clock = Arc::new(ManualClock::default());
    let cloud = cloud_with(&options(&server), Arc::clone(&clock));
    let throttled = |seconds| FailureKind::Throttled { wait: Duration::from_secs(seconds) };

    let first = cloud.trust(&acme(), &client()).await.unwrap_err();
    clock.advance(3);
    let second = cloud.trust(&acme(), &client()).await.unwrap_err();
    let sent = server.lines().len();
    let other_tier = cloud.bot_user(&acme()).await;
    clock.advance(10);
    cloud.trust(&acme(), &client()).await.unwrap_err();

    assert_eq!((first.kind, first.evidence.code.as_deref()), (throttled(13), Some("HTTP-429")));
    assert_eq!((second.kind, second.evidence.status), (throttled(10), None));
    assert_eq!((sent, other_tier.is_ok(), server.lines().len()), (2, true, 4));
}
