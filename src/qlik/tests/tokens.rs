//! Whom we show which token, and how often we ask for one.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Reply, Server, answer, json};
use super::*;
use crate::domain::failure::FailureKind;
use crate::domain::secret::ClientSecret;
use crate::ports::QlikApi;

/// Counts tokens: `T1`, `T2` and so on, each for six hours.
fn numbered() -> impl Fn() -> Reply {
    let count = AtomicUsize::new(0);
    move || {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        json(200, &format!(r#"{{"access_token":"T{n}","token_type":"bearer","expires_in":21600}}"#))
    }
}

/// Takes only the token it is told to.
async fn server_that_takes(good: &'static str) -> Server {
    let token = numbered();
    Server::start(move |seen| match seen.line.as_str() {
        "POST /oauth/token" => token(),
        _ if seen.has(&format!("authorization: Bearer {good}")) => {
            json(201, r#"{"id":"bot","clientId":"c1","clientSecret":"s"}"#)
        }
        _ => json(401, r#"{"errors":[{"code":"AUTH-1"}]}"#),
    })
    .await
}

const TOKEN: &str = "POST /oauth/token";
const CREATE: &str = "POST /api/v1/oauth-clients";

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_call_repeated_once() {
    let server = server_that_takes("T2").await;
    let hopeless = server_that_takes("none").await;

    let done = cloud(&server).create_client(&acme(), &wanted()).await;
    let refused = cloud(&hopeless).create_client(&acme(), &wanted()).await.unwrap_err();

    assert!(done.is_ok());
    assert_eq!(server.lines(), [TOKEN, CREATE, TOKEN, CREATE]);
    assert_eq!(refused.kind, FailureKind::TokenRefused, "the credential itself is good");
    assert_eq!(hopeless.lines(), [TOKEN, CREATE, TOKEN, CREATE]);
}

#[tokio::test]
async fn a_401_that_is_not_about_the_token_renews_nothing() {
    for code in ["TENANT_DEACTIVATED", "TENANT_DISABLED", "LOGIN-2"] {
        let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
        let server = Server::with_token(move |_| json(401, &body)).await;

        let failure = cloud(&server).bot_user(&acme()).await.unwrap_err();

        assert_eq!(failure.kind, FailureKind::TenantUnavailable);
        assert_eq!(server.lines().len(), 2);
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_however_many_wait_and_kept_until_a_minute_before_its_end() {
    let server = Server::with_token(|_| json(200, r#"{"id":"bot"}"#)).await;
    let clock = Arc::new(ManualClock::default());
    let cloud = cloud_with(&options(&server), Arc::clone(&clock));
    let tokens = || server.lines().iter().filter(|line| *line == TOKEN).count();
    let host = acme();

    let calls = tokio::join!(
        cloud.bot_user(&host),
        cloud.bot_user(&host),
        cloud.bot_user(&host),
        cloud.bot_user(&host)
    );
    assert!(calls.0.is_ok() && calls.1.is_ok() && calls.2.is_ok() && calls.3.is_ok());
    assert_eq!(tokens(), 1);

    clock.advance(21_600 - 61);
    cloud.bot_user(&host).await.unwrap();
    assert_eq!(tokens(), 1);

    clock.advance(1);
    cloud.bot_user(&host).await.unwrap();
    assert_eq!(tokens(), 2);
}

#[tokio::test]
async fn a_token_goes_to_the_host_that_gave_it_and_to_no_other() {
    let token = numbered();
    let server = Server::start(move |seen| match seen.line.as_str() {
        TOKEN => token(),
        _ => json(200, r#"{"id":"bot"}"#),
    })
    .await;
    let cloud = cloud(&server);

    for name in ["a.us", "b.us", "a.us"] {
        cloud.bot_user(&tenant(name)).await.unwrap();
    }

    let shown: Vec<_> = server
        .seen()
        .iter()
        .filter(|seen| seen.line != TOKEN)
        .map(|s| {
            s.headers.iter().filter(|h| h.starts_with("host") || h.starts_with("auth")).cloned().collect()
        })
        .collect::<Vec<Vec<String>>>();
    for (n, (host, token)) in [("a", "T1"), ("b", "T2"), ("a", "T1")].into_iter().enumerate() {
        assert!(shown[n].contains(&format!("host: {host}.us.qlikcloud.com")), "{shown:?}");
        assert!(shown[n].contains(&format!("authorization: Bearer {token}")), "{shown:?}");
    }
}

#[tokio::test]
async fn without_a_token_nothing_else_is_sent() {
    for (reply, kind) in [
        (
            (|| json(401, r#"{"errors":[{"code":"OAUTH-5"}]}"#)) as fn() -> Reply,
            FailureKind::CredentialRefused,
        ),
        (|| json(400, "{}"), FailureKind::CredentialRefused),
        (|| json(403, "{}"), FailureKind::CredentialRefused),
        (|| json(404, "{}"), FailureKind::TenantUnavailable),
        (|| json(401, r#"{"errors":[{"code":"LOGIN-2"}]}"#), FailureKind::TenantUnavailable),
        (|| json(500, "{}"), FailureKind::NoToken),
        (|| Reply::Last(vec![]), FailureKind::NoToken),
        (|| json(200, "{}"), FailureKind::NoToken),
        (|| json(200, r#"{"access_token":""}"#), FailureKind::NoToken),
        (|| json(200, r#"{"access_token":"a\nb: c"}"#), FailureKind::NoToken),
        (|| json(200, r#"{"access_token":"T","token_type":"mac"}"#), FailureKind::NoToken),
        (|| answer(429, "retry-after: 7\r\n", ""), FailureKind::Throttled { wait: Duration::from_secs(7) }),
    ] {
        let server = Server::start(move |_| reply()).await;
        let cloud = cloud(&server);

        let failure = cloud.create_client(&acme(), &wanted()).await.unwrap_err();

        assert_eq!((failure.kind, server.lines()), (kind, vec![TOKEN.to_owned()]));
        assert_eq!(cloud.last_token(&region("us")), None);
    }
}

#[tokio::test]
async fn odd_token_answers_that_hold_a_token_are_taken() {
    for body in [
        r#"{"access_token":"T"}"#,
        r#"{"access_token":"T","token_type":"BEARER","expires_in":null}"#,
        r#"{"access_token":"T","token_type":"Bearer","expires_in":"soon","scope":null}"#,
        r#"{"access_token":"T","token_type":"bearer","expires_in":18446744073709551615}"#,
        r#"{"access_token":"T","token_type":"bearer","expires_in":0}"#,
    ] {
        let server = Server::start(move |_| json(200, body)).await;

        assert_eq!(cloud(&server).authenticate(&acme()).await, Ok(()), "{body}");
    }
}

#[tokio::test]
async fn authenticating_asks_anew_and_tells_the_region() {
    let server = Server::with_token(|_| json(200, r#"{"id":"bot"}"#)).await;
    let clock = Arc::new(ManualClock::default());
    let cloud = cloud_with(&options(&server), Arc::clone(&clock));

    cloud.authenticate(&acme()).await.unwrap();
    cloud.authenticate(&acme()).await.unwrap();
    cloud.bot_user(&acme()).await.unwrap();
    clock.advance(5);

    assert_eq!(server.lines(), [TOKEN, TOKEN, "GET /api/v1/users/me"]);
    assert_eq!(cloud.last_token(&region("us")), Some(Duration::from_secs(5)));
    assert_eq!(cloud.last_token(&region("eu")), None);
}

#[tokio::test]
async fn a_proof_fails_as_the_token_endpoint_says() {
    for (reply, kind) in [
        (
            (|| json(401, r#"{"errors":[{"code":"OAUTH-5"}]}"#)) as fn() -> Reply,
            FailureKind::CredentialRefused,
        ),
        (|| json(400, "{}"), FailureKind::Rejected),
        (|| json(403, "{}"), FailureKind::Forbidden),
        (|| json(200, r#"{"token_type":"bearer"}"#), FailureKind::Unreadable),
        (|| json(200, r#"{"access_token":""}"#), FailureKind::Unreadable),
    ] {
        let server = Server::start(move |_| reply()).await;

        let proof = cloud(&server).prove(&acme(), &client(), &ClientSecret::new("s".into())).await;

        assert_eq!((proof.unwrap_err().kind, server.lines()), (kind, vec![TOKEN.to_owned()]));
    }
}
