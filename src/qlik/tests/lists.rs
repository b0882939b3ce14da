//! A list of clients is whole, or it is a failure; what it may leave out costs nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::{Server, json};
use super::*;
use crate::domain::failure::FailureKind;
use uuid::Uuid;

use crate::domain::ids::{ClientId, InstallationId, TenantId, UserId};
use crate::domain::look::{illegible, surplus};
use crate::domain::mark::Mark;
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
        r#"{{"clientId":"a","description":"d",{AT},"deletedAt":"","clientSecrets":[{{"hint":"h1","createdBy":"bot"}},{{"hint":"h2"}},{{"hint":"h3","createdBy":7}}]}},
           {{"clientId":"b","redirectUris":[],{AT},"deletedAt":"2026-05-02T10:00:00Z"}},
           {{"clientId":"c","clientSecrets":[],"description":null,{AT},"deletedAt":"0001-01-01T00:00:00Z"}}"#
    );
    let server = Server::with_token(move |_| json(200, &page(&item, "{}"))).await;

    let seen = cloud(&server).list_clients(&acme()).await.unwrap();

    let facts: Vec<_> =
        seen.iter().map(|c| (c.description.as_str(), c.is_deleted, c.secrets.len())).collect();
    assert_eq!(facts, [("d", false, 3), ("", true, 0), ("", false, 0)]);
    assert_eq!(seen[0].created_at.unwrap().to_rfc3339(), "2026-05-01T10:00:00.123456789+00:00");
    let makers: Vec<_> = seen[0].secrets.iter().map(|s| s.created_by.as_ref().map(UserId::as_str)).collect();
    assert_eq!(makers, [Some("bot"), None, None]);
}

#[tokio::test]
async fn everything_that_can_drift_is_read() {
    let item = format!(
        r#"{{"clientId":"a","clientName":"portal","description":"d",{AT},
            "allowedScopes":["user_default","admin_classic"],"allowedGrantTypes":["client_credentials"],
            "redirectUris":["https://a.example/cb"],"allowedOrigins":["https://b.example"],
            "disableTag":"by-admin","connectionConfig":{{"consentMethod":"required","status":"approved"}}}}"#
    );
    let server = Server::with_token(move |_| json(200, &page(&item, "{}"))).await;

    let seen = cloud(&server).list_clients(&acme()).await.unwrap().remove(0);

    assert_eq!(seen.name, "portal");
    assert_eq!(seen.scopes, ["user_default", "admin_classic"]);
    assert_eq!(seen.grants, ["client_credentials"]);
    assert_eq!(
        (seen.redirect_uris, seen.allowed_origins),
        (vec!["https://a.example/cb".to_owned()], vec!["https://b.example".to_owned()])
    );
    assert_eq!((seen.is_disabled, seen.is_trusted), (true, Some(false)));
}

#[tokio::test]
async fn an_odd_field_that_we_can_do_without_costs_nothing() {
    const ODD_VALUES: [&str; 5] = ["null", "7", r#""text""#, "{}", r#"[1,null,"kept"]"#];
    let fields = ["clientName", "allowedScopes", "allowedGrantTypes", "redirectUris", "allowedOrigins"];
    for odd in ODD_VALUES {
        let odd_fields = fields.map(|field| format!(r#","{field}":{odd}"#)).concat();
        let item = format!(
            r#"{{"clientId":"a","description":"d",{AT}{odd_fields},"connectionConfig":{odd}}},
               {{"clientId":"b","description":"d",{AT}}}"#
        );
        let server = Server::with_token(move |_| json(200, &page(&item, "{}"))).await;

        let seen = cloud(&server).list_clients(&acme()).await.unwrap();

        let kept: &[&str] = if odd.starts_with('[') { &["kept"] } else { &[] };
        for list in [&seen[0].scopes, &seen[0].grants, &seen[0].redirect_uris, &seen[0].allowed_origins] {
            assert_eq!(list, kept, "{odd}");
        }
        assert_eq!(seen[0].name, if odd == r#""text""# { "text" } else { "" }, "{odd}");
        assert_eq!((seen[0].is_trusted, seen[0].is_disabled), (None, false), "{odd}");
        let absent = (&*seen[1].name, seen[1].scopes.len(), seen[1].is_trusted, seen[1].is_disabled);
        assert_eq!(absent, ("", 0, None, false));
    }
}

#[tokio::test]
async fn a_client_is_disabled_by_any_tag_that_is_set() {
    for (tag, is_disabled) in [
        ("null", false),
        (r#""""#, false),
        ("false", false),
        (r#""by-admin""#, true),
        ("true", true),
        (r#"{"reason":"x"}"#, true),
        (r#"["x"]"#, true),
    ] {
        let item = format!(r#"{{"clientId":"a","description":"d",{AT},"disableTag":{tag}}}"#);
        let server = Server::with_token(move |_| json(200, &page(&item, "{}"))).await;

        let seen = cloud(&server).list_clients(&acme()).await.unwrap();

        assert_eq!(seen[0].is_disabled, is_disabled, "{tag}");
    }
}

#[tokio::test]
async fn only_the_word_trusted_is_trust() {
    for (method, expected) in [
        (r#""trusted""#, Some(true)),
        (r#""required""#, Some(false)),
        (r#""Trusted""#, Some(false)),
        ("null", None),
        ("true", None),
    ] {
        let config = format!(r#""connectionConfig":{{"consentMethod":{method}}}"#);
        let item = format!(r#"{{"clientId":"a","description":"d",{AT},{config}}}"#);
        let server = Server::with_token(move |_| json(200, &page(&item, "{}"))).await;

        let seen = cloud(&server).list_clients(&acme()).await.unwrap();

        assert_eq!(seen[0].is_trusted, expected, "{method}");
    }
}

/// What a client looks like, and what of it could not be read.
const ODD: [(&str, Option<&str>); 14] = [
    ("null", Some("it is no object")),
    ("7", Some("it is no object")),
    ("[]", Some("it is no object")),
    (r#""MARK""#, Some("it is no object")),
    ("{}", Some("clientId")),
    (r#"{"clientId":7,"description":"MARK"}"#, Some("clientId")),
    (r#"{"clientId":"a","description":"MARK"}"#, Some("createdAt")),
    (r#"{"clientId":"a","description":"MARK","createdAt":"soon"}"#, Some("createdAt")),
    (r#"{"clientId":"a","description":["MARK"],"createdAt":"2026-05-01T10:00:00Z"}"#, Some("description")),
    (
        r#"{"clientId":"a","description":"MARK","description":"d","createdAt":"2026-05-01T10:00:00Z"}"#,
        Some("description"),
    ),
    (
        r#"{"clientId":"a","description":"MARK","deletedAt":7,"createdAt":"2026-05-01T10:00:00Z"}"#,
        Some("deletedAt"),
    ),
    (
        r#"{"clientId":"a","description":"MARK","clientSecrets":[{}],"createdAt":"2026-05-01T10:00:00Z"}"#,
        Some("clientSecrets"),
    ),
    (
        r#"{"clientId":"a","description":"MARK","clientSecrets":"x","createdAt":"2026-05-01T10:00:00Z"}"#,
        Some("clientSecrets"),
    ),
    (
        r#"{"clientId":"a","createdAt":"2026-05-01T10:00:00Z","appType":"word of tomorrow","disableTag":null}"#,
        None,
    ),
];

#[tokio::test]
async fn a_client_of_any_shape_costs_the_others_nothing_and_is_named_where_it_is_ours() {
    let mark =
        Mark { installation: InstallationId(Uuid::from_u128(1)), tenant: TenantId(Uuid::from_u128(2)) };
    let other = Mark { tenant: TenantId(Uuid::from_u128(3)), ..mark };
    for (odd, fault) in ODD {
        let item = odd.replace("MARK", &mark.to_string());
        let ours = format!(r#"{{"clientId":"c","description":"d","clientSecrets":[],{AT}}}"#);
        let server = Server::with_token(move |_| json(200, &page(&format!("{item},{ours}"), "{}"))).await;

        let seen = cloud(&server).list_clients(&acme()).await.unwrap();

        assert_eq!((seen.len(), seen[0].fault, seen[1].fault), (2, fault, None), "{odd}");
        assert_eq!(seen[1].client_id.as_str(), "c", "{odd}");
        let named = illegible(&mark, None, &seen).map(|(_, fault)| fault);
        assert_eq!(named, fault.filter(|_| odd.contains("MARK")), "{odd}");
        assert_eq!(illegible(&other, Some(&ClientId::new("c")), &seen), None, "{odd}");
        assert_eq!(surplus(&mark, &ClientId::new("c"), &seen), [], "{odd}");
    }
}

#[tokio::test]
async fn a_bare_client_is_somebody_elses_unless_we_see_no_more_than_anybody() {
    let (bare, full) = (r#"{"clientId":"a"}"#, format!(r#"{{"clientId":"c","redirectUris":[],{AT}}}"#));
    for (items, me, is_list) in [
        (format!("{bare},{full}"), "{}", true),
        (bare.to_owned(), r#"{"id":"u","roles":["TenantAdmin"]}"#, true),
        (bare.to_owned(), r#"{"id":"u","roles":["Developer"]}"#, false),
        (bare.to_owned(), r#"{"id":"u"}"#, false),
    ] {
        let server = Server::with_token(move |seen| {
            json(200, &if seen.line.contains("users/me") { me.to_owned() } else { page(&items, "{}") })
        })
        .await;

        let seen = cloud(&server).list_clients(&acme()).await;

        assert_eq!(seen.is_ok(), is_list, "{me}: {seen:?}");
        assert!(seen.is_ok_and(|seen| !seen.is_empty()) || !is_list, "{me}");
    }
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

    // The clock of this test stands still, so that no turn ever comes.
    assert!(matches!(failure.kind, FailureKind::Throttled { .. }), "{failure:?}");
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
