//! What is refused, and how it is said.

use std::time::Duration;

use tenantd::api::Kind;

use super::{ACTS, LOOKS, Served};

const DOCUMENT: &str = include_str!("../../../docs/api.md");

#[tokio::test]
async fn what_cannot_be_asked_is_a_problem_that_names_the_parameter_and_what_would_be_right() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;

    for (path, parameter, expected) in [
        ("/tenants?filter=phase:Ready", "filter", "did you mean ready?"),
        ("/tenants?filter=reason:queued", "filter", "did you mean Queued?"),
        ("/tenants?filter=ready:true", "filter", "yes or no"),
        ("/tenants?filter=parked:", "filter", "a value"),
        ("/tenants?limit=501", "limit", "from 1 to 500"),
        ("/tenants?limit=0", "limit", "from 1 to 500"),
        ("/tenants?limit=-1", "limit", "from 1 to 500"),
        ("/tenants?cursor=a%21", "cursor", "next_cursor"),
        ("/tenants?cursor=", "cursor", "next_cursor"),
        ("/tenants?cursor=AA", "cursor", "next_cursor"),
        ("/tenants?filter=region:a%00b", "filter", "without it"),
        ("/tenants?cursor=a%00", "cursor", "without it"),
        ("/tenants?filter=phase:ready&filter=phase:ready", "filter", "one value"),
        ("/tenants/a?attempts=1001", "attempts", "from 1 to 1000"),
        ("/tenants/%ff", "external_id", "UTF-8"),
    ] {
        let reply = served.get(path).await;

        reply.assert_problem(400, "bad-parameter", Some(parameter));
        let said = reply.json()["expected"].as_str().unwrap().to_owned();
        assert!(said.contains(expected), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_parameter_that_there_is_not_is_refused_by_name_with_those_that_there_are() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;

    for (path, parameter, expected) in [
        ("/tenants?phase=ready", "phase", "one of filter, cursor, limit"),
        ("/tenants/a?limit=1", "limit", "one of attempts"),
        ("/fleet?phase=ready", "phase", "no parameter"),
        ("/regions?a", "a", "no parameter"),
        ("/workers?a=", "a", "no parameter"),
        ("/openapi.json?a=1", "a", "no parameter"),
    ] {
        let reply = served.get(path).await;

        reply.assert_problem(400, "unknown-parameter", Some(parameter));
        let said = reply.json()["expected"].as_str().unwrap().to_owned();
        assert!(said.contains(expected), "{path}: {said}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_taken_are_problems_too() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;

    served.get("/tenants/none").await.assert_problem(404, "unknown-tenant", Some("external_id"));
    served.get("/tenants/%00").await.assert_problem(404, "unknown-tenant", Some("external_id"));
    for path in ["", "/tenants/", "/tenants/a/retry/x", "/nowhere", "/fleet/"] {
        served.get(path).await.assert_problem(404, "not-found", Some("path"));
    }
    let token = format!("authorization: Bearer {ACTS}\r\n");
    for first in
        ["POST /api/v1/tenants", "DELETE /api/v1/tenants/a", "PUT /api/v1/fleet", "OPTIONS /api/v1/fleet"]
    {
        let reply = served.ask(first, &token, "").await;

        reply.assert_problem(405, "method-not-allowed", None);
        assert_eq!(reply.header("allow"), Some("GET,HEAD"), "{first}");
    }
}

#[tokio::test]
async fn who_has_no_token_reads_nothing_and_who_acts_may_look() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;

    for path in ["/tenants", "/tenants/a", "/fleet", "/regions", "/workers", "/openapi.json", "/nowhere"] {
        for lines in ["", "authorization: Bearer guess\r\n", "authorization: Basic token-of-who-looks\r\n"] {
            let reply = served.ask(&format!("GET /api/v1{path}"), lines, "").await;

            reply.assert_problem(401, "unauthorized", None);
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
    }
    for token in [LOOKS, ACTS] {
        let reply =
            served.ask("GET /api/v1/tenants", &format!("authorization: Bearer {token}\r\n"), "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

#[tokio::test]
async fn where_no_token_is_set_everybody_on_this_machine_reads() {
    let served = Served::open().await;

    let reply = served.ask("GET /api/v1/tenants", "", "").await;

    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn a_token_that_was_replaced_is_heard_at_once_and_one_that_cannot_be_read_lets_nobody_in() {
    let served = Served::new().await;

    let before = served.get("/fleet").await.status;
    *served.looks.lock().unwrap() = Ok("another".to_owned());
    let replaced = served.get("/fleet").await;
    let with_the_new = served.ask("GET /api/v1/fleet", "authorization: Bearer another\r\n", "").await.status;
    *served.looks.lock().unwrap() = Err("it is gone".to_owned());
    let gone = served.ask("GET /api/v1/fleet", "authorization: Bearer another\r\n", "").await;

    assert_eq!((before, with_the_new), (200, 200));
    replaced.assert_problem(401, "unauthorized", None);
    gone.assert_problem(503, "unavailable", None);
    assert!(!gone.body.contains("it is gone"), "{gone:?}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_a_problem_in_time_and_probes_go_on() {
    let served = Served::new().await;
    served.get("/fleet").await;
    let mut locked = served.db.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();

    let all = futures_util::future::join_all((0..12).map(|_| served.get("/tenants")));
    let asked = tokio::time::timeout(Duration::from_secs(12), all);
    let probe = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::time::timeout(Duration::from_secs(1), served.ask("GET /healthz", "", "")).await
    };
    let (replies, probe) = tokio::join!(asked, probe);
    locked.rollback().await.unwrap();

    assert_eq!(probe.expect("a probe is answered at once").status, 200);
    for reply in replies.expect("each is answered in time") {
        let kind = reply.json()["type"].as_str().unwrap().to_owned();
        assert!(["unavailable", "busy"].iter().any(|known| kind.ends_with(known)), "{reply:?}");
        reply.assert_problem(503, kind.rsplit(':').next().unwrap(), None);
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
    assert_eq!(served.get("/tenants").await.status, 200);
}

/// How many statements of the API wait for a lock.
pub(super) async fn waiting(served: &Served) -> i64 {
    let statement = "SELECT count(*) FROM pg_stat_activity
                      WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query_scalar(statement).fetch_one(&served.db.pool).await.unwrap()
}

#[tokio::test]
async fn who_hangs_up_frees_no_room_while_the_database_works_for_him() {
    let served = Served::new().await;
    served.get("/tenants").await;
    let mut locked = served.db.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE").execute(&mut *locked).await.unwrap();

    for turn in 1..=9 {
        let asking = served.get("/tenants");
        let is_heard = async {
            while waiting(&served).await < turn.min(3) {
                tokio::task::yield_now().await;
            }
            // Time enough for one more to come through, which none does.
            for _ in 0..if turn > 3 { 15 } else { 0 } {
                assert!(waiting(&served).await <= 3, "after {turn} came, and all before hung up");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! { _ = asking => panic!("the table is locked"), () = is_heard => {} }
    }

    locked.rollback().await.unwrap();
    assert_eq!(served.get("/tenants").await.status, 200);
}

#[tokio::test]
async fn those_who_look_take_no_room_from_those_who_act() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    served.get("/fleet").await;
    let mut locked = served.db.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE tenantd.rollouts IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *locked)
        .await
        .unwrap();

    let looking = futures_util::future::join_all((0..8).map(|_| served.get("/fleet")));
    let acting = async {
        while waiting(&served).await < 3 {
            tokio::task::yield_now().await;
        }
        // Before any of them gives up for the lock.
        let because = serde_json::json!({"reason": "x"});
        let acting = served.act("a/pause", "k", &because);
        tokio::time::timeout(Duration::from_secs(2), acting).await.expect("there is room")
    };
    let done = tokio::select! { _ = looking => panic!("the table is locked"), done = acting => done };

    assert_eq!(done.status, 200, "{done:?}");
    locked.rollback().await.unwrap();
}

#[tokio::test]
async fn a_term_too_many_is_named() {
    let served = Served::new().await;
    let terms = |count: usize| (1..=count).map(|n| format!("label.k{n}:v")).collect::<Vec<_>>().join("+");

    assert_eq!(served.get(&format!("/tenants?filter={}", terms(16))).await.status, 200);
    let refused = served.get(&format!("/tenants?filter={}", terms(17))).await;

    refused.assert_problem(400, "bad-parameter", Some("filter"));
    assert_eq!(refused.json()["word"], "label.k17:v", "{refused:?}");
}

#[test]
fn the_document_lists_every_problem_with_its_status() {
    let section = DOCUMENT.split("\n## Problems\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")).collect();

    let kinds = Kind::ALL.map(|kind| format!("{}` | {} |", kind.as_str(), kind.status().as_u16()));

    assert_eq!(listed.len(), kinds.len());
    for kind in kinds {
        assert!(listed.iter().any(|line| line.starts_with(&kind)), "{kind}");
    }
}
