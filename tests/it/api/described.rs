//! What the API says of itself, held against what it does.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};
use tenantd::api::{ROUTES, document};

use super::{ACTS, Served};

const DOCUMENT: &str = include_str!("../../../docs/api.md");

fn described() -> Value {
    serde_json::to_value(document()).unwrap()
}

fn methods_of(path: &Value) -> impl Iterator<Item = String> + '_ {
    path.as_object().unwrap().keys().map(|method| method.to_uppercase())
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let described = described();
    let paths = described["paths"].as_object().unwrap();
    let told: BTreeSet<(String, String)> =
        paths.iter().flat_map(|(path, of)| methods_of(of).map(|method| (path.clone(), method))).collect();

    let there: BTreeSet<_> =
        ROUTES.iter().map(|(path, method)| ((*path).to_owned(), method.to_string())).collect();

    assert_eq!(told, there);
    assert_eq!(described["servers"][0]["url"], "/api/v1");
}

#[tokio::test]
async fn every_route_is_there_with_its_method_and_with_no_other() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let token = format!("authorization: Bearer {ACTS}\r\n");

    for path in ROUTES.iter().map(|(path, _)| *path).collect::<BTreeSet<_>>() {
        let methods: BTreeSet<_> =
            ROUTES.iter().filter(|(other, _)| *other == path).map(|(_, method)| method).collect();
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let there = path.replace("{external_id}", "a").replace("{verb}", "retry");

            let reply = served.ask(&format!("{method} /api/v1{there}"), &token, "").await;

            assert_ne!(reply.status, 404, "{method} {path}: {reply:?}");
            assert_eq!(reply.status != 405, methods.contains(&method), "{method} {path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn answers_have_what_is_described_and_no_field_more() {
    let served = Served::new().await;
    served.given_tenants(["a"]).await;
    let described = described();
    let fields = |name: &str| -> BTreeSet<String> {
        let schema = &described["components"]["schemas"][name];
        let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        parts
            .iter()
            .filter_map(|part| part["properties"].as_object())
            .flat_map(|of| of.keys().cloned())
            .collect()
    };
    let told = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };

    let page = served.get("/tenants").await.json();
    let (fleet, problem) =
        (served.get("/fleet").await.json(), served.get("/tenants?filter=x:1").await.json());
    let differs = json!({"filter": "", "expect": 2, "reason": "x"});
    let differs = served.act_on_all("pause", "k", &differs).await.json();
    let deeds = json!({"filter": "", "expect": 1, "reason": "x"});
    let deeds = served.act_on_all("pause", "k", &deeds).await.json();

    assert_eq!(told(&page), fields("Page"));
    assert_eq!(told(&page["tenants"][0]), fields("Status"));
    assert_eq!(told(&fleet), fields("FleetStatus"));
    assert_eq!(told(&fleet["budgets"][0]), fields("HourlyBudget"));
    assert_eq!(told(&deeds), fields("Deeds"));
    assert_eq!(told(&problem).union(&told(&differs)).cloned().collect::<BTreeSet<_>>(), fields("Problem"));
}

#[test]
fn the_page_of_the_documents_names_every_route() {
    for (path, method) in ROUTES {
        assert!(DOCUMENT.contains(&format!("`{method} /api/v1{path}`")), "{method} {path}");
    }
}
