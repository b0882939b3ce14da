//! Pauses of a tenant, a region and the fleet: begun, seen and ended.

use super::support::Bench;

async fn is_paused(bench: &Bench) -> bool {
    sqlx::query_scalar("SELECT paused FROM tenantd.status WHERE external_id = 'a'")
        .fetch_one(&bench.db.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_tenant_is_paused_with_a_reason_and_goes_on_when_resumed() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;

    let paused = bench.tenantd(&["tenant", "pause", "a", "--reason", "a migration"]).await;
    let status = bench.tenantd(&["tenant", "show", "a", "--output", "json"]).await.json();
    let was_paused = is_paused(&bench).await;
    let resumed = bench.tenantd(&["tenant", "resume", "a"]).await;
    let again = bench.tenantd(&["tenant", "resume", "a"]).await;

    assert_eq!((paused.code, paused.stdout.as_str()), (0, "a is paused until `tenantd tenant resume a`\n"));
    assert_eq!((&status["reason"], &status["paused"], was_paused), (&"Paused".into(), &true.into(), true));
    assert!(status["message"].as_str().unwrap().contains("a migration"), "{status}");
    assert_eq!((resumed.code, resumed.stdout.as_str()), (0, "a goes on\n"));
    assert_eq!((again.code, again.stdout.as_str()), (0, "nothing to do: a is not paused\n"));
    assert!(!is_paused(&bench).await);
}

#[tokio::test]
async fn a_pause_ends_by_itself_where_it_was_told_to() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;
    let ends_in = "SELECT paused_until - paused_at = interval '2 hours' FROM tenantd.tenants";

    let lasting = bench.tenantd(&["tenant", "pause", "a", "--reason", "why", "--for", "2h"]).await;
    let is_two_hours: bool = sqlx::query_scalar(ends_in).fetch_one(&bench.db.pool).await.unwrap();
    let until = bench
        .tenantd(&["tenant", "pause", "a", "--reason", "why", "--until", "9000-01-31T08:00:00+01:00"])
        .await;
    let is_exact: bool =
        sqlx::query_scalar("SELECT paused_until = '9000-01-31 07:00:00+00' FROM tenantd.tenants")
            .fetch_one(&bench.db.pool)
            .await
            .unwrap();

    assert!(lasting.stdout.contains("for 2h;") && is_two_hours, "{lasting:?}");
    assert!(until.stdout.contains("until 9000-01-31 07:00:00 UTC;") && is_exact, "{until:?}");
}

#[tokio::test]
async fn a_pause_without_a_reason_or_with_an_end_that_is_over_or_two_ends_is_refused() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;
    for (words, part) in [
        (&["tenant", "pause", "a"][..], "--reason"),
        (&["tenant", "pause", "a", "--reason", " "], "say why"),
        (&["fleet", "pause", "--reason", "why", "--until", "2001-01-01T00:00:00Z"], "in the past"),
        (&["tenant", "pause", "a", "--reason", "why", "--until", "tomorrow"], "RFC 3339"),
        (
            &["tenant", "pause", "a", "--reason", "why", "--for", "1h", "--until", "9000-01-01T00:00:00Z"],
            "cannot be used with",
        ),
    ] {
        let ran = bench.tenantd(words).await;

        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    assert!(!is_paused(&bench).await);
}

#[tokio::test]
async fn a_region_or_the_fleet_is_paused_and_a_tenant_that_is_resumed_says_so() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;
    bench.sql("INSERT INTO tenantd.regions (region) VALUES ('us')").await;
    bench.sql("UPDATE tenantd.tenants SET region = 'us'").await;

    let unknown = bench.tenantd(&["fleet", "pause", "--region", "su", "--reason", "why"]).await;
    let region = bench.tenantd(&["fleet", "pause", "--region", "us", "--reason", "maintenance"]).await;
    let fleet = bench.tenantd(&["fleet", "pause", "--reason", "an outage", "--for", "1h"]).await;
    let status = bench.tenantd(&["fleet", "status", "--output", "json"]).await.json();
    let tenant = bench.tenantd(&["tenant", "resume", "a"]).await;
    let resumed = bench.tenantd(&["fleet", "resume"]).await;
    let still = is_paused(&bench).await;
    let last = bench.tenantd(&["fleet", "resume", "--region", "us"]).await;
    let again = bench.tenantd(&["fleet", "resume", "--region", "us"]).await;

    unknown.assert_refused(2, &["no region \"su\"", "known are: us"]);
    assert_eq!(region.stdout, "region us is paused until `tenantd fleet resume --region us`\n");
    assert_eq!(fleet.stdout, "the fleet is paused for 1h; `tenantd fleet resume` ends it earlier\n");
    assert_eq!((&status["pauses"][0]["region"], &status["pauses"][1]["region"]), (&"*".into(), &"us".into()));
    assert_eq!(status["pauses"][1]["reason"], "maintenance");
    assert!(tenant.stdout.contains("is not paused itself, but its region is"), "{tenant:?}");
    assert_eq!((resumed.stdout.as_str(), still), ("the fleet goes on\n", true));
    assert_eq!((last.stdout.as_str(), is_paused(&bench).await), ("region us goes on\n", false));
    assert_eq!(again.stdout, "nothing to do: region us is not paused\n");
}
