//! A user is a client's bot only if it says so itself.

use super::server::{Server, json};
use super::*;
use crate::domain::failure::FailureKind;
use crate::domain::ids::UserId;
use crate::ports::QlikApi;

const FIRST: &str = "GET /api/v1/users?filter=clientId%20eq%20%22c1%22&limit=100";

async fn bots(server: &Server, client: &str) -> Result<Vec<String>, FailureKind> {
    let bots = cloud(server).bots_of(&acme(), &ClientId::new(client)).await;
    bots.map(|ids| ids.iter().map(ToString::to_string).collect()).map_err(|failure| failure.kind)
}

#[tokio::test]
async fn a_server_that_ignores_the_filter_names_nobody_but_the_bot() {
    let users = r#"
        {"id":"bot","clientId":"c1","subject":"qlikbot\\c1"},
        {"id":"renamed","clientId":"c1","subject":"x"},
        {"id":"old","subject":"qlikbot\\c1"},
        {"id":"null","clientId":null,"subject":"qlikbot\\c1"},
        {"id":"empty","clientId":"","subject":"qlikbot\\c1"},
        {"id":"person","subject":"ada","name":"qlikbot\\c1"},
        {"id":"bare","subject":"c1"},
        {"id":"longer","subject":"qlikbot\\c12"},
        {"id":"before","subject":"x qlikbot\\c1"},
        {"id":"other","clientId":"c2","subject":"qlikbot\\c1"},
        {"id":"case","clientId":"C1","subject":"qlikbot\\C1"},
        {"id":"odd","clientId":["c1"],"subject":"qlikbot\\c1"},
        {"id":"odder","subject":{"a":1}},
        {"id":"none"}"#;
    let body = format!(r#"{{"data":[{users}]}}"#);
    let server = Server::with_token(move |_| json(200, &body)).await;

    assert_eq!(bots(&server, "c1").await.unwrap(), ["bot", "renamed", "old", "null", "empty"]);
}

#[tokio::test]
async fn all_pages_of_users_are_read() {
    let server = Server::with_token(|seen| {
        let next = r#"{"next":{"href":"https://evil.us.qlikcloud.com/x?limit=1&next=p%2B2"}}"#;
        let (id, links) = match seen.line.strip_prefix(FIRST) {
            Some("") => ("a", next),
            Some("&next=p%2B2") => ("b", "{}"),
            Some(_) | None => ("wrong", "{}"),
        };
        json(200, &format!(r#"{{"data":[{{"id":"{id}","clientId":"c1"}}],"links":{links}}}"#))
    })
    .await;

    assert_eq!(bots(&server, "c1").await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn a_list_of_users_that_may_hide_a_bot_is_a_failure() {
    for body in [
        "{}",
        r#"{"data":[{"clientId":"c1"}]}"#,
        r#"{"data":[{"id":"","clientId":"c1"}]}"#,
        r#"{"data":[],"links":{"next":{"href":"/x?page=2"}}}"#,
        r#"{"data":[],"links":{"next":{"href":"/x?next=again"}}}"#,
    ] {
        let server = Server::with_token(move |_| json(200, body)).await;

        assert_eq!(bots(&server, "c1").await, Err(FailureKind::Unreadable), "{body}");
    }
}

#[tokio::test]
async fn an_id_cannot_break_out_of_the_filter() {
    let server = Server::with_token(|_| json(200, r#"{"data":[{"id":"u","clientId":"c1"}]}"#)).await;

    let found = bots(&server, r#"c1" or id pr or id eq "\"#).await.unwrap();

    assert_eq!(found, [""; 0]);
    assert_eq!(
        server.lines()[1],
        "GET /api/v1/users?filter=clientId%20eq%20%22c1%5C%22%20or%20id%20pr%20or%20id%20eq%20%5C%22%5C%5C%22&limit=100"
    );
}

#[tokio::test]
async fn a_deleted_user_is_named_in_one_segment() {
    let server = Server::with_token(|_| json(204, "")).await;

    cloud(&server).delete_user(&acme(), &UserId::new("a/../b")).await.unwrap();

    assert_eq!(server.lines()[1], "DELETE /api/v1/users/a%2F..%2Fb");
}

#[tokio::test]
async fn a_user_of_any_shape_costs_the_others_nothing_unless_it_may_be_the_clients() {
    for (odd, is_list) in [
        ("null", true),
        ("7", true),
        (r#""text""#, true),
        ("{}", true),
        (r#"{"subject":"ada"}"#, true),
        (r#"{"id":7,"clientId":null}"#, true),
        (r#"{"clientId":"c1"}"#, false),
        (r#"{"id":7,"subject":"qlikbot\\c1"}"#, false),
        (r#"{"id":"b","clientId":"c1","clientId":"x"}"#, false),
        (r#"["c1"]"#, false),
    ] {
        let body = format!(r#"{{"data":[{odd},{{"id":"b","clientId":"c1"}}]}}"#);
        let server = Server::with_token(move |_| json(200, &body)).await;

        let bots = cloud(&server).bots_of(&acme(), &client()).await;

        assert_eq!(bots.ok(), is_list.then(|| vec![UserId::new("b")]), "{odd}");
    }
}
