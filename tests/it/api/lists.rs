//! Lists: filters, and pages that neither repeat nor pass by.

use serde_json::Value;

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
             UPDATE tenantd.tenants SET labels = '{\"team\": \"a&b\"}' WHERE external_id = 'early';",
        )
        .await;

    for (query, wanted) in [
        ("", &["early", "gone", "parked", "ready", "repair"][..]),
        ("?phase=ready", &["ready", "repair"]),
        ("?phase=removed", &["gone"]),
        ("?reason=NotBefore", &["early"]),
        ("?reason=Removed", &["gone"]),
        ("?reason=Rejected&phase=pending", &["parked"]),
        ("?ready=true", &["ready", "repair"]),
        ("?ready=false", &["early", "gone", "parked"]),
        ("?parked=true", &["parked", "repair"]),
        ("?parked=true&ready=true", &["repair"]),
        ("?parked=true&ready=false", &["parked"]),
        ("?parked=false", &["early", "gone", "ready"]),
        ("?region=us", &["ready", "repair"]),
        ("?region=", &["early", "gone", "parked"]),
        ("?region=eu", &[]),
        ("?label.team=a%26b", &["early", "ready"]),
        ("?label.team=a%26b&label.tier=1", &["ready"]),
        ("?label.team=a", &[]),
        ("?label.none=", &[]),
        ("?ready=false&label.team=a%26b&limit=1", &["early"]),
    ] {
        let page = served.get(&format!("/tenants{query}")).await;

        assert_eq!(page.status, 200, "{query}: {page:?}");
        assert_eq!(keys(&page.json()), wanted, "{query}");
    }
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
