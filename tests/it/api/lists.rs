//! Lists: filters, and pages that neither repeat nor pass by.

use serde_json::Value;
use tenantd::domain::filter::Filter;

use super::Served;

fn keys(page: &Value) -> Vec<&str> {
    page["tenants"].as_array().unwrap().iter().map(|tenant| tenant["external_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_tell_every_tenant_once_in_order_whoever_comes_and_goes_meanwhile() {
    let served = Served::new().await;
    served.given_tenants(["b", "d", "f", "h", "k", "m", "o"]).await;
    let (mut told, mut path) = (Vec::new(), "/tenants?limit=2".to_owned());

    // Right behind the page, and before it.
    for meanwhile in ["e", "a", "g", "p"] {
        let page = served.get(&path).await.json();
        told.extend(keys(&page).into_iter().map(str::to_owned));
        served.given_tenants([meanwhile]).await;
        let gone = "UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'd';
                    DELETE FROM tenantd.tenants WHERE external_id = 'd'";
        served.db.write(gone).await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/tenants?limit=2&cursor={cursor}");
    }

    assert_eq!(told, ["b", "d", "e", "f", "h", "k", "m", "o"]);
}

#[tokio::test]
async fn the_last_page_has_no_cursor_and_an_exact_one_neither() {
    let served = Served::new().await;
    served.given_tenants(["a", "b"]).await;

    let (exact, cut) =
        (served.get("/tenants?limit=2").await.json(), served.get("/tenants?limit=1").await.json());

    assert_eq!((keys(&exact), &exact["next_cursor"]), (vec!["a", "b"], &Value::Null));
    assert_eq!(keys(&cut), ["a"]);
    assert!(cut["next_cursor"].is_string(), "{cut}");
}

/// Filters, and who of the five below has all that they ask for.
const FILTERS: [(&str, &[&str]); 59] = [
    ("", &["early", "gone", "parked", "ready", "repair"]),
    ("phase:ready", &["ready", "repair"]),
    ("-phase:ready", &["early", "gone", "parked"]),
    ("phase:ready,removed", &["gone", "ready", "repair"]),
    ("phase:ready,removed -phase:ready", &["gone"]),
    ("phase:ready phase:removed", &[]),
    ("phase:removed", &["gone"]),
    ("reason:Paused", &["early"]),
    ("reason:Removed", &["gone"]),
    ("reason:Removed,Rejected", &["gone", "parked"]),
    ("-reason:Removed,Rejected", &["early", "ready", "repair"]),
    ("reason:Rejected phase:pending", &["parked"]),
    ("ready:yes", &["ready", "repair"]),
    ("ready:no", &["early", "gone", "parked"]),
    ("ready:no ready:yes", &[]),
    ("ready:no -phase:removed", &["early", "parked"]),
    ("parked:yes", &["parked", "repair"]),
    ("parked:yes ready:yes", &["repair"]),
    ("parked:yes ready:no", &["parked"]),
    ("parked:no", &["early", "gone", "ready"]),
    ("paused:yes", &["early"]),
    ("paused:no parked:no", &["gone", "ready"]),
    ("region:us", &["ready", "repair"]),
    ("region:\"\"", &["early", "gone", "parked"]),
    ("region:\"\",us -region:us", &["early", "gone", "parked"]),
    ("region:eu", &[]),
    ("label.team:a&b", &["early", "ready"]),
    ("-label.team:a&b", &["gone", "parked", "repair"]),
    ("label.team:a&b label.tier:1", &["ready"]),
    ("label.team:a&b -label.tier:1", &["early"]),
    ("label.team:*", &["early", "ready"]),
    ("-label.team:* -label.on:true", &["gone", "repair"]),
    ("label.tier:1.0,7", &["ready"]),
    ("label.tier:\"1\"", &["ready"]),
    ("label.tier:1e-99999", &[]),
    ("label.id:12345678901234567", &["early"]),
    ("label.id:12345678901234568", &[]),
    ("-label.id:12345678901234567 ear,rea", &["ready"]),
    ("label.team:a", &[]),
    ("label.none:\"\"", &[]),
    (r#"label."a \"b":"*""#, &["parked"]),
    (r#"label."a \"b":"x\" || true""#, &[]),
    ("label.l:y", &["parked"]),
    ("label.on:true", &["parked"]),
    ("since:50m", &["parked"]),
    ("since:1m,", &[]),
    ("-since:50m", &["early", "gone", "ready", "repair"]),
    ("since:2001-01-01T00:00:00Z", &[]),
    ("since:10s since:2h", &[]),
    ("host:ready.us.qlikcloud.com,gone.us.qlikcloud.com", &["gone", "ready"]),
    ("-host:ready.us.qlikcloud.com parked:no", &["early", "gone"]),
    ("profile:default -profile:gold re", &["ready", "repair"]),
    ("profile:gold", &[]),
    ("re,par", &["parked", "ready", "repair"]),
    ("re rep", &["repair"]),
    ("-re", &["early", "gone", "parked"]),
    ("re -ready.us", &["repair"]),
    ("re -ready.us rep,x repair.us.q", &["repair"]),
    ("%", &[]),
];

#[tokio::test]
async fn a_filter_shows_those_that_have_all_that_was_asked_for() {
    let served = Served::new().await;
    served.given_tenants(["early", "gone", "parked", "ready", "repair"]).await;
    served
        .db
        .write(
            "UPDATE tenantd.tenants SET not_before = now() + interval '1 day' WHERE external_id = 'early';
             UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'gone';
             UPDATE tenantd.tenants SET parked_reason = 'Rejected', message = 'do this', due_at = NULL
              WHERE external_id = 'parked';
             UPDATE tenantd.tenants SET phase = 'ready', client_id = 'cid', current_version = 1, due_at = NULL, ready_at = now(),
                    region = 'us' WHERE external_id IN ('ready', 'repair');
             UPDATE tenantd.tenants SET parked_reason = 'ClientMissing', message = 'do that'
              WHERE external_id = 'repair';
             UPDATE tenantd.tenants SET labels = '{\"team\": \"a&b\", \"tier\": 1}' WHERE external_id = 'ready';
             UPDATE tenantd.tenants SET labels = '{\"team\": \"a&b\", \"id\": 12345678901234567}' WHERE external_id = 'early';",
        )
        .await;

    served
        .db
        .write(
            "UPDATE tenantd.tenants SET reason_since = now() - interval '1 hour' WHERE external_id = 'parked';
             UPDATE tenantd.tenants SET paused_at = now(), pause_reason = 'x' WHERE external_id = 'early';
             UPDATE tenantd.tenants SET labels = '{\"a \\\"b\": \"*\", \"l\": [\"x\", \"y\"], \"on\": true}' WHERE external_id = 'parked';",
        )
        .await;

    for (filter, wanted) in FILTERS {
        let encoded: String = form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let page = served.get(&format!("/tenants?filter={encoded}")).await;
        if filter.ends_with(',') {
            page.assert_problem(400, "bad-parameter", Some("filter"));
            continue;
        }

        assert_eq!(page.status, 200, "{filter}: {page:?}");
        assert_eq!(keys(&page.json()), wanted, "{filter}");
        let counted = served.store().await.count(&Filter::parse(filter).unwrap()).await.unwrap();
        assert_eq!(counted, u64::try_from(wanted.len()).unwrap(), "{filter}");
    }
}

#[tokio::test]
async fn what_is_no_filter_is_told_with_its_place_and_what_would_be_right() {
    let served = Served::new().await;

    let reply = served.get("/tenants?filter=%C3%A9+phsae%3Aready").await;
    let old = served.get("/tenants?phase=ready").await;

    reply.assert_problem(400, "bad-parameter", Some("filter"));
    let problem = reply.json();
    assert_eq!(
        (&problem["position"], &problem["word"]),
        (&Value::from(2), &Value::from("phsae")),
        "{problem}"
    );
    assert!(problem["expected"].as_str().unwrap().starts_with("did you mean phase? "), "{problem}");
    old.assert_problem(400, "unknown-parameter", Some("phase"));
    assert_eq!(old.json()["expected"], "one of filter, cursor, limit");
}

#[tokio::test]
async fn a_page_of_large_tenants_is_short_and_the_next_one_goes_on() {
    let served = Served::new().await;
    let keys: Vec<String> = (0..100).map(|number| format!("t{number:03}")).collect();
    served.given_tenants(keys.iter().map(String::as_str)).await;
    served.db.write("UPDATE tenantd.tenants SET labels = jsonb_build_object('x', repeat('y', 16000))").await;
    let (mut told, mut path) = (Vec::new(), "/tenants?limit=500".to_owned());

    loop {
        let reply = served.get(&path).await;
        assert!(reply.body.len() < 1024 * 1024 + 100_000, "{}", reply.body.len());
        let page = reply.json();
        told.extend(self::keys(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/tenants?limit=500&cursor={cursor}");
    }

    assert_eq!(told, keys);
}

#[tokio::test]
async fn keys_of_any_kind_are_told_and_found() {
    let served = Served::new().await;
    let odd = ["a/b c", "\u{e4}?&#", "%2F", "x'; --", "..", "\u{202e}cba"];
    for (number, key) in odd.iter().enumerate() {
        sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, $2)")
            .bind(key)
            .bind(format!("t{number}.us.qlikcloud.com"))
            .execute(&served.db.pool)
            .await
            .unwrap();
    }
    let mut seen = Vec::new();
    let mut path = "/tenants?limit=1".to_owned();
    loop {
        let page = served.get(&path).await.json();
        seen.extend(keys(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/tenants?limit=1&cursor={cursor}");
    }

    seen.sort();
    let mut wanted = odd.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(seen, wanted);
    for key in odd {
        let encoded = key.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let reply = served.get(&format!("/tenants/{encoded}")).await;

        assert_eq!(reply.status, 200, "{key:?}: {reply:?}");
        assert_eq!(reply.json()["external_id"], key);
        // Nothing that turns a terminal's text around.
        assert!(!reply.body.contains('\u{202e}'), "{reply:?}");
    }
}
