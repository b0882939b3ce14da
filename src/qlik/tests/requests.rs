//! What is on the wire, request by request.

use super::server::{Reply, Seen, Server, json};
use super::*;
use crate::domain::drift::{Change, Field, Value};
use crate::domain::failure::FailureKind;
use crate::domain::ids::{Hint, TokenId, UserId};
use crate::domain::secret::ClientSecret;
use crate::ports::QlikApi;

fn any_answer(seen: &Seen) -> Reply {
    json(
        200,
        match seen.line.as_str() {
            "GET /api/v1/users/me" => r#"{"id":"bot"}"#,
            "GET /api/v1/oauth-clients/c1" => {
                r#"{"clientId":"c1","clientSecrets":[{"hint":"h1","createdBy":"bot"}]}"#
            }
            "GET /api/v1/oauth-clients/c1/connection-configs/me" => r#"{"consentMethod":"trusted"}"#,
            "GET /api/v1/oauth-clients?limit=100&sort=-createdAt"
            | "GET /api/v1/users?filter=clientId%20eq%20%22c1%22&limit=100"
            | "GET /api/v1/oauth-tokens?limit=100"
            | "GET /api/v1/oauth-tokens?limit=100&userId=u%2F1" => r#"{"data":[]}"#,
            _ => r#"{"clientId":"c1","clientSecret":"s","hint":"h1"}"#,
        },
    )
}

#[tokio::test]
async fn every_request_is_spelled_as_qlik_documents_it() {
    let server = Server::with_token(any_answer).await;
    let (cloud, host, client) = (cloud(&server), acme(), client());

    cloud.create_client(&host, &wanted()).await.unwrap();
    cloud.list_clients(&host).await.unwrap();
    cloud.list_secrets(&host, &client).await.unwrap();
    cloud.mint_secret(&host, &client).await.unwrap();
    cloud.delete_secret(&host, &client, &Hint::new("a/b")).await.unwrap();
    assert!(cloud.is_trusted(&host, &client).await.unwrap());
    cloud.trust(&host, &client).await.unwrap();
    assert_eq!(cloud.bot_user(&host).await.unwrap().as_str(), "bot");
    cloud.delete_client(&host, &client).await.unwrap();
    cloud.prove(&host, &client, &ClientSecret::new("s\"1".into())).await.unwrap();

    let seen = server.seen();
    let spelled: Vec<_> = seen.iter().map(|s| (s.line.as_str(), s.body.as_str())).collect();
    assert_eq!(
        spelled,
        [
            (
                "POST /oauth/token",
                r#"{"client_id":"region-id","client_secret":"region-secret","grant_type":"client_credentials"}"#
            ),
            (
                "POST /api/v1/oauth-clients",
                r#"{"appType":"web","clientName":"portal","description":"[tenantd:1:…]","allowedScopes":["user_default"],"allowedGrantTypes":["client_credentials","urn:qlik:oauth:user-impersonation"],"redirectUris":["https://app.example/cb"],"allowedOrigins":[]}"#
            ),
            ("GET /api/v1/oauth-clients?limit=100&sort=-createdAt", ""),
            ("GET /api/v1/oauth-clients/c1", ""),
            ("POST /api/v1/oauth-clients/c1/client-secrets", ""),
            ("DELETE /api/v1/oauth-clients/c1/client-secrets/a%2Fb", ""),
            ("GET /api/v1/oauth-clients/c1/connection-configs/me", ""),
            (
                "PATCH /api/v1/oauth-clients/c1/connection-configs/me",
                r#"[{"op":"replace","path":"/consentMethod","value":"trusted"}]"#
            ),
            ("GET /api/v1/users/me", ""),
            ("DELETE /api/v1/oauth-clients/c1", ""),
            (
                "POST /oauth/token",
                r#"{"client_id":"c1","client_secret":"s\"1","grant_type":"client_credentials"}"#
            ),
        ]
    );
}

#[tokio::test]
async fn upkeep_is_spelled_as_qlik_documents_it() {
    let server = Server::with_token(any_answer).await;
    let (cloud, host, client) = (cloud(&server), acme(), client());
    let texts = |items: &[&str]| Value::List(items.iter().map(ToString::to_string).collect());
    let changes = [
        Change { field: Field::Name, value: Value::Text("po\"rtal".into()) },
        Change { field: Field::Scopes, value: texts(&["a", "b"]) },
        Change { field: Field::Origins, value: texts(&[]) },
    ];
    cloud.amend(&host, &client, &changes).await.unwrap();
    cloud.bots_of(&host, &client).await.unwrap();
    cloud.delete_user(&host, &UserId::new("u/1")).await.unwrap();
    cloud.list_tokens(&host, None).await.unwrap();
    cloud.list_tokens(&host, Some(&UserId::new("u/1"))).await.unwrap();
    cloud.delete_token(&host, &TokenId::new("t?1")).await.unwrap();
    cloud.delete_tokens_of(&host, &ClientId::new("c&1")).await.unwrap();

    let seen = server.seen();
    let spelled: Vec<_> = seen.iter().skip(1).map(|s| (s.line.as_str(), s.body.as_str())).collect();
    assert_eq!(
        spelled,
        [
            (
                "PATCH /api/v1/oauth-clients/c1",
                r#"[{"op":"replace","path":"/clientName","value":"po\"rtal"},{"op":"replace","path":"/allowedScopes","value":["a","b"]},{"op":"replace","path":"/allowedOrigins","value":[]}]"#
            ),
            ("GET /api/v1/users?filter=clientId%20eq%20%22c1%22&limit=100", ""),
            ("DELETE /api/v1/users/u%2F1", ""),
            ("GET /api/v1/oauth-tokens?limit=100", ""),
            ("GET /api/v1/oauth-tokens?limit=100&userId=u%2F1", ""),
            ("DELETE /api/v1/oauth-tokens/t%3F1", ""),
            ("DELETE /api/v1/oauth-tokens?clientId=c%261", ""),
        ]
    );
}

#[tokio::test]
async fn every_request_bears_the_headers_it_needs_and_no_others() {
    let server = Server::with_token(any_answer).await;
    let (cloud, host, client) = (cloud(&server), acme(), client());

    cloud.create_client(&host, &wanted()).await.unwrap();
    cloud.mint_secret(&host, &client).await.unwrap();
    cloud.amend(&host, &client, &[change()]).await.unwrap();
    cloud.delete_client(&host, &client).await.unwrap();

    let seen = server.seen();
    for request in &seen {
        assert!(request.has("host: acme.us.qlikcloud.com"), "{request:?}");
        assert!(request.has("accept: application/json"), "{request:?}");
        assert!(request.has("accept-encoding: identity"), "{request:?}");
        assert!(request.has(concat!("user-agent: tenantd/", env!("CARGO_PKG_VERSION"))), "{request:?}");
        assert_eq!(
            request.has("authorization: Bearer T1"),
            request.line != "POST /oauth/token",
            "{request:?}"
        );
        let is_json = request.has("content-type: application/json");
        assert_eq!(is_json, !request.body.is_empty(), "{request:?}");
        let lengths = request.headers.iter().filter(|line| line.starts_with("content-length")).count();
        let has_length = request.line.starts_with('P');
        assert_eq!(lengths, usize::from(has_length), "{request:?}");
        let is_confirmed = request.has("qlik-confirm-delete: c1");
        assert_eq!(is_confirmed, request.line.starts_with("DELETE"), "{request:?}");
    }
    assert!(seen[2].has("content-length: 0"), "{:?}", seen[2]);
}

#[tokio::test]
async fn what_is_gone_already_is_deleted() {
    let server = Server::with_token(|_| json(404, "{}")).await;
    let cloud = cloud(&server);

    let deleted = cloud.delete_client(&acme(), &client()).await;
    let secret = cloud.delete_secret(&acme(), &client(), &Hint::new("h")).await;
    let user = cloud.delete_user(&acme(), &UserId::new("u1")).await;
    let token = cloud.delete_token(&acme(), &TokenId::new("t1")).await;
    let trusted = cloud.trust(&acme(), &client()).await;
    let amended = cloud.amend(&acme(), &client(), &[change()]).await;

    assert_eq!((deleted, secret, user, token), (Ok(()), Ok(()), Ok(()), Ok(())));
    assert!(trusted.is_err());
    assert_eq!(amended.unwrap_err().kind, FailureKind::NotFound);
}

#[tokio::test]
async fn a_delete_that_fails_otherwise_is_not_done() {
    let server = Server::with_token(|_| json(403, "{}")).await;
    let cloud = cloud(&server);

    let user = cloud.delete_user(&acme(), &UserId::new("u1")).await.unwrap_err();
    let token = cloud.delete_token(&acme(), &TokenId::new("t1")).await.unwrap_err();

    assert_eq!((user.kind, token.kind), (FailureKind::Forbidden, FailureKind::Forbidden));
}

#[tokio::test]
async fn an_id_that_would_delete_more_makes_no_request() {
    let server = Server::with_token(|_| json(204, "")).await;
    let (cloud, host) = (cloud(&server), acme());

    for id in ["", ".", ".."] {
        assert!(cloud.delete_user(&host, &UserId::new(id)).await.is_err(), "{id:?}");
        assert!(cloud.delete_token(&host, &TokenId::new(id)).await.is_err(), "{id:?}");
        assert!(cloud.amend(&host, &ClientId::new(id), &[change()]).await.is_err(), "{id:?}");
    }
    assert!(cloud.delete_tokens_of(&host, &ClientId::new("")).await.is_err());
    assert!(cloud.list_tokens(&host, Some(&UserId::new(""))).await.is_err());
    assert_eq!(server.lines(), [""; 0]);
}

#[tokio::test]
async fn no_change_makes_no_request() {
    let server = Server::with_token(|_| json(500, "")).await;

    assert_eq!(cloud(&server).amend(&acme(), &client(), &[]).await, Ok(()));
    assert_eq!(server.lines(), [""; 0]);
}

#[tokio::test]
async fn a_secret_that_a_patch_made_is_never_read() {
    for reply in [
        || json(202, r#"{"clientSecret":"s3cret"}"#),
        || json(202, "<html>"),
        || Reply::Bytes(b"HTTP/1.1 204 X\r\n\r\n".to_vec()),
        // A body that is promised and never comes would be waited for.
        || Reply::Last(b"HTTP/1.1 202 X\r\ncontent-length: 99\r\n\r\n".to_vec()),
    ] {
        let server = Server::with_token(move |_| reply()).await;

        assert_eq!(cloud(&server).amend(&acme(), &client(), &[change()]).await, Ok(()));
        assert_eq!(server.lines().len(), 2, "sent once");
    }
}

fn change() -> Change {
    Change { field: Field::Name, value: Value::Text("portal".into()) }
}
