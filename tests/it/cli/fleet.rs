//! `tenantd fleet status` shows every brake, and a halted rollout is let go.

use super::support::Bench;

#[tokio::test]
async fn the_status_shows_rollouts_budgets_phases_and_a_hold() {
    let bench = Bench::new().await;
    for id in ["a", "b", "c"] {
        bench.given_tenant(id).await;
    }
    bench.make_ready("a").await;
    bench.make_ready("b").await;
    bench.sql("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'b'").await;
    bench
        .sql(
            "INSERT INTO tenantd.changes (kind, tenant_id, started_at)
             VALUES ('removal', gen_random_uuid(), now() - interval '59 min'),
                    ('removal', gen_random_uuid(), now() - interval '61 min'),
                    ('rotation', gen_random_uuid(), now()), ('census', gen_random_uuid(), now())",
        )
        .await;
    bench
        .sql("UPDATE tenantd.installation SET deletions_held_at = now(), held_reason = 'out of a backup'")
        .await;
    bench
        .sql(
            "UPDATE tenantd.rollouts SET stage = 'halted', started_at = now(), message = '3 of 5 failed'
              WHERE kind = 'rotation'",
        )
        .await;

    let json = bench.tenantd(&["fleet", "status", "--output", "json"]).await.json();
    let mut command = bench.command(&["fleet", "status"]);
    let limited = command.env("TENANTD_BUDGET__REMOVALS_PER_HOUR", "7").output().await.unwrap();
    let table = String::from_utf8(limited.stdout).unwrap();

    assert_eq!(json["deletions_held"]["reason"], "out of a backup");
    let kinds: Vec<_> = json["rollouts"].as_array().unwrap().iter().map(|r| r["kind"].clone()).collect();
    assert_eq!(kinds, ["census", "removal", "repair", "rotation"]);
    let rotation = &json["rollouts"][3];
    assert_eq!((&rotation["stage"], &rotation["message"]), (&"halted".into(), &"3 of 5 failed".into()));
    assert_eq!(
        json["budgets"],
        serde_json::json!([
            { "name": "removals_per_hour", "spent": 1, "limit": 5, "waiting": 1 },
            { "name": "changes_per_hour", "spent": 2, "limit": 1000, "waiting": null },
        ])
    );
    assert_eq!(json["phases"], serde_json::json!({ "pending": 1, "ready": 2 }));
    let line =
        |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    assert!(line("deletions at Qlik are held").contains("out of a backup"), "{table}");
    assert!(line("rotation").contains("3 of 5 failed"), "{table}");
    assert_eq!(
        line("removals_per_hour").split_whitespace().collect::<Vec<_>>(),
        ["removals_per_hour", "1", "7", "1"]
    );
    assert!(table.contains("no region is paused"), "{table}");
}

#[tokio::test]
async fn the_removals_of_an_hour_are_five_or_a_tenth_of_what_is_not_removed() {
    let bench = Bench::new().await;
    bench
        .sql(
            "INSERT INTO tenantd.tenants (external_id, host, desired_state)
             SELECT 't' || n, 't' || n || '.us.qlikcloud.com', CASE WHEN n > 511 THEN 'absent' ELSE 'present' END
               FROM generate_series(1, 600) AS n",
        )
        .await;

    let json = bench.tenantd(&["fleet", "status", "--output", "json"]).await.json();

    assert_eq!(json["budgets"][0]["limit"], 52, "a tenth of 511, rounded up");
}

#[tokio::test]
async fn only_a_halted_rollout_is_resumed() {
    let bench = Bench::new().await;
    bench
        .sql(
            "UPDATE tenantd.rollouts SET stage = 'halted', started_at = now(), message = 'too many failed'
              WHERE kind = 'rotation'",
        )
        .await;

    let resumed = bench.tenantd(&["fleet", "resume", "--rollout", "rotation"]).await;
    let again = bench.tenantd(&["fleet", "resume", "--rollout", "rotation"]).await;
    let removal = bench.tenantd(&["fleet", "resume", "--rollout", "removal"]).await;

    let (stage, message): (String, Option<String>) =
        sqlx::query_as("SELECT stage, message FROM tenantd.rollouts WHERE kind = 'rotation'")
            .fetch_one(&bench.db.pool)
            .await
            .unwrap();
    assert_eq!((stage.as_str(), message), ("idle", None));
    assert!(resumed.code == 0 && resumed.stdout.contains("begins anew"), "{resumed:?}");
    assert_eq!(again.stdout, "nothing to do: the rollout of rotation is idle, not halted\n");
    assert_eq!(removal.code, 2, "{removal:?}");
}
