//! Who gets in, and with what.

use super::{ACTS, FROM_HERE, LOOKS, PAGES, Served, hidden};

#[tokio::test]
async fn who_has_no_session_is_sent_to_sign_in_and_comes_back() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;

    for (path, next) in [
        ("/status", "%2Fstatus"),
        ("/status/tenants?filter=ready%3Ano", "%2Fstatus%2Ftenants%3Ffilter%3Dready%253Ano"),
        ("/status/nowhere", "%2Fstatus%2Fnowhere"),
    ] {
        for cookie in ["", "tenantd_session=guess", "tenantd_session=act.9999999999.AAAA"] {
            let reply = served.page(path, cookie).await;

            assert_eq!(reply.status, 303, "{path} {cookie}: {reply:?}");
            assert_eq!(reply.header("location"), Some(format!("/status/sign-in?next={next}").as_str()));
            assert!(reply.body.is_empty(), "{reply:?}");
        }
    }
    let form = format!("token={LOOKS}&next=%2Fstatus%2Ftenants%3Ffilter%3Da");
    let opened = served.send("/status/sign-in", "", FROM_HERE, &form).await;
    assert_eq!((opened.status, opened.header("location")), (303, Some("/status/tenants?filter=a")));
    let elsewhere = format!("token={LOOKS}&next=https%3A%2F%2Fevil.example%2Fstatus");
    let opened = served.send("/status/sign-in", "", FROM_HERE, &elsewhere).await;
    assert_eq!(opened.header("location"), Some("/status"));
}

#[tokio::test]
async fn a_wrong_token_and_a_form_from_elsewhere_open_nothing() {
    let served = Served::new().await;

    for (lines, token, status) in [
        (FROM_HERE, "guess", 403),
        (FROM_HERE, "", 403),
        ("origin: https://evil.example\r\n", LOOKS, 403),
        ("origin: null\r\n", LOOKS, 403),
        ("", LOOKS, 403),
        ("origin: http://localhost\r\nsec-fetch-site: cross-site\r\n", LOOKS, 403),
        ("origin: http://localhost\r\n", LOOKS, 303),
        ("sec-fetch-site: same-origin\r\n", LOOKS, 303),
    ] {
        let reply = served.send("/status/sign-in", "", lines, &format!("token={token}")).await;

        assert_eq!(reply.status, status, "{lines} {token}: {reply:?}");
        assert_eq!(reply.header("set-cookie").is_some(), status == 303, "{reply:?}");
    }
}

#[tokio::test]
async fn a_cookie_is_not_the_token_and_ends_with_it() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let reply = served.send("/status/sign-in", "", FROM_HERE, &format!("token={LOOKS}")).await;
    let line = reply.header("set-cookie").unwrap().to_owned();
    let session = line.split(';').next().unwrap();

    let before = served.page("/status", session).await.status;
    *served.looks.lock().unwrap() = Ok("another".to_owned());
    let replaced = served.page("/status", session).await.status;
    *served.looks.lock().unwrap() = Err("it is gone".to_owned());
    let gone = served.page("/status", session).await;

    assert!(!line.contains(LOOKS), "{line}");
    assert!(line.ends_with("; Path=/status; Max-Age=43200; HttpOnly; SameSite=Strict"), "{line}");
    assert_eq!((before, replaced, gone.status), (200, 303, 503));
    assert!(!gone.body.contains("it is gone"), "{gone:?}");
    assert_eq!(served.page("/status", &served.session(ACTS).await).await.status, 200);
}

#[tokio::test]
async fn a_session_is_found_beside_another_cookie_of_its_name() {
    let served = Served::new().await;
    let session = served.session(LOOKS).await;

    for cookies in [
        format!("tenantd_session=guess; {session}"),
        format!("tenantd_session=act.9999999999.AAAA; {session}"),
        format!("{session}; tenantd_session="),
    ] {
        let page = served.page("/status", &cookies).await;

        assert_eq!(page.status, 200, "{cookies}: {page:?}");
        assert!(!page.body.contains("/api/v1"), "the API asks for the token itself: {page:?}");
    }
}

/// One that a host beside ours has set comes first where its path is longer.
#[tokio::test]
async fn a_session_that_may_only_look_takes_no_right_from_one_that_acts() {
    let served = Served::new().await;
    served.given_parked("NameTaken", &["a"]).await;
    let (looks, acts) = (served.session(LOOKS).await, served.session(ACTS).await);

    for cookies in [format!("{looks}; {acts}"), format!("{acts}; {looks}")] {
        let page = served.page("/status/attention/NameTaken/retry", &cookies).await.body;

        assert!(
            page.contains("<form method=\"post\" action=\"/status/attention/NameTaken/retry\">"),
            "{page}"
        );
    }
}

#[tokio::test]
async fn what_came_over_tls_stays_there() {
    let served = Served::new().await;

    for (origin, is_over_tls) in [("https://tenantd.example", true), ("http://localhost", false)] {
        let lines = format!("{FROM_HERE}origin: {origin}\r\n");
        let opened = served.send("/status/sign-in", "", &lines, &format!("token={LOOKS}")).await;

        assert_eq!(opened.status, 303, "{opened:?}");
        let line = opened.header("set-cookie").unwrap();
        assert_eq!(line.ends_with("; Secure"), is_over_tls, "{origin}: {line}");
    }
}

#[tokio::test]
async fn a_program_looks_with_its_token_and_without_a_session() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;

    for token in [LOOKS, ACTS] {
        let lines = format!("authorization: Bearer {token}\r\n");
        for path in PAGES.iter().take(5) {
            assert_eq!(served.ask(&format!("GET {path}"), &lines, "").await.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn who_signs_out_has_no_cookie_any_more_and_nobody_else_can_have_him_signed_out() {
    let served = Served::new().await;
    let session = served.session(LOOKS).await;
    let page = served.page("/status", &session).await.body;
    let form = format!("form={}", hidden(&page, "form"));

    let forged = served.send("/status/sign-out", &session, FROM_HERE, "form=x").await;
    let elsewhere = served.send("/status/sign-out", &session, "origin: http://y\r\n", &form).await;
    let done = served.send("/status/sign-out", &session, FROM_HERE, &form).await;

    assert_eq!((forged.status, elsewhere.status, done.status), (403, 403, 303));
    assert!(done.header("set-cookie").unwrap().starts_with("tenantd_session=; Path=/status; Max-Age=0;"));
}
