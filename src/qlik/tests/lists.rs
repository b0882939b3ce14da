//! A list of clients is whole, or it is a failure.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Server, json};
use super::*;
use crate::domain::failure::FailureKind;
use crate::domain::ids::UserId;
use crate::ports::QlikApi;

const AT: &str = r#""createdAt":"2026-05-01T10:00:00.123456789Z""#;

fn page(items: &str, links: &str) -> String {
    format!(r#"{{"data":[{items}],"links":{links}}}"#)
}

#[tokio::test]
async fn all_pages_are_read_and_only_from_the_tenant_itself() {
    let elsewhere = Server::with_token(|_| json(200, r#"{"data":[]}"#)).await;
    let port = elsewhere.address.port();
    let server = Server::with_token(move |seen| {
        let item = |id| format!(r#"{{"clientId":"{id}","description":"d",{AT}}}"#);
        json(
            200,
            &match seen.line.as_str() {
                "GET /api/v1/oauth-clients?limit=100&sort=-createdAt" => page(
                    &item("a"),
                    &format!(r#"{{"next":{{"href":"https://evil.us.qlikcloud.com:{port}/x?next=p%2B2"}}}}"#),
                ),
                "GET /api/v1/oauth-clients?limit=100&sort=-createdAt&next=p%2B2" => {
                    page(&item("b"), r#"{"next":{"href":null},"prev":{"href":"x"}}"#)
                }
                _ => "{}".to_owned(),
            },
        )
    })
    .await;

    let seen = cloud(&server).list_clients(&acme()).await.unwrap();

    let ids: Vec<_> = seen.iter().map(|client| client.client_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(
        elsewhere.seen().is_empty() && server.seen().iter().all(|s| s.has("host: acme.us.qlikcloud.com"))
    );
}

#[tokio::test]
async fn every_way_to_say_that_there_is_no_further_page_ends_the_list() {
    for links in [
        "null",
        "{}",
        r#"{"next":null}"#,
        r#"{"next":{}}"#,
        r#"{"next":{"href":null}}"#,
        r#"{"next":{"href":""}}"#,
    ] {
        let server = Server::with_token(move |_| json(200, &page("", links))).await;

        assert_eq!(cloud(&server).list_clients(&acme()).await, Ok(vec![]), "{links}");
    }
}

#[tokio::test]
async fn a_client_is_read_with_all_that_an_administrator_sees() {
    let item = format!(
        r#"{{"clientId":"a","description":"d",{AT},"deletedAt":"","clientSecrets":[{{"hint":"h1","createdBy":"bot"}},{{"hint":"h2"}}]}},
           {{"clientId":"b","redirectUris":[],{AT},"deletedAt":"2026-05-02T10:00:00Z"}},
           {{"clientId":"c","clientSecrets":[],"description":null,{AT},"deletedAt":"0001-01-01T00:00:00Z"}}"#
    );
    let server = Server::with_token(move |_| json(200, &page(&item, "{}"))).await;

    let seen = cloud(&server).list_clients(&acme()).await.unwrap();

    let facts: Vec<_> =
        seen.iter().map(|c| (c.description.as_str(), c.is_deleted, c.secrets.len())).collect();
    assert_eq!(facts, [("d", false, 2), ("", true, 0), ("", false, 0)]);
    assert_eq!(seen[0].created_at.to_rfc3339(), "2026-05-01T10:00:00.123456789+00:00");
    let makers: Vec<_> = seen[0].secrets.iter().map(|s| s.created_by.as_ref().map(UserId::as_str)).collect();
    assert_eq!(makers, [Some("bot"), None]);
}

#[tokio::test]
async fn a_list_that_may_hide_something_is_a_failure() {
    for (body, kind) in [
        ("{}".to_owned(), FailureKind::Unreadable),
        (r#"{"data":null}"#.to_owned(), FailureKind::Unreadable),
        (r#"{"data":[],"data":[]}"#.to_owned(), FailureKind::Unreadable),
        (r#"{"data":[],"links":{"next":"x"}}"#.to_owned(), FailureKind::Unreadable),
        (page("", r#"{"next":{"href":"/x?limit=20"}}"#), FailureKind::Unreadable),
        (page("", r#"{"next":{"href":"/x?next=again"}}"#), FailureKind::Unreadable),
        (page(r#"{"clientId":"a","description":"d"}"#, "{}"), FailureKind::Unreadable),
        (page(r#"{"clientId":"a","description":"d","createdAt":"soon"}"#, "{}"), FailureKind::Unreadable),
        (page(&format!(r#"{{"description":"d",{AT}}}"#), "{}"), FailureKind::Unreadable),
        (page(&format!(r#"{{"clientId":"a","description":7,{AT}}}"#), "{}"), FailureKind::Unreadable),
        (page(&format!(r#"{{"clientId":"a","clientSecrets":[{{}}],{AT}}}"#), "{}"), FailureKind::Unreadable),
        (page(&format!(r#"{{"clientId":"a","clientName":"n",{AT}}}"#), "{}"), FailureKind::Forbidden),
    ] {
        let reply = body.clone();
        let server = Server::with_token(move |_| json(200, &reply)).await;

        let failure = cloud(&server).list_clients(&acme()).await.unwrap_err();

        assert_eq!((failure.kind, failure.evidence.status), (kind, Some(200)), "{body}");
    }
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let pages = AtomicUsize::new(0);
    let server = Server::with_token(move |_| {
        let next = pages.fetch_add(1, Ordering::SeqCst);
        json(200, &page("", &format!(r#"{{"next":{{"href":"/x?next={next}"}}}}"#)))
    })
    .await;

    let failure = cloud(&server).list_clients(&acme()).await.unwrap_err();

    assert_eq!(failure.kind, FailureKind::Unreadable);
    assert_eq!(server.lines().len(), 1 + 100);
}

#[tokio::test]
async fn the_secrets_of_a_tombstone_are_not_found() {
    let server = Server::with_token(|_| {
        json(200, r#"{"clientId":"c1","description":"","deletedAt":"2026-05-02T10:00:00Z"}"#)
    })
    .await;

    let failure = cloud(&server).list_secrets(&acme(), &client()).await.unwrap_err();

    assert_eq!(failure.kind, FailureKind::NotFound);
}
