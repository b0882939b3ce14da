//! The status page over a real socket, on a real database, with the rights of the daemon's role.
//! What a browser makes of it is tried by `make page-test`.

mod calendar;
mod glance;
mod retries;
mod sessions;

use crate::api::{ACTS, LOOKS, Reply, Served};

/// What a browser says of a form that a page of ours sent.
const FROM_HERE: &str = "sec-fetch-site: same-origin\r\n";

impl Served {
    /// A page, asked for with this cookie.
    async fn page(&self, path: &str, cookie: &str) -> Reply {
        let cookie = if cookie.is_empty() { String::new() } else { format!("cookie: {cookie}\r\n") };
        self.ask(&format!("GET {path}"), &cookie, "").await
    }

    /// A form, sent with this cookie and these lines.
    async fn send(&self, path: &str, cookie: &str, lines: &str, form: &str) -> Reply {
        let lines = format!("{lines}cookie: {cookie}\r\ncontent-type: application/x-www-form-urlencoded\r\n");
        self.ask(&format!("POST {path}"), &lines, form).await
    }

    /// A session that was opened with this token.
    async fn session(&self, token: &str) -> String {
        let reply = self.send("/status/sign-in", "", FROM_HERE, &format!("token={token}")).await;
        assert_eq!(reply.status, 303, "{reply:?}");
        let cookie = reply.header("set-cookie").unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Tenants that are parked for this reason.
    async fn given_parked(&self, reason: &str, keys: &[&str]) {
        self.given_tenants(keys.iter().copied()).await;
        for key in keys {
            self.db
                .write(&format!(
                    "UPDATE tenantd.tenants SET parked_reason = '{reason}', message = 'mend it', due_at = NULL,
                            reason_since = tenantd.clock() WHERE external_id = '{key}'"
                ))
                .await;
        }
    }
}

/// The value of a hidden field.
#[track_caller]
fn hidden<'a>(body: &'a str, name: &str) -> &'a str {
    let field = body.split(&format!("name=\"{name}\" value=\"")).nth(1);
    field.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no field {name} in {body}"))
}

const PAGES: [&str; 6] = [
    "/status",
    "/status/attention",
    "/status/tenants",
    "/status/tenants/a",
    "/status/calendar",
    "/status/attention/NameTaken/retry",
];

#[tokio::test]
async fn every_page_is_there_and_says_what_a_browser_may() {
    let served = Served::new().await;
    served.given_parked("NameTaken", &["a", "b"]).await;
    let session = served.session(LOOKS).await;

    for path in PAGES {
        let reply = served.page(path, &session).await;

        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(reply.body.contains("NameTaken") || path.ends_with("calendar"), "{path}: {}", reply.body);
    }
    for (path, status) in [
        ("/status", 200),
        ("/status/tenants/none", 404),
        ("/status/tenants/%00", 404),
        ("/status/tenants/%ff", 404),
        ("/status/attention/%ff/retry", 404),
        ("/status/nowhere", 404),
        ("/status/page.css", 200),
        ("/status/page.js", 200),
        ("/status/icon.svg", 200),
        ("/status/sign-in?act=1", 200),
    ] {
        let reply = served.page(path, &session).await;

        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert_eq!(reply.status, status, "{path}: {reply:?}");
        for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        let is_kept = reply.header("cache-control") != Some("no-store");
        assert_eq!(is_kept, path.contains('.'), "{path}: {reply:?}");
        if !is_kept {
            for inline in ["<style", " style=", "onclick", "<script>", "javascript:"] {
                assert!(!reply.body.contains(inline), "{path}: {inline}");
            }
        }
    }
    for path in ["/", "/status/"] {
        assert_eq!(served.page(path, "").await.header("location"), Some("/status"), "{path}");
    }
    assert_eq!(served.send("/status/tenants", &session, FROM_HERE, "").await.status, 405);
}

#[tokio::test]
async fn what_somebody_made_up_to_do_harm_is_text_and_nothing_else() {
    let served = Served::new().await;
    let hostile = "<script>alert(1)</script>";
    sqlx::query(
        "INSERT INTO tenantd.tenants (external_id, host, labels, parked_reason, message, due_at)
         VALUES ($1, 'a.us.qlikcloud.com', $2, 'NameTaken', $1, NULL)",
    )
    .bind(hostile)
    .bind(serde_json::json!({"\"><img src=x>": "</dd><script>"}))
    .execute(&served.db.pool)
    .await
    .unwrap();
    let session = served.session(LOOKS).await;

    for path in
        ["/status/tenants", "/status/attention", "/status/tenants/%3Cscript%3Ealert(1)%3C%2Fscript%3E"]
    {
        let reply = served.page(path, &session).await;

        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{path}: {}", reply.body);
        assert!(!reply.body.contains("<script>") && !reply.body.contains("<img"), "{path}: {}", reply.body);
    }
    let asked = "/status/tenants?filter=%22%3E%3Cscript%3E&after=%22%3E%3Cscript%3E";
    assert!(!served.page(asked, &session).await.body.contains("<script>"));
    let nowhere = served.page("/status/%3Cscript%3E", &session).await;
    assert!(!nowhere.body.contains("<script>") && nowhere.status == 404, "{nowhere:?}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_as_that_in_time() {
    let served = Served::new().await;
    let session = served.session(LOOKS).await;
    assert_eq!(served.page("/status", &session).await.status, 200);
    let mut locked = served.db.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();

    let all = futures_util::future::join_all(PAGES.iter().take(4).map(|path| served.page(path, &session)));
    let replies = tokio::time::timeout(std::time::Duration::from_secs(14), all).await;
    locked.rollback().await.unwrap();

    for reply in replies.expect("each is answered in time") {
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        assert!(reply.body.contains("<h1>") && reply.body.contains("keep the credentials"), "{reply:?}");
    }
    assert_eq!(served.page("/status", &session).await.status, 200);
}

#[tokio::test]
async fn where_no_token_is_set_everybody_on_this_machine_looks_and_nobody_acts() {
    let served = Served::open().await;
    served.given_parked("NameTaken", &["a"]).await;

    let confirm = served.page("/status/attention/NameTaken/retry", "").await;
    let sent = served.send("/status/attention/NameTaken/retry", "", FROM_HERE, "form=&reason=x").await;

    assert_eq!((confirm.status, sent.status), (200, 403));
    assert!(!confirm.body.contains("<form"), "{}", confirm.body);
    assert!(confirm.body.contains("/api/v1/openapi.json"), "it answers without a token");
    assert_eq!(served.send("/status/sign-in", "", FROM_HERE, &format!("token={ACTS}")).await.status, 403);
}
