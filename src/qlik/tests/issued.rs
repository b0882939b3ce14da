//! The tokens that are out: listed whole, with what may be missing left out.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Server, json};
use super::*;
use crate::domain::failure::FailureKind;
use crate::domain::ids::{TokenId, UserId};
use crate::domain::token::SeenToken;
use crate::ports::QlikApi;

const LIST: &str = "GET /api/v1/oauth-tokens?limit=100";

fn ids(tokens: &[SeenToken]) -> Vec<&str> {
    tokens.iter().map(|token| token.id.as_str()).collect()
}

#[tokio::test]
async fn the_list_goes_on_by_page_or_else_by_next() {
    let server = Server::with_token(|seen| {
        let (id, query) = match seen.line.strip_prefix(LIST) {
            Some("") => ("a", "page=p%2B2&next=not-this"),
            Some("&page=p%2B2") => ("b", "page=&next=n3"),
            Some("&next=n3") => ("c", ""),
            Some(_) | None => ("wrong", ""),
        };
        let href = if query.is_empty() { String::new() } else { format!("http://evil.example/x?{query}") };
        let item = format!(r#"{{"id":"{id}","userId":"u","tenantId":"t"}}"#);
        json(200, &format!(r#"{{"data":[{item}],"links":{{"next":{{"href":"{href}"}}}}}}"#))
    })
    .await;

    let tokens = cloud(&server).list_tokens(&acme(), None).await.unwrap();

    assert_eq!(ids(&tokens), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_a_token_need_not_say_may_be_missing_null_or_odd() {
    let body = r#"{"data":[
        {"id":"full","userId":"u","clientId":"c1","description":"d","lastUsed":"2026-07-31T07:42:54.407Z"},
        {"id":"bare","userId":"u"},
        {"id":"null","userId":"u","clientId":null,"description":null,"deviceType":null,"lastUsed":null},
        {"id":"odd","userId":"u","clientId":7,"description":[],"lastUsed":"soon"},
        {"id":"empty","userId":"u","clientId":"","description":"","lastUsed":"0001-01-01T00:00:00Z"}
    ]}"#;
    let server = Server::with_token(move |_| json(200, body)).await;

    let tokens = cloud(&server).list_tokens(&acme(), None).await.unwrap();

    let bare = |id: &str| SeenToken {
        id: TokenId::new(id),
        user: UserId::new("u"),
        client: None,
        description: None,
        last_used: None,
    };
    let full = SeenToken {
        client: Some(client()),
        description: Some("d".into()),
        last_used: Some("2026-07-31T07:42:54.407Z".parse().unwrap()),
        ..bare("full")
    };
    assert_eq!(tokens, [full, bare("bare"), bare("null"), bare("odd"), bare("empty")]);
}

#[tokio::test]
async fn a_server_that_ignores_the_user_shows_no_others_tokens() {
    let body = r#"{"data":[{"id":"a","userId":"u1"},{"id":"b","userId":"u2"}]}"#;
    let server = Server::with_token(move |_| json(200, body)).await;
    let cloud = cloud(&server);

    let of_user = cloud.list_tokens(&acme(), Some(&UserId::new("u2"))).await.unwrap();
    let of_all = cloud.list_tokens(&acme(), None).await.unwrap();

    assert_eq!((ids(&of_user), ids(&of_all)), (vec!["b"], vec!["a", "b"]));
    assert_eq!(server.lines()[1], format!("{LIST}&userId=u2"));
}

#[tokio::test]
async fn the_pages_of_a_users_list_keep_the_user() {
    let server = Server::with_token(|seen| {
        let is_first = !seen.line.contains("page=");
        let link = if is_first { r#""/x?page=2""# } else { "null" };
        json(200, &format!(r#"{{"data":[],"links":{{"next":{{"href":{link}}}}}}}"#))
    })
    .await;

    cloud(&server).list_tokens(&acme(), Some(&UserId::new("u1"))).await.unwrap();

    assert_eq!(server.lines()[1..], [format!("{LIST}&userId=u1"), format!("{LIST}&userId=u1&page=2")]);
}

#[tokio::test]
async fn a_token_of_any_shape_costs_the_others_nothing() {
    for odd in ["null", "7", r#""text""#, "[]", "{}", r#"{"id":"a"}"#, r#"{"id":7,"userId":{}}"#] {
        let body = format!(r#"{{"data":[{odd},{{"id":"t","userId":"u","clientId":"c"}}]}}"#);
        let server = Server::with_token(move |_| json(200, &body)).await;

        let tokens = cloud(&server).list_tokens(&acme(), None).await.unwrap();

        assert_eq!(tokens.len(), 2, "{odd} is counted");
        assert_eq!((tokens[1].id.as_str(), tokens[0].user.as_str()), ("t", ""), "{odd}");
    }
}

#[tokio::test]
async fn a_list_of_tokens_that_may_hide_one_is_a_failure() {
    for body in [
        "{}",
        r#"{"data":[],"links":{"next":{"href":"/x?limit=20"}}}"#,
        r#"{"data":[],"links":{"next":{"href":"/x?page=again"}}}"#,
    ] {
        let server = Server::with_token(move |_| json(200, body)).await;

        let failure = cloud(&server).list_tokens(&acme(), None).await.unwrap_err();

        assert_eq!(failure.kind, FailureKind::Unreadable, "{body}");
    }
}

#[tokio::test]
async fn a_list_of_tokens_without_end_is_no_faster_than_any_other() {
    let pages = AtomicUsize::new(0);
    let server = Server::with_token(move |_| {
        let next = pages.fetch_add(1, Ordering::SeqCst);
        json(200, &format!(r#"{{"data":[],"links":{{"next":{{"href":"/x?page={next}"}}}}}}"#))
    })
    .await;

    let failure = cloud(&server).list_tokens(&acme(), None).await.unwrap_err();

    assert!(matches!(failure.kind, FailureKind::Throttled { .. }), "{failure:?}");
    assert!((101..110).contains(&server.lines().len()), "{}", server.lines().len());
}

#[tokio::test]
async fn a_delete_by_client_that_qlik_does_not_know_is_told() {
    for (status, expected) in [
        (204, Ok(())),
        (200, Ok(())),
        (404, Err(FailureKind::NotFound)),
        (405, Err(FailureKind::Rejected)),
        (403, Err(FailureKind::Forbidden)),
    ] {
        let server = Server::with_token(move |_| json(status, "")).await;

        let outcome = cloud(&server).delete_tokens_of(&acme(), &client()).await;

        assert_eq!(outcome.map_err(|failure| failure.kind), expected, "{status}");
        assert_eq!(server.lines()[1], "DELETE /api/v1/oauth-tokens?clientId=c1");
    }
}
