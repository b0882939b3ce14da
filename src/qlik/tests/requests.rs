//! What is on the wire, request by request.

use super::server::{Seen, Server, json};
use super::*;
use crate::domain::ids::Hint;
use crate::domain::secret::ClientSecret;
use crate::ports::QlikApi;

fn any_answer(seen: &Seen) -> super::server::Reply {
    json(
        200,
        match seen.line.as_str() {
            "GET /api/v1/users/me" => r#"{"id":"bot"}"#,
            "GET /api/v1/oauth-clients/c1" => {
                r#"{"clientId":"c1","clientSecrets":[{"hint":"h1","createdBy":"bot"}]}"#
            }
            "GET /api/v1/oauth-clients/c1/connection-configs/me" => r#"{"consentMethod":"trusted"}"#,
            "GET /api/v1/oauth-clients?limit=100&sort=-createdAt" => r#"{"data":[]}"#,
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
async fn every_request_bears_the_headers_it_needs_and_no_others() {
    let server = Server::with_token(any_answer).await;
    let (cloud, host, client) = (cloud(&server), acme(), client());

    cloud.create_client(&host, &wanted()).await.unwrap();
    cloud.mint_secret(&host, &client).await.unwrap();
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
        assert_eq!(lengths, usize::from(request.line.starts_with("POST")), "{request:?}");
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
    let trusted = cloud.trust(&acme(), &client()).await;

    assert_eq!((deleted, secret), (Ok(()), Ok(())));
    assert!(trusted.is_err());
}
