//! The floor: the same four HTTPS calls with one SELECT and one UPDATE a tenant,
//! and nothing else. No lease, no fence, no look, no seal, no history.
//!
//! The rule: **it carries none of our weight**. Its table is a plain one of its own, without
//! a check, trigger or index of ours.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;

use crate::simulator::{CLIENT_ID, SECRET, SUFFIX};

/// `floor DATABASE_URL SIMULATOR CA_FILE TENANTS CONCURRENCY`
pub(crate) fn main(arguments: &[String]) {
    let [database, simulator, ca, tenants, concurrency] = arguments else { panic!("five arguments") };
    let tenants: u32 = tenants.parse().expect("a number");
    let concurrency: u32 = concurrency.parse().expect("a number");
    let calls = Calls::new(Path::new(ca), simulator.parse().expect("an address"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .test_before_acquire(false)
            .connect(database)
            .await
            .expect("the database");
        let floor = Arc::new(Floor { calls, pool });
        let mut loops = JoinSet::new();
        for first in 1..=concurrency {
            let floor = Arc::clone(&floor);
            loops.spawn(async move {
                for number in (first..=tenants).step_by(concurrency as usize) {
                    floor.provision(number).await;
                }
            });
        }
        while let Some(ended) = loops.join_next().await {
            ended.expect("a loop of the floor fails");
        }
    });
}

struct Floor {
    calls: Calls,
    pool: PgPool,
}

impl Floor {
    async fn provision(&self, number: u32) {
        let external_id = format!("customer-{number}");
        let host: String = sqlx::query_scalar("SELECT host FROM floor WHERE external_id = $1")
            .bind(&external_id)
            .fetch_one(&self.pool)
            .await
            .expect("the row is there");
        debug_assert!(host.ends_with(SUFFIX));
        let secret = self.calls.make(&host).await;
        sqlx::query("UPDATE floor SET secret = $2 WHERE external_id = $1")
            .bind(&external_id)
            .bind(secret)
            .execute(&self.pool)
            .await
            .expect("the row can be written");
    }
}

/// The four calls alone.
pub(crate) struct Calls {
    client: Client,
}

impl Calls {
    /// To the simulator at this address, whose certificate authority is in this file.
    #[expect(clippy::disallowed_methods, reason = "the floor is what the adapter is measured against")]
    pub(crate) fn new(ca_file: &Path, simulator: std::net::SocketAddr) -> Self {
        struct Everywhere(std::net::SocketAddr);
        impl reqwest::dns::Resolve for Everywhere {
            fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
                let addresses: reqwest::dns::Addrs = Box::new(std::iter::once(self.0));
                Box::pin(std::future::ready(Ok(addresses)))
            }
        }
        let ca = std::fs::read(ca_file).expect("the certificate is there");
        let client = Client::builder()
            .tls_certs_merge([Certificate::from_pem(&ca).expect("a certificate")])
            .dns_resolver(Everywhere(simulator))
            .http1_only()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Self { client }
    }

    /// Makes a client on this host; returns its secret.
    pub(crate) async fn make(&self, host: &str) -> String {
        let token = self.token(host, CLIENT_ID, SECRET).await;
        let wanted = json!({
            "appType": "web", "clientName": "bench", "allowedScopes": ["user_default"],
            "allowedGrantTypes": ["client_credentials", "urn:qlik:oauth:user-impersonation"],
        });
        let made = self.send("POST", host, "/api/v1/oauth-clients", Some(&token), &wanted).await;
        let (client, secret) = (text(&made, "clientId"), text(&made, "clientSecret"));
        let consent = json!([{"op": "replace", "path": "/consentMethod", "value": "trusted"}]);
        let path = format!("/api/v1/oauth-clients/{client}/connection-configs/me");
        self.send("PATCH", host, &path, Some(&token), &consent).await;
        self.token(host, &client, &secret).await;
        secret
    }

    async fn token(&self, host: &str, client: &str, secret: &str) -> String {
        let request =
            json!({"client_id": client, "client_secret": secret, "grant_type": "client_credentials"});
        text(&self.send("POST", host, "/oauth/token", None, &request).await, "access_token")
    }

    #[expect(clippy::disallowed_methods, reason = "the floor is what the adapter is measured against")]
    async fn send(&self, method: &str, host: &str, path: &str, token: Option<&str>, body: &Value) -> Value {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("https://{host}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let body = answer.bytes().await.expect("a body");
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in the answer")).to_owned()
}
