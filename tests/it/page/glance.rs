//! What the first page says at a glance, and where its figures lead.

use super::{LOOKS, Served};

/// Pairs of a link and the figure that stands behind it.
fn counted(page: &str) -> Vec<(String, usize)> {
    let links = page.split("<a href=\"/status/tenants?filter=reason").skip(1);
    let read = |link: &str| {
        let path = link.split('"').next().unwrap().replace("&amp;", "&");
        let figure = link.split("class=\"figure\">").nth(1).unwrap().split('<').next().unwrap();
        (format!("/status/tenants?filter=reason{path}"), figure.parse().unwrap())
    };
    links.map(read).collect()
}

#[tokio::test]
async fn a_link_lists_as_many_as_stand_beside_it() {
    let served = Served::new().await;
    // The same reason is one to wait for and one to be parked for.
    served.given_parked("SecretSlotsFull", &["parked-1", "parked-2"]).await;
    served.given_tenants(["waits"]).await;
    served
        .db
        .write(
            "UPDATE tenantd.tenants SET wait_reason = 'SecretSlotsFull', reason_since = tenantd.clock(),
                    due_at = tenantd.clock() + interval '1 hour' WHERE external_id = 'waits'",
        )
        .await;
    let session = served.session(LOOKS).await;

    let counted = counted(&served.page("/status", &session).await.body);

    assert_eq!(counted.iter().map(|(_, figure)| *figure).collect::<Vec<_>>(), [2, 1], "{counted:?}");
    for (path, figure) in counted {
        let listed = served.page(&path, &session).await.body;
        assert_eq!(listed.matches("<a href=\"/status/tenants/").count(), figure, "{path}: {listed}");
    }
}

/// Samples are of the first 1,000.
#[tokio::test]
async fn a_paused_tenant_is_told_of_however_many_others_are_under_way() {
    let served = Served::new().await;
    served
        .db
        .write(
            "INSERT INTO tenantd.tenants (external_id, host)
             SELECT 't' || n, 't' || n || '.us.qlikcloud.com' FROM generate_series(1, 1100) AS n;
             UPDATE tenantd.tenants SET paused_at = tenantd.clock(), pause_reason = 'x'
              WHERE tenant_id = (SELECT tenant_id FROM tenantd.tenants ORDER BY tenant_id DESC LIMIT 1)",
        )
        .await;
    let session = served.session(LOOKS).await;

    for path in ["/status", "/status/attention"] {
        let page = served.page(path, &session).await.body;
        assert!(page.contains("1 tenant that is not ready is paused"), "{path}: {page}");
    }
    let listed =
        served.page("/status/tenants?filter=paused%3Ayes+ready%3Ano+parked%3Ano", &session).await.body;
    assert_eq!(listed.matches("<a href=\"/status/tenants/").count(), 1, "{listed}");
}

#[tokio::test]
async fn who_is_parked_and_paused_is_told_of_once() {
    let served = Served::new().await;
    served.given_parked("NameTaken", &["a"]).await;
    served.db.write("UPDATE tenantd.tenants SET paused_at = tenantd.clock(), pause_reason = 'x'").await;
    let session = served.session(LOOKS).await;

    let page = served.page("/status", &session).await.body;

    assert!(page.contains("1 tenant parked as NameTaken") && !page.contains("not ready is paused"), "{page}");
}

#[tokio::test]
async fn all_is_not_well_while_something_is_paused_until_somebody_ends_it() {
    let served = Served::new().await;
    served.given_tenants(["a", "b", "c"]).await;
    let session = served.session(LOOKS).await;
    let well = served.page("/status", &session).await.body;
    assert!(well.contains("All is well"), "{well}");

    for (paused, ended, said) in [
        (
            "INSERT INTO tenantd.pauses (region, reason) VALUES ('*', 'x')",
            "DELETE FROM tenantd.pauses",
            "The fleet is paused",
        ),
        (
            "INSERT INTO tenantd.pauses (region, reason) VALUES ('us', 'x')",
            "DELETE FROM tenantd.pauses",
            "<code>tenantd fleet resume --region us</code>",
        ),
        (
            "UPDATE tenantd.tenants SET paused_at = tenantd.clock(), pause_reason = 'x' WHERE external_id <> 'c'",
            "UPDATE tenantd.tenants SET paused_at = NULL, pause_reason = NULL, paused_until = NULL",
            "2 tenants that are not ready are paused",
        ),
    ] {
        served.db.write(paused).await;
        for path in ["/status", "/status/attention"] {
            let page = served.page(path, &session).await.body;
            assert!(page.contains(said) && !page.contains("All is well"), "{path}: {page}");
        }
        let ends = "UPDATE tenantd.pauses SET paused_until = tenantd.clock() + interval '1 hour';
                    UPDATE tenantd.tenants SET paused_until = tenantd.clock() + interval '1 hour'
                     WHERE paused_at IS NOT NULL";
        served.db.write(ends).await;
        let ending = served.page("/status", &session).await.body;
        assert!(ending.contains("All is well"), "what ends by itself waits for nobody: {ending}");
        served.db.write(ended).await;
    }
}

#[tokio::test]
async fn a_key_that_a_browser_takes_for_a_step_is_no_link() {
    let served = Served::new().await;
    for (key, host) in [("..", "a"), (".", "b"), ("...", "c")] {
        let row = format!(
            "INSERT INTO tenantd.tenants (external_id, host) VALUES ('{key}', '{host}.us.qlikcloud.com')"
        );
        served.db.write(row).await;
    }
    let session = served.session(LOOKS).await;

    let page = served.page("/status/tenants", &session).await.body;

    assert!(page.contains("a.us.qlikcloud.com") && page.contains("b.us.qlikcloud.com"), "{page}");
    let links: Vec<_> = page.matches("<a href=\"/status/tenants/").collect();
    assert_eq!(links.len(), 1, "{page}");
    assert!(page.contains("<a href=\"/status/tenants/...\">"), "{page}");
}

#[tokio::test]
async fn a_misspelt_parameter_is_told_and_shows_nothing() {
    let served = Served::new().await;
    served.given_tenants(["acme"]).await;
    let session = served.session(LOOKS).await;

    for path in [
        "/status",
        "/status/attention",
        "/status/attention/NameTaken/retry",
        "/status/calendar",
        "/status/tenants",
        "/status/tenants/acme",
        "/status/sign-in",
    ] {
        let right = served.page(path, &session).await;
        let wrong = served.page(&format!("{path}?fitler=x"), &session).await;

        assert!([200, 303].contains(&right.status), "{path}: {right:?}");
        assert_eq!(wrong.status, 400, "{path}: {wrong:?}");
        assert!(wrong.body.contains("There is no parameter"), "{path}: {wrong:?}");
        assert!(!wrong.body.contains("acme"), "{path}: {wrong:?}");
    }
    let named = served.page("/status/tenants?fitler=x", &session).await;
    assert!(named.body.contains("Known are: filter, after."), "{named:?}");
    let twice = served.page("/status/tenants?filter=a&filter=b", &session).await;
    assert_eq!(twice.status, 400, "{twice:?}");
}
