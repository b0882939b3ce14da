//! Promises of the door on the network, seen byte by byte.

mod client;
mod faults;

use serde_json::{Value, json};

use self::client::{Client, Received};
use super::*;
use crate::simulator::behaviour::{Behaviour, HintSpelling, NoLink, OneOf};
use crate::simulator::endpoint::Endpoint;
use crate::simulator::ledger::Ledger;
use crate::simulator::records::TenantStatus;
use crate::simulator::testing::{HOST, HandClock, OTHER, REGION_ID, REGION_SECRET, world};

struct Given {
    world: World,
    clock: Arc<HandClock>,
    server: Server,
    client: Client,
}

async fn given(behaviour: Behaviour) -> Given {
    let (world, clock) = (world(behaviour), Arc::new(HandClock::default()));
    let server = Server::start(world.clone(), Arc::clone(&clock), Options::default()).await.unwrap();
    let client = Client::of(&server);
    Given { world, clock, server, client }
}

impl Given {
    async fn send(&self, lines: &str, body: &str) -> Received {
        self.client.send(HOST, lines, body).await.unwrap()
    }

    async fn token_for(&self, id: &str, secret: &str) -> Received {
        let body = json!({
            "grant_type": "client_credentials", "client_id": id, "client_secret": secret,
        });
        self.send("POST /oauth/token", &body.to_string()).await
    }

    /// The header that authenticates the region's bot.
    async fn bearer(&self) -> String {
        let answer = self.token_for(REGION_ID, REGION_SECRET).await;
        format!("authorization: Bearer {}", answer.json()["access_token"].as_str().unwrap())
    }

    async fn create(&self, bearer: &str, name: &str) -> Value {
        let lines = format!("POST /api/v1/oauth-clients\n{bearer}");
        self.send(&lines, &creation(name)).await.json()
    }

    fn ledger(&self) -> Ledger {
        self.world.at(self.clock.now()).ledger()
    }
}

fn creation(name: &str) -> String {
    json!({
        "appType": "web", "clientName": name, "allowedScopes": ["user_default"],
        "allowedGrantTypes": ["client_credentials", "urn:qlik:oauth:user-impersonation"],
        "connectionConfig": { "consentMethod": "trusted" },
    })
    .to_string()
}

#[tokio::test]
async fn a_tenant_is_provisioned_rotated_and_removed_over_https() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    let mut body: Value = serde_json::from_str(&creation("acme")).unwrap();
    body.as_object_mut().unwrap().remove("connectionConfig");
    let made = given.send(&format!("POST /api/v1/oauth-clients\n{bearer}"), &body.to_string()).await;
    let (status, made) = (made.status, made.json());
    let (id, secret) = (made["clientId"].as_str().unwrap(), made["clientSecret"].as_str().unwrap());
    let consent = format!("/api/v1/oauth-clients/{id}/connection-configs/me\n{bearer}");
    let trust = json!([{ "op": "replace", "path": "/consentMethod", "value": "trusted" }]).to_string();

    assert_eq!((status, made["clientSecretHint"].clone()), (201, made["clientSecrets"][0]["hint"].clone()));
    assert_eq!(given.send(&format!("GET {consent}"), "").await.json()["consentMethod"], "required");
    assert_eq!(given.send(&format!("PATCH {consent}"), &trust).await.status, 204);
    assert_eq!(given.send(&format!("GET {consent}"), "").await.json()["consentMethod"], "trusted");
    let token = given.token_for(id, secret).await.json();
    assert_eq!((token["token_type"].as_str(), token["expires_in"].as_u64()), (Some("bearer"), Some(21_600)));

    let minted = given.send(&format!("POST /api/v1/oauth-clients/{id}/client-secrets\n{bearer}"), "").await;
    assert_eq!((minted.status, minted.json()["clientId"].as_str()), (201, Some(id)));
    let hint = made["clientSecretHint"].as_str().unwrap();
    let old = format!("DELETE /api/v1/oauth-clients/{id}/client-secrets/{hint}\n{bearer}");
    assert_eq!(given.send(&old, "").await.status, 204);
    assert_eq!(given.token_for(id, secret).await.status, 401);

    let delete = format!("DELETE /api/v1/oauth-clients/{id}\n{bearer}");
    assert_eq!(given.send(&delete, "").await.status, 400);
    assert_eq!(given.send(&format!("{delete}\nqlik-confirm-delete: {id}"), "").await.status, 204);
    assert_eq!(given.send(&format!("GET /api/v1/oauth-clients/{id}\n{bearer}"), "").await.status, 404);
    assert_eq!(given.ledger().live_clients, 0);
}

#[tokio::test]
async fn a_token_can_be_asked_for_as_a_form_and_with_http_basic() {
    let given = given(Behaviour::default()).await;
    let form = format!("grant_type=client_credentials&client_id={REGION_ID}&client_secret={REGION_SECRET}");
    let kind = "content-type: application/x-www-form-urlencoded";
    // region-client:region-secret
    let basic = "authorization: Basic cmVnaW9uLWNsaWVudDpyZWdpb24tc2VjcmV0";

    let by_form = given.send(&format!("POST /oauth/token\n{kind}"), &form).await;
    let by_basic =
        given.send(&format!("POST /oauth/token\n{basic}"), r#"{"grant_type":"client_credentials"}"#).await;

    assert_eq!((by_form.status, by_basic.status), (200, 200));
    assert_eq!(given.ledger().calls_of(Endpoint::RegionToken, Some(200)), 2);
}

#[tokio::test]
async fn impersonation_works_for_a_user_made_by_a_script() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    let made = given.create(&bearer, "acme").await;
    let user = json!({ "host": HOST, "subject": "ada" }).to_string();
    let token = json!({
        "grant_type": "urn:qlik:oauth:user-impersonation",
        "client_id": made["clientId"], "client_secret": made["clientSecret"],
        "user_lookup": { "field": "subject", "value": "ada" },
    });

    assert_eq!(given.send("POST /oauth/token", &token.to_string()).await.status, 401);
    assert_eq!(given.send("POST /__simulator/users", &user).await.status, 201);
    assert_eq!(given.send("POST /oauth/token", &token.to_string()).await.status, 200);
}

#[tokio::test]
async fn a_refusal_comes_in_qliks_envelope() {
    let given = given(Behaviour::default()).await;

    let wrong = given.token_for(REGION_ID, "wrong").await;
    let unknown = given.client.send("nobody.us.qlikcloud.com", "GET /api/v1/users/me", "").await.unwrap();

    assert_eq!((wrong.status, &wrong.json()["errors"][0]["code"]), (401, &json!("OAUTH-5")));
    assert_eq!(wrong.json()["errors"][0]["status"], "401");
    assert_eq!(wrong.json()["traceId"].as_str().unwrap().len(), 32);
    assert_eq!((unknown.status, &unknown.json()["errors"][0]["code"]), (401, &json!("LOGIN-2")));
}

#[tokio::test]
async fn a_bad_body_is_judged_after_its_sender() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    let post = |bearer: &str| format!("POST /api/v1/oauth-clients\n{bearer}");

    for body in [
        "{",
        "{}",
        r#"{"appType":"web"}"#,
        r#"{"appType":"web","clientName":7}"#,
        r#"{"appType":"web","clientName":"a","connectionConfig":{"consentMethod":"required"}}"#,
    ] {
        assert_eq!(given.send(&post("x: y"), body).await.status, 401, "{body}");
        assert_eq!(given.send(&post(&bearer), body).await.status, 400, "{body}");
    }
    let list = format!("GET /api/v1/oauth-clients?limit=101\n{bearer}");
    assert_eq!(given.send(&list, "").await.status, 400);
    assert_eq!(given.send(&format!("GET /api/v1/nothing\n{bearer}"), "").await.status, 404);
    assert_eq!(given.ledger().live_clients, 0);
}

#[tokio::test]
async fn lists_are_filtered_and_paged_by_their_links() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    for name in ["a", "b b", "c"] {
        given.create(&bearer, name).await;
        given.clock.pass(1);
    }
    let get = async |path: &str| given.send(&format!("GET {path}\n{bearer}"), "").await.json();
    let names = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().unwrap();
        data.iter().map(|item| item["clientName"].as_str().unwrap().to_owned()).collect()
    };

    let first = get("/api/v1/oauth-clients?sort=%2BcreatedAt&limit=2&totalResults=true").await;
    let next = first["links"]["next"]["href"].as_str().unwrap();
    let second = get(next.strip_prefix(&format!("https://{HOST}")).unwrap()).await;
    let found = get("/api/v1/oauth-clients?filter=clientName%20eq%20%22b%20b%22").await;

    assert_eq!((names(&first), first["totalResults"].as_u64()), (vec!["a".into(), "b b".into()], Some(3)));
    assert_eq!((names(&second), &second["links"]["next"]), (vec!["c".into()], &Value::Null));
    assert_eq!(
        (names(&found), &found["data"][0]["connectionConfig"]["consentMethod"]),
        (vec!["b b".into()], &json!("trusted"))
    );
}

#[tokio::test]
async fn spellings_vary_where_the_sources_do() {
    let given = given(Behaviour {
        hint: OneOf::always(HintSpelling::InList),
        no_link: OneOf::always(NoLink::NullHref),
        expires_in: OneOf::always(false),
        token_type: OneOf::always("Bearer"),
        ..Behaviour::default()
    })
    .await;
    let bearer = given.bearer().await;

    let made = given.create(&bearer, "acme").await;
    let list = given.send(&format!("GET /api/v1/oauth-clients\n{bearer}"), "").await.json();
    let token = given.token_for(REGION_ID, REGION_SECRET).await.json();

    assert_eq!(made.get("clientSecretHint"), None);
    assert!(made["clientSecrets"][0]["hint"].is_string());
    assert_eq!(list["links"]["next"], json!({ "href": null }));
    assert_eq!((token["token_type"].as_str(), token.get("expires_in")), (Some("Bearer"), None));
}

#[tokio::test]
async fn a_patch_changes_whole_fields_and_may_make_a_secret() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    let key =
        json!({ "kty": "EC", "use": "sig", "alg": "ES384", "kid": "1", "crv": "P-384", "x": "", "y": "" });
    let keyed = json!({
        "appType": "web", "clientName": "keyed", "publicKeys": [key], "allowedAuthMethods": ["private_key_jwt"],
    });
    let made = given.send(&format!("POST /api/v1/oauth-clients\n{bearer}"), &keyed.to_string()).await.json();
    let one = format!("/api/v1/oauth-clients/{}\n{bearer}", made["clientId"].as_str().unwrap());
    let patch = async |op: &str, path: &str, value: Value| {
        let body = json!([{ "op": op, "path": path, "value": value }]).to_string();
        given.send(&format!("PATCH {one}"), &body).await
    };

    assert_eq!(made["clientSecret"], "");
    assert_eq!(patch("replace", "/clientName", json!("renamed")).await.status, 204);
    assert_eq!(patch("add", "/description", json!("words")).await.status, 204);
    assert_eq!(patch("remove", "/description", Value::Null).await.status, 204);
    assert_eq!(patch("replace", "/appType", json!("spa")).await.status, 400);
    assert_eq!(patch("move", "/clientName", json!("x")).await.status, 400);
    assert_eq!(patch("replace", "/clientName", json!("x".repeat(513))).await.status, 400);
    let minted = patch("replace", "/allowedAuthMethods", json!(["client_secret"])).await;
    assert_eq!((minted.status, minted.json()["clientSecret"].as_str().unwrap().len()), (202, 64));
    let seen = given.send(&format!("GET {one}"), "").await.json();
    assert_eq!((&seen["clientName"], &seen["description"]), (&json!("renamed"), &json!("")));
}

#[tokio::test]
async fn a_disabled_client_says_so_in_the_list_and_alone() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    let made = given.create(&bearer, "acme").await;
    let id = made["clientId"].as_str().unwrap();
    let shown = async || {
        let list = given.send(&format!("GET /api/v1/oauth-clients\n{bearer}"), "").await.json();
        let one = given.send(&format!("GET /api/v1/oauth-clients/{id}\n{bearer}"), "").await.json();
        (list["data"][0].get("disableTag").cloned(), one.get("disableTag").cloned())
    };

    assert_eq!(shown().await, (None, None));
    given.world.at(given.clock.now()).console(HOST, "ada").unwrap().set_disable_tag(id, Some("x")).unwrap();
    assert_eq!(shown().await, (Some(json!("x")), Some(json!("x"))));
    let refused = given.token_for(id, made["clientSecret"].as_str().unwrap()).await;
    assert_eq!((refused.status, &refused.json()["errors"][0]["code"]), (400, &json!("OAUTH-14")));
}

#[tokio::test]
async fn the_list_of_tokens_may_leave_the_client_out() {
    for (shows, expected) in [(true, Some(json!(REGION_ID))), (false, None)] {
        let given = given(Behaviour { token_client: OneOf::always(shows), ..Behaviour::default() }).await;
        let bearer = given.bearer().await;

        let list = given.send(&format!("GET /api/v1/oauth-tokens\n{bearer}"), "").await.json();

        assert_eq!(list["data"][0].get("clientId").cloned(), expected);
    }
}

#[tokio::test]
async fn tokens_are_paged_by_page_and_deleted_by_id() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    given.bearer().await;
    let get = async |path: &str| given.send(&format!("GET {path}\n{bearer}"), "").await.json();

    let first = get("/api/v1/oauth-tokens?limit=1").await;
    let next = first["links"]["next"]["href"].as_str().unwrap();
    let second = get(next.strip_prefix(&format!("https://{HOST}")).unwrap()).await;

    assert!(next.contains("page="), "{next}");
    let id = second["data"][0]["id"].as_str().unwrap();
    assert_ne!(Some(id), first["data"][0]["id"].as_str());
    assert_eq!(given.send(&format!("DELETE /api/v1/oauth-tokens/{id}\n{bearer}"), "").await.status, 204);
    assert_eq!(
        given.send(&format!("DELETE /api/v1/oauth-tokens?clientId=x\n{bearer}"), "").await.status,
        405
    );
}

#[tokio::test]
async fn a_connection_serves_only_the_host_it_was_opened_to() {
    let given = given(Behaviour::default()).await;
    let mut stream = given.client.connect(HOST).await.unwrap();
    client::write(&mut stream, OTHER, "GET /api/v1/users/me", "").await;
    let mut bytes = Vec::new();
    drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await);

    assert!(bytes.starts_with(b"HTTP/1.1 421 "), "{:?}", String::from_utf8_lossy(&bytes));
}

#[tokio::test]
async fn an_unreachable_tenant_completes_no_handshake() {
    let given = given(Behaviour::default()).await;
    given.world.at(given.clock.now()).set_status(HOST, TenantStatus::Unreachable);

    assert!(given.client.connect(HOST).await.is_err());
    assert!(given.client.connect(OTHER).await.is_ok());
}

#[tokio::test]
async fn the_private_path_shows_the_ledger_and_switches_tenants() {
    let given = given(Behaviour::default()).await;
    let bearer = given.bearer().await;
    given.create(&bearer, "acme").await;
    let off = json!({ "host": HOST, "status": "deactivated" }).to_string();

    let ledger = given.send("GET /__simulator/ledger", "").await.json();

    assert_eq!((ledger["live_clients"].as_u64(), ledger["trusted_clients"].as_u64()), (Some(1), Some(1)));
    assert_eq!(ledger["calls"]["create-client 201"], 1);
    assert_eq!(given.send("POST /__simulator/tenants", &off).await.status, 201);
    let refused = given.send(&format!("GET /api/v1/users/me\n{bearer}"), "").await.json();
    assert_eq!(refused["errors"][0]["code"], "TENANT_DEACTIVATED");
}

#[tokio::test]
async fn anybody_may_ask_what_the_server_is() {
    let given = given(Behaviour::default()).await;

    let info = given.send("GET /resources/autogenerated/product-info.json", "").await.json();

    assert_eq!(info["composition"]["deploymentType"], "qlikcloudservices");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_connections_are_served_at_once() {
    let given = Arc::new(given(Behaviour { any_host: true, ..Behaviour::default() }).await);
    let mut open = Vec::new();
    for number in 0..500 {
        let host = format!("t{number}.us.qlikcloud.com");
        open.push((given.client.connect(&host).await.unwrap(), host));
    }

    let mut answers = tokio::task::JoinSet::new();
    for (mut stream, host) in open {
        answers.spawn(async move {
            client::write(&mut stream, &host, "GET /api/v1/users/me", "").await;
            let mut bytes = Vec::new();
            drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await);
            bytes.starts_with(b"HTTP/1.1 401 ")
        });
    }

    assert_eq!(answers.join_all().await.into_iter().filter(|refused| *refused).count(), 500);
    assert_eq!(given.ledger().tenants.values().filter(|tenant| tenant.requests == 1).count(), 500);
}
