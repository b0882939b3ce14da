//! `tenantd tenant explain` says where a tenant stands, what is next, and what is in its way.

use std::collections::BTreeSet;

use tenantd::domain::phase::Phase;

use super::support::{Bench, Ran};

async fn explain(bench: &Bench, words: &[&str]) -> Ran {
    let config = bench.scratch.path("tenantd.toml");
    let config = config.to_str().unwrap();
    let words: Vec<&str> =
        ["tenant", "explain", "--config", config].into_iter().chain(words.iter().copied()).collect();
    bench.tenantd(&words).await
}

#[tokio::test]
async fn each_blocker_is_told_with_since_and_until_and_the_command_that_ends_it() {
    let bench = Bench::new().await;
    bench.scratch.config("").await;
    bench.given_tenant("a").await;
    bench.park("a", "NameTaken").await;
    bench
        .sql(
            "UPDATE tenantd.tenants SET paused_at = now() - interval '2 h', paused_until = now() + interval '90 m',
                    pause_reason = 'a migration'",
        )
        .await;

    let table = explain(&bench, &["a"]).await;
    let json = explain(&bench, &["a", "--output", "json"]).await.json();

    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.starts_with("a is not ready, phase pending, NameTaken: do this\n"), "{table:?}");
    assert!(
        table.stdout.contains("next: creates its client, when somebody ends what stands in its way"),
        "{table:?}"
    );
    let line = |start: &str| table.stdout.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("Parked").contains("NameTaken: do this; `tenantd tenant retry`"), "{table:?}");
    for part in ["2h ago", "in 1h", "a migration", "`tenantd tenant resume`"] {
        assert!(line("Paused").contains(part), "{part}: {table:?}");
    }
    let blockers = json["blockers"].as_array().unwrap();
    assert_eq!(
        blockers.iter().map(|b| b["blocker"].as_str().unwrap()).collect::<Vec<_>>(),
        ["Parked", "Paused"]
    );
    assert_eq!(
        (&json["next_at"], &blockers[0]["until"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert!(chrono::DateTime::parse_from_rfc3339(blockers[1]["until"].as_str().unwrap()).is_ok());
}

#[tokio::test]
async fn a_tenant_with_nothing_in_its_way_says_so_and_what_a_claim_would_find() {
    let bench = Bench::new().await;
    bench.scratch.config("").await;
    bench.given_tenant("a").await;
    bench.given_tenant("lost").await;
    bench.given_tenant("odd").await;
    bench.sql("UPDATE tenantd.tenants SET host = 'lost.elsewhere.example' WHERE external_id = 'lost'").await;
    bench.sql("UPDATE tenantd.tenants SET profile = 'nobody' WHERE external_id = 'odd'").await;

    for (name, next) in [
        ("a", "creates its client, now"),
        ("lost", "is parked as HostNotAllowed: no region allows its host, now"),
        ("odd", "is parked as UnknownProfile: there is no [profiles.nobody], now"),
    ] {
        let ran = explain(&bench, &[name]).await;

        assert!(ran.code == 0 && ran.stdout.contains(&format!("next: {next}\n")), "{ran:?}");
        assert!(ran.stdout.contains("nothing keeps a daemon from it"), "{ran:?}");
    }
}

#[tokio::test]
async fn every_phase_has_its_next_step() {
    let bench = Bench::new().await;
    bench.scratch.config("").await;
    bench.given_tenant("a").await;
    let mut told = BTreeSet::new();
    for phase in Phase::ALL {
        let client = if matches!(phase, Phase::Pending | Phase::Removed) { "NULL" } else { "'cid'" };
        let version = if phase == Phase::Removed { "NULL" } else { "1" };
        bench
            .sql(&format!(
                "UPDATE tenantd.tenants SET phase = '{phase}', client_id = {client}, current_version = {version},
                        ready_at = CASE WHEN '{phase}' <> 'removed' THEN now() END, due_at = now()"
            ))
            .await;

        let ran = explain(&bench, &["a", "--output", "json"]).await;

        told.insert(ran.json()["next"].as_str().unwrap().to_owned());
    }
    assert_eq!(told.len(), Phase::ALL.len(), "{told:?}");
}

#[tokio::test]
async fn what_is_needed_is_the_configuration_but_none_of_its_secrets() {
    let bench = Bench::new().await;
    bench.given_tenant("a").await;
    bench.scratch.file(
        "tenantd.toml",
        "[[regions]]\nname = \"us\"\nhosts = [\"*.us.qlikcloud.com\"]\nclient_id = \"x\"\nclient_secret_file = \"/not/there\"\n",
    );

    let ran = explain(&bench, &["a"]).await;
    bench.scratch.file("tenantd.toml", "");
    let without = explain(&bench, &["a"]).await;

    assert_eq!(ran.code, 0, "{ran:?}");
    without.assert_refused(2, &["regions is not set"]);
}

#[tokio::test]
async fn a_removal_that_waits_is_told_how_many_went_before_and_how_many_may() {
    let bench = Bench::new().await;
    for id in ["a", "b"] {
        bench.given_tenant(id).await;
        bench.make_ready(id).await;
        let absent = "UPDATE tenantd.tenants SET desired_state = 'absent', reason_since = now()";
        bench.sql(&format!("{absent} WHERE external_id = '{id}'")).await;
    }
    bench
        .sql("INSERT INTO tenantd.changes (kind, tenant_id) SELECT 'removal', gen_random_uuid() FROM generate_series(1, 5)")
        .await;

    bench.scratch.config("").await;
    let config = bench.scratch.path("tenantd.toml");
    let told = |ran: Ran, limit: i64| {
        let expected =
            format!("removals_per_hour: 5 of {limit} let through in the last hour, 1 removal before it");
        assert!(ran.stdout.contains(&expected), "{ran:?}");
        assert!(ran.stdout.contains("5 let through in the last hour, 2 waiting"), "{ran:?}");
    };

    told(explain(&bench, &["b"]).await, 5);
    let set = std::fs::read_to_string(&config).unwrap() + "\n[budget]\nremovals_per_hour = 7\n";
    std::fs::write(&config, set).unwrap();
    told(explain(&bench, &["b"]).await, 7);
}
