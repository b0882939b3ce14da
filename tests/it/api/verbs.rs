//! Verbs: what they do, once, and what they leave undone.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::refusals::waiting;
use super::{ACTS, LOOKS, Reply, Served};

impl Served {
    /// Asks for a verb with this key and body.
    pub(super) async fn act(&self, path: &str, key: &str, body: &Value) -> Reply {
        self.act_as(ACTS, path, &format!("idempotency-key: {key}\r\n"), &body.to_string()).await
    }

    async fn act_as(&self, token: &str, path: &str, lines: &str, body: &str) -> Reply {
        self.act_at(token, &format!("/tenants/{path}"), lines, body).await
    }

    async fn act_at(&self, token: &str, path: &str, lines: &str, body: &str) -> Reply {
        let lines = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n{lines}");
        self.ask(&format!("POST /api/v1{path}"), &lines, body).await
    }

    async fn texts(&self, query: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(&self.db.pool).await.unwrap()
    }

    async fn history(&self) -> Vec<String> {
        self.texts("SELECT effect || ': ' || message FROM tenantd.attempts ORDER BY attempt_id").await
    }

    async fn keys(&self) -> Vec<String> {
        self.texts("SELECT idempotency_key FROM tenantd.idempotency_keys ORDER BY 1").await
    }

    async fn given_ready(&self, key: &str) {
        self.given_tenants([key]).await;
        let ready = "UPDATE tenantd.tenants SET phase = 'ready', client_id = 'cid', current_version = 1, due_at = NULL,
                            ready_at = now()";
        self.db.write(ready).await;
    }
}

#[tokio::test]
async fn each_verb_does_what_its_command_does_and_who_asked_why_is_in_the_history() {
    let served = Served::new().await;
    served.given_ready("a").await;
    let because = json!({"reason": " ticket 1\n"});

    let paused = served.act("a/pause", "k1", &json!({"reason": "works", "for": "2h"})).await.json();
    let resumed = served.act("a/resume", "k2", &because).await.json();
    let rotated = served.act("a/rotate", "k3", &because).await.json();
    served
        .db
        .write("UPDATE tenantd.tenants SET parked_reason = 'ClientMissing', message = 'x', due_at = NULL")
        .await;
    let retried = served.act("a/retry", "k4", &because).await.json();
    let removed = served.act("a/remove", "k5", &because).await.json();
    let again = served.act("a/remove", "k6", &because).await.json();

    assert_eq!((&paused["done"], &paused["tenant"]["paused"]), (&json!(true), &json!(true)));
    assert_eq!((&resumed["done"], &resumed["tenant"]["paused"]), (&json!(true), &json!(false)));
    assert_eq!((&rotated["done"], &rotated["version"]), (&json!(true), &json!(2)));
    assert_eq!((&retried["done"], &retried["tenant"]["parked"]), (&json!(true), &json!(false)));
    assert_eq!((&removed["done"], &removed["tenant"]["ready"]), (&json!(true), &json!(false)));
    assert_eq!((&again["done"], &again["verb"]), (&json!(false), &json!("remove")));
    let asked = "ticket 1; asked for by alice over HTTP";
    assert_eq!(
        served.history().await,
        [
            "pause: works; asked for by alice over HTTP".to_owned(),
            format!("resume: {asked}"),
            format!("rotate: {asked}"),
            format!("retry: {asked}"),
            format!("remove: {asked}"),
        ]
    );
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_nothing_is_done_twice() {
    let served = Served::new().await;
    served.given_ready("a").await;
    let because = json!({"reason": "ticket 1"});

    let first = served.act("a/rotate", "k", &because).await;
    served.db.write("UPDATE tenantd.tenants SET desired_version = 7").await;
    let second = served.act("a/rotate", "k", &because).await;
    let at_once =
        futures_util::future::join_all((0..4).map(|_| served.act("a/rotate", "other", &because))).await;

    assert_eq!((first.status, first.json()), (200, second.json()));
    for reply in &at_once {
        assert_eq!((reply.status, &reply.json()["version"]), (200, &json!(8)), "{reply:?}");
    }
    assert_eq!(served.history().await.len(), 2);
    assert_eq!(served.texts("SELECT desired_version::text FROM tenantd.tenants").await, ["8"]);
}

/// Whoever asks again may do so when the pause is over: it was done all the same.
#[tokio::test]
async fn the_same_key_gets_the_same_answer_when_its_pause_is_over() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let until = served.texts("SELECT to_json(tenantd.clock() + interval '1 h') #>> '{}'").await.remove(0);
    let body = json!({"reason": "x", "until": until});

    let first = served.act("a/pause", "k", &body).await;
    served
        .db
        .write(
            "CREATE OR REPLACE FUNCTION tenantd.clock() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
             RETURN statement_timestamp() + interval '2 h'",
        )
        .await;
    let again = served.act("a/pause", "k", &body).await;

    assert_eq!((first.status, again.status), (200, 200), "{again:?}");
    assert_eq!(first.json(), again.json());
    served.act("a/pause", "new", &body).await.assert_problem(400, "bad-body", Some("until"));
    assert_eq!(served.keys().await, ["k"]);
}

#[tokio::test]
async fn the_same_key_for_anything_else_is_refused_and_nothing_is_done() {
    let served = Served::new().await;
    served.given_ready("a").await;
    served.given_tenants(["b"]).await;
    served.act("a/pause", "k", &json!({"reason": "x"})).await;

    for (path, body) in [
        ("a/resume", json!({"reason": "x"})),
        ("a/pause", json!({"reason": "y"})),
        ("a/pause", json!({"reason": "x", "for": "2h"})),
        ("b/pause", json!({"reason": "x"})),
    ] {
        served.act(path, "k", &body).await.assert_problem(422, "key-reused", Some("Idempotency-Key"));
    }
    assert_eq!(served.history().await.len(), 1);
    assert_eq!(served.get("/tenants/b").await.json()["paused"], false);
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_may_be_asked_again_with_its_key() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let because = json!({"reason": "x"});

    served.act("a/rotate", "k", &because).await.assert_problem(409, "impossible", None);
    served.act("none/retry", "k", &because).await.assert_problem(404, "unknown-tenant", Some("external_id"));
    assert_eq!(served.keys().await, [""; 0]);
    assert_eq!(served.act("a/pause", "k", &because).await.status, 200);
}

#[tokio::test]
async fn a_verb_that_fails_half_way_leaves_neither_deed_nor_line_nor_key() {
    let served = Served::new().await;
    served.given_ready("a").await;
    let because = json!({"reason": "x"});

    // The last statement of all but the commit.
    for (table, row) in [("attempts", "INSERT"), ("idempotency_keys", "UPDATE")] {
        let broken = format!("tenantd.{table}");
        served
            .db
            .write(format!(
                "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
                 CREATE TRIGGER fail BEFORE {row} ON {broken} FOR EACH ROW EXECUTE FUNCTION public.fail()"
            ))
            .await;
        let reply = served.act("a/pause", "k", &because).await;
        served.db.write(format!("DROP TRIGGER fail ON {broken}; DROP FUNCTION public.fail()")).await;

        reply.assert_problem(500, "failed", None);
        assert!(!reply.body.contains("broken"), "{reply:?}");
        assert_eq!(served.get("/tenants/a").await.json()["paused"], false, "{table}");
        assert_eq!((served.keys().await, served.history().await), (Vec::new(), Vec::new()), "{table}");
    }
    assert_eq!(served.act("a/pause", "k", &because).await.status, 200);
}

#[tokio::test]
async fn nobody_acts_without_the_acting_token_a_key_and_a_reason() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let (key, body) = ("idempotency-key: k\r\n", r#"{"reason": "x"}"#);
    let long = format!(r#"{{"reason": "{}"}}"#, "x".repeat(501));
    let large = format!(r#"{{"reason": "{}"}}"#, "x".repeat(17_000));
    let wide = format!("idempotency-key: {}\r\n", "k".repeat(201));

    served.act_as("guess", "a/pause", key, body).await.assert_problem(401, "unauthorized", None);
    served.act_as(LOOKS, "a/pause", key, body).await.assert_problem(403, "forbidden", None);
    for lines in ["", "idempotency-key: \r\n", "idempotency-key: a b\r\n", &wide, &format!("{key}{key}")] {
        let reply = served.act_as(ACTS, "a/pause", lines, body).await;
        reply.assert_problem(400, "bad-parameter", Some("Idempotency-Key"));
    }
    for (body, field) in [
        ("", "body"),
        ("{", "body"),
        ("[]", "body"),
        ("{}", "body"),
        (r#"{"reason": 1}"#, "body"),
        (r#"{"reason": "x", "by": "mallory"}"#, "body"),
        (r#"{"reason": " "}"#, "reason"),
        (&long, "reason"),
        (r#"{"reason": "x", "for": "soon"}"#, "for"),
        (r#"{"reason": "x", "for": "0s"}"#, "for"),
        (r#"{"reason": "x", "until": "2001-01-01T00:00:00Z"}"#, "until"),
        (r#"{"reason": "x", "until": "2901-01-01T00:00:00Z", "for": "1h"}"#, "until"),
    ] {
        served.act_as(ACTS, "a/pause", key, body).await.assert_problem(400, "bad-body", Some(field));
    }
    served.act_as(ACTS, "a/retry", key, r#"{"reason": "x", "for": "1h"}"#).await.assert_problem(
        400,
        "bad-body",
        Some("for"),
    );
    served.act_as(ACTS, "a/pause", key, &large).await.assert_problem(413, "too-large", None);
    served.act_as(ACTS, "a/delete", key, body).await.assert_problem(404, "not-found", Some("verb"));
    served.act_as(ACTS, "a/pause?x=1", key, body).await.assert_problem(400, "unknown-parameter", Some("x"));
    let plain = format!("authorization: Bearer {ACTS}\r\n{key}");
    let reply = served.ask("POST /api/v1/tenants/a/pause", &plain, body).await;
    reply.assert_problem(415, "unsupported-media-type", Some("Content-Type"));
    let open = Served::open().await;
    open.act_as(ACTS, "a/pause", key, body).await.assert_problem(403, "forbidden", None);

    assert_eq!((served.keys().await, served.history().await), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let because = json!({"reason": "x"});
    for key in ["old", "young"] {
        served.act("a/pause", key, &because).await;
    }
    served
        .db
        .write(
            "UPDATE tenantd.idempotency_keys SET answered_at = now() - interval '25 hours' WHERE idempotency_key = 'old';
             UPDATE tenantd.idempotency_keys SET answered_at = now() - interval '23 hours' WHERE idempotency_key = 'young'",
        )
        .await;

    let pruned = served.store().await.prune_keys().await.unwrap();

    assert_eq!((pruned, served.keys().await), (1, vec!["young".to_owned()]));
}

/// Three who are parked for the same reason, and one that is not.
async fn given_parked(served: &Served) {
    served.given_tenants(["a", "b", "c", "d"]).await;
    served
        .db
        .write("UPDATE tenantd.tenants SET parked_reason = 'NameTaken', message = 'x', due_at = NULL WHERE external_id < 'd'")
        .await;
}

impl Served {
    pub(super) async fn act_on_all(&self, verb: &str, key: &str, body: &Value) -> Reply {
        self.act_at(
            ACTS,
            &format!("/verbs/{verb}"),
            &format!("idempotency-key: {key}\r\n"),
            &body.to_string(),
        )
        .await
    }
}

#[tokio::test]
async fn a_verb_is_done_once_to_all_who_match_and_in_the_history_of_each() {
    let served = Served::new().await;
    given_parked(&served).await;
    let body = json!({"filter": "reason:NameTaken", "expect": 3, "reason": "ticket 1"});

    let first = served.act_on_all("retry", "k", &body).await;
    let again = served.act_on_all("retry", "k", &body).await;
    // The same filter in other words.
    let same = json!({"filter": "  reason:NameTaken,NameTaken ", "expect": 3, "reason": "ticket 1"});
    let other_words = served.act_on_all("retry", "k", &same).await;

    let told =
        json!({"verb": "retry", "done": 3, "unchanged": 0, "refused": [], "left": 0, "next_cursor": null});
    assert_eq!((first.status, first.json()), (200, told), "{first:?}");
    assert_eq!((again.json(), other_words.json()), (first.json(), first.json()));
    assert_eq!(served.history().await, ["retry: ticket 1; asked for by alice over HTTP"; 3]);
    assert_eq!(served.get("/tenants?filter=parked:yes").await.json()["tenants"], json!([]));
}

#[tokio::test]
async fn nothing_is_done_where_more_or_fewer_match_than_were_seen() {
    let served = Served::new().await;
    given_parked(&served).await;

    for seen in [2, 4, 0] {
        let body = json!({"filter": "parked:yes", "expect": seen, "reason": "x"});
        let reply = served.act_on_all("remove", "k", &body).await;

        reply.assert_problem(409, "count-differs", Some("expect"));
        assert_eq!(reply.json()["count"], 3, "{reply:?}");
    }
    let none = served.act_on_all("remove", "k", &json!({"filter": "eu", "expect": 0, "reason": "x"})).await;

    assert_eq!((none.status, &none.json()["done"]), (200, &json!(0)), "{none:?}");
    assert!(served.history().await.is_empty());
    assert_eq!(served.keys().await, ["k"]);
}

#[tokio::test]
async fn those_to_whom_it_cannot_be_done_are_named_and_the_others_are_served() {
    let served = Served::new().await;
    served.given_ready("b").await;
    served.given_tenants(["a"]).await;

    let reply = served.act_on_all("rotate", "k", &json!({"filter": "", "expect": 2, "reason": "x"})).await;

    assert_eq!((&reply.json()["done"], &reply.json()["refused"]), (&json!(1), &json!(["a"])), "{reply:?}");
}

#[tokio::test]
async fn a_request_acts_on_so_many_and_tells_where_the_rest_begins() {
    let served = Served::new().await;
    let many = "INSERT INTO tenantd.tenants (external_id, host)
                SELECT 't' || n, 't' || n || '.us.qlikcloud.com' FROM generate_series(1, 620) AS n";
    served.db.write(many).await;

    let first =
        served.act_on_all("pause", "k1", &json!({"filter": "t", "expect": 620, "reason": "x"})).await.json();
    let cursor = &first["next_cursor"];
    let rest = json!({"filter": "t", "expect": 120, "reason": "x", "cursor": cursor});
    let second = served.act_on_all("pause", "k2", &rest).await.json();
    let bad = json!({"filter": "t", "expect": 120, "reason": "x", "cursor": "!"});

    assert_eq!((&first["done"], &first["left"]), (&json!(500), &json!(120)), "{first}");
    assert_eq!(
        (&second["done"], &second["left"], &second["next_cursor"]),
        (&json!(120), &json!(0), &Value::Null)
    );
    assert_eq!(served.texts("SELECT count(*)::text FROM tenantd.attempts").await, ["620"]);
    served.act_on_all("pause", "k3", &bad).await.assert_problem(400, "bad-body", Some("cursor"));
}

#[tokio::test]
async fn a_filter_of_a_body_is_told_its_place_and_nobody_acts_without_the_right() {
    let served = Served::new().await;
    given_parked(&served).await;
    let wrong = json!({"filter": "parked:yes phsae:ready", "expect": 3, "reason": "x"});
    let right = json!({"filter": "parked:yes", "expect": 3, "reason": "x"});
    let key = "idempotency-key: k\r\n";

    let told = served.act_on_all("retry", "k", &wrong).await;
    let looks = served.act_at(LOOKS, "/verbs/retry", key, &right.to_string()).await;
    let unknown = served.act_on_all("destroy", "k", &right).await;
    let silent =
        served.act_on_all("retry", "k", &json!({"filter": "parked:yes", "expect": 3, "reason": " "})).await;
    let blind = served.act_on_all("retry", "k", &json!({"filter": "parked:yes", "reason": "x"})).await;

    told.assert_problem(400, "bad-body", Some("filter"));
    assert_eq!((&told.json()["position"], &told.json()["word"]), (&json!(11), &json!("phsae")));
    looks.assert_problem(403, "forbidden", None);
    unknown.assert_problem(404, "not-found", Some("verb"));
    silent.assert_problem(400, "bad-body", Some("reason"));
    blind.assert_problem(400, "bad-body", Some("body"));
    assert!(served.history().await.is_empty() && served.keys().await.is_empty());
}

#[tokio::test]
async fn a_key_is_its_callers_own() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let body = json!({"reason": "x"});
    served.act("a/pause", "k", &body).await;

    *served.acting.lock().unwrap() = "bob";

    served.act("a/pause", "k", &body).await.assert_problem(422, "key-reused", Some("Idempotency-Key"));
}

#[tokio::test]
async fn what_is_refused_keeps_its_connection() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let pids = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' ORDER BY 1";
    // What refuses is on the same connection, since one asks after the other.
    served.act("a/pause", "k0", &json!({"reason": "x"})).await;
    let before = served.texts(pids).await;

    for number in 1..5 {
        let reply = served.act("a/rotate", &format!("k{number}"), &json!({"reason": "x"})).await;
        reply.assert_problem(409, "impossible", None);
    }

    assert_eq!(served.texts(pids).await, before);
}

#[tokio::test]
async fn who_matches_no_longer_once_its_row_is_locked_is_passed_by() {
    let served = Served::new().await;
    given_parked(&served).await;
    let mut edit = served.db.pool.begin().await.unwrap();
    sqlx::query("UPDATE tenantd.tenants SET parked_reason = NULL, due_at = now() WHERE external_id = 'a'")
        .execute(&mut *edit)
        .await
        .unwrap();
    let body = json!({"filter": "parked:yes", "expect": 3, "reason": "x"});

    let removing = served.act_on_all("remove", "k", &body);
    let editing = async {
        while waiting(&served).await < 1 {
            tokio::task::yield_now().await;
        }
        edit.commit().await.unwrap();
    };
    let (reply, ()) = tokio::join!(removing, editing);

    assert_eq!((&reply.json()["done"], &reply.json()["unchanged"]), (&json!(2), &json!(1)), "{reply:?}");
    let kept = "SELECT external_id FROM tenantd.tenants WHERE desired_state = 'present' ORDER BY 1";
    assert_eq!(served.texts(kept).await, ["a", "d"]);
}

#[tokio::test]
async fn who_comes_meanwhile_takes_nobodys_place() {
    let served = Served::new().await;
    given_parked(&served).await;
    served.db.write("UPDATE tenantd.tenants SET parked_reason = NULL, message = NULL, due_at = now() WHERE external_id = 'a'").await;
    let mut edit = served.db.pool.begin().await.unwrap();
    sqlx::query("UPDATE tenantd.tenants SET priority = 1 WHERE external_id = 'b'")
        .execute(&mut *edit)
        .await
        .unwrap();
    let body = json!({"filter": "parked:yes", "expect": 2, "reason": "x"});

    let removing = served.act_on_all("remove", "k", &body);
    let editing = async {
        while waiting(&served).await < 1 {
            tokio::task::yield_now().await;
        }
        // Before those who were seen.
        let parked = "UPDATE tenantd.tenants SET parked_reason = 'NameTaken', message = 'x', due_at = NULL WHERE external_id = 'a'";
        served.db.write(parked).await;
        edit.commit().await.unwrap();
    };
    let (reply, ()) = tokio::join!(removing, editing);

    assert_eq!((&reply.json()["done"], &reply.json()["unchanged"]), (&json!(2), &json!(0)), "{reply:?}");
    let kept = "SELECT external_id FROM tenantd.tenants WHERE desired_state = 'present' ORDER BY 1";
    assert_eq!(served.texts(kept).await, ["a", "d"]);
}
