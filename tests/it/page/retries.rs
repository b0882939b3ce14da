//! A retry of all tenants of one reason: by whom, of whom, and how often.

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
        assert_eq!(reply.header("location"), Some("/status/attention?retried=2&left=0"));
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
    let told = served.page("/status/attention?retried=2&left=3", &session).await.body;
    assert!(told.contains("2 tenants are due at once") && told.contains("3 tenants are left"), "{told}");
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
