//! The calendar, by a clock that stands still.

use super::{LOOKS, Served};

impl Served {
    /// The database's clock stands here.
    async fn given_clock(&self, at: &str) {
        self.db
            .write(format!(
                "CREATE OR REPLACE FUNCTION tenantd.clock() RETURNS timestamptz
                     LANGUAGE sql STABLE PARALLEL SAFE RETURN '{at}'::timestamptz"
            ))
            .await;
    }

    /// A tenant whose secret serves since then.
    async fn given_served_since(&self, key: &str, at: &str) {
        self.given_tenants([key]).await;
        self.db
            .write(format!(
                "UPDATE tenantd.tenants SET phase = 'ready', client_id = 'cid-{key}', current_version = 1, ready_at = '{at}'
                  WHERE external_id = '{key}';
                 INSERT INTO tenantd.secrets (tenant_id, client_id, sealed, key_id, standing, version, proven_at)
                 SELECT tenant_id, client_id, 'a.b.c.d.e', 'k', 'current', 1, '{at}'
                   FROM tenantd.tenants WHERE external_id = '{key}'"
            ))
            .await;
    }
}

/// What stands in the cell of a day, behind its number.
#[track_caller]
fn cell<'a>(page: &'a str, date: &str) -> &'a str {
    let cell = page.split(&format!("datetime=\"{date}\"")).nth(1);
    let cell = cell.unwrap_or_else(|| panic!("{date} is missing in {page}"));
    cell.split("</time>").nth(1).and_then(|cell| cell.split("</td>").next()).unwrap()
}

/// Figures as the page writes them.
fn figures(of: &[(&str, &str)]) -> String {
    let figure =
        |(what, figure): &(&str, &str)| format!("<span class=\"{what}\"><b>{figure}</b> {what}</span>");
    of.iter().map(figure).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn each_day_of_the_calendar_is_told_whole_from_the_first_to_the_last() {
    let served = Served::new().await;
    served.given_clock("2027-03-15 14:30:00+00").await;
    served.given_served_since("first", "2027-02-15 00:10:00+00").await;
    served.given_served_since("before", "2027-02-14 23:50:00+00").await;
    served.given_served_since("today", "2027-03-15 14:00:00+00").await;
    served.given_served_since("last", "2027-03-13 23:59:59+00").await;
    for (outcome, at) in [
        // Before the hour of the day that it is now, and in its first minutes.
        ("done", "2027-02-15 00:05:00+00"),
        ("failed", "2027-02-15 23:55:00+00"),
        ("done", "2027-02-14 23:55:00+00"),
        ("done", "2027-03-15 14:00:00+00"),
        ("skipped", "2027-03-15 14:00:00+00"),
    ] {
        let change = format!(
            "INSERT INTO tenantd.changes (kind, tenant_id, target_version, started_at, ended_at, outcome)
             VALUES ('rotation', gen_random_uuid(), 2, '{at}', '{at}', '{outcome}')"
        );
        served.db.write(change).await;
    }

    let page = served.page("/status/calendar", &served.session(LOOKS).await).await.body;

    // A secret is of age with 30 days here.
    let first = figures(&[("new", "1"), ("renewed", "1"), ("failed", "1")]);
    assert_eq!(cell(&page, "2027-02-15"), first);
    assert_eq!(cell(&page, "2027-02-16"), "");
    assert_eq!(cell(&page, "2027-03-15"), figures(&[("new", "1"), ("renewed", "1")]));
    assert_eq!(cell(&page, "2027-03-16"), figures(&[("due", "1")]), "of the one before the first day");
    assert_eq!(cell(&page, "2027-03-17"), figures(&[("due", "1")]));
    assert_eq!(cell(&page, "2027-04-12"), figures(&[("due", "1")]), "the last day");
    assert!(!page.contains("2027-02-14") && !page.contains("2027-04-13"), "{page}");
    assert!(page.contains("Later than this: 1."), "{page}");
}
