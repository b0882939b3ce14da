//! `tenantd doctor` finds what is wrong and says how to mend it.

use serde_json::Value;
use tenantd::simulator::{Behaviour, Endpoint, FaultPlan, World};

use super::support::{Bench, Ran, Scratch, set_mode};
use crate::support::fleet::Fleet;
use crate::support::rig::SUFFIX;

/// The verdicts and messages of one check.
fn of<'a>(found: &'a Value, check: &str) -> Vec<(&'a str, &'a str)> {
    let of_check = found.as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    of_check.map(|f| (f["verdict"].as_str().unwrap(), f["message"].as_str().unwrap())).collect()
}

async fn doctor(fleet: &Fleet, scratch: &Scratch, config: &std::path::Path) -> Ran {
    let mut command = scratch.command(&["doctor", "--output", "json", "--config", config.to_str().unwrap()]);
    let output = command.env("TENANTD_DATABASE__URL", &fleet.db.url).output().await.unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(super) async fn given_fleet() -> (Fleet, Scratch, std::path::PathBuf) {
    let fleet = Fleet::new(World::new(Behaviour::default(), FaultPlan::default(), 7)).await;
    let scratch = Scratch::new();
    let ca = scratch.file("ca.pem", fleet.server.ca_pem());
    let config = scratch
        .config(&format!(
            "[qlik]\nca_file = \"{}\"\nconnect_to = \"{}\"\n",
            ca.display(),
            fleet.server.addr()
        ))
        .await;
    (fleet, scratch, config)
}

#[tokio::test]
async fn what_works_is_called_ok_and_a_region_without_tenants_has_nobody_to_ask() {
    let (fleet, scratch, config) = given_fleet().await;

    let before = doctor(&fleet, &scratch, &config).await;
    fleet.given_tenants(1).await;
    let after = doctor(&fleet, &scratch, &config).await;

    assert_eq!((before.code, after.code), (0, 0), "{before:?} {after:?}");
    assert_eq!(of(&before.json(), "region"), [("warn", "us: no host to ask yet")]);
    let readable = format!("us: t1.{SUFFIX} lets it read what tenantd reads");
    assert_eq!(of(&after.json(), "right"), [("ok", readable.as_str())]);
    assert_eq!(of(&after.json(), "region"), [("ok", format!("us: t1.{SUFFIX} gave a token").as_str())]);
    for check in ["configuration", "database", "schema", "clock", "keyring"] {
        let found = after.json();
        let found = of(&found, check);
        assert!(!found.is_empty() && found.iter().all(|(verdict, _)| *verdict == "ok"), "{check}: {after:?}");
    }
    let roles = after.json();
    assert!(matches!(of(&roles, "role")[..], [("warn", message)] if message.contains("is a superuser")));
}

#[tokio::test]
async fn a_refused_credential_fails_with_the_keys_to_correct() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(1).await;
    let wrong = std::fs::read_to_string(&config).unwrap().replace("region-secret", "wrong");
    let config = scratch.file("wrong.toml", &wrong);

    let ran = doctor(&fleet, &scratch, &config).await;

    let found = ran.json();
    let region = found.as_array().unwrap().iter().find(|finding| finding["check"] == "region").unwrap();
    assert_eq!((ran.code, &region["verdict"]), (1, &"fail".into()), "{ran:?}");
    assert!(region["remedy"].as_str().unwrap().contains("client_id and client_secret"), "{region}");
}

#[tokio::test]
async fn whatever_the_daemon_reads_is_tried_and_nothing_is_written() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(1).await;
    let once = || async {
        let mut run = scratch.command(&["run", "--once", "--config", config.to_str().unwrap()]);
        run.env("TENANTD_DATABASE__URL", &fleet.db.url).output().await.unwrap()
    };
    assert!(once().await.status.success());
    let before = fleet.ledger();
    for (call, what) in [
        (Endpoint::ListClients, "OAuth clients"),
        (Endpoint::GetClient, "the secrets of OAuth clients"),
        (Endpoint::GetConsent, "the consent of OAuth clients"),
        (Endpoint::ListUsers, "users"),
        (Endpoint::ListTokens, "tokens"),
        (Endpoint::Me, "its own user"),
    ] {
        fleet.world.withhold(SUFFIX, [call]);
        let ran = doctor(&fleet, &scratch, &config).await;
        fleet.world.grant(SUFFIX, [call]);

        let found = ran.json();
        let found = of(&found, "right");
        let message = format!("us: t1.{SUFFIX}: may not read {what}: the tenant forbids this (status 403");
        assert!(
            ran.code == 1 && found.iter().any(|(v, m)| *v == "fail" && m.starts_with(&message)),
            "{found:?}"
        );
    }
    let after = fleet.ledger();
    for write in [
        Endpoint::CreateClient,
        Endpoint::PatchClient,
        Endpoint::DeleteClient,
        Endpoint::MintSecret,
        Endpoint::DeleteSecret,
        Endpoint::SetConsent,
        Endpoint::DeleteUser,
        Endpoint::DeleteToken,
    ] {
        assert_eq!(before.calls_of(write, None), after.calls_of(write, None), "{write:?}");
    }
}

#[tokio::test]
async fn a_user_without_the_role_and_a_right_that_daemons_were_refused_fail_with_the_remedy() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(3).await;
    fleet.world.withhold(SUFFIX, [Endpoint::CreateClient]);
    let mut run = scratch.command(&["run", "--once", "--config", config.to_str().unwrap()]);
    run.env("TENANTD_DATABASE__URL", &fleet.db.url).output().await.unwrap();

    let refused = doctor(&fleet, &scratch, &config).await;
    fleet.world.grant(SUFFIX, [Endpoint::CreateClient]);
    fleet.world.set_admin(SUFFIX, false);
    let demoted = doctor(&fleet, &scratch, &config).await;

    for (ran, message) in [
        (&refused, "us: lacks the right to create since "),
        (&demoted, ": our user has not the role TenantAdmin"),
    ] {
        let found = ran.json();
        let finding = found.as_array().unwrap().iter().find(|finding| {
            finding["check"] == "right" && finding["message"].as_str().unwrap().contains(message)
        });
        let finding = finding.unwrap_or_else(|| panic!("{message}: {found}"));
        assert_eq!((ran.code, finding["verdict"].as_str()), (1, Some("fail")));
        assert!(finding["remedy"].as_str().unwrap().contains("TenantAdmin"), "{finding}");
    }
}

#[tokio::test]
async fn a_secret_sealed_by_a_key_that_is_gone_fails() {
    let (fleet, scratch, config) = given_fleet().await;
    fleet.given_tenants(1).await;
    sqlx::query(
        "INSERT INTO tenantd.secrets (tenant_id, client_id, sealed, key_id)
         SELECT tenant_id, 'cid', 'a.b.c.d.e', 'gone' FROM tenantd.tenants",
    )
    .execute(fleet.pool())
    .await
    .unwrap();

    let ran = doctor(&fleet, &scratch, &config).await;

    let found = ran.json();
    let keyring = of(&found, "keyring");
    assert!(ran.code == 1 && keyring.iter().any(|(v, m)| *v == "fail" && m.contains("\"gone\"")), "{ran:?}");
}

#[tokio::test]
async fn checks_go_on_after_a_failure_and_each_failure_has_its_remedy() {
    let bench = Bench::new().await;
    let config = bench.scratch.config("").await;
    set_mode(&bench.scratch.path("keyring.json"), 0o644);
    bench.sql("DROP SCHEMA tenantd CASCADE").await;
    let words = ["doctor", "--config", config.to_str().unwrap()];

    let ran = bench.tenantd(&words).await;
    let away = bench.tenantd_on("postgres://a@127.0.0.1:1/a", &words).await;

    assert_eq!((ran.code, away.code), (1, 1), "{ran:?} {away:?}");
    for (check, remedy) in [("schema", "run `tenantd migrate`"), ("keyring", "run `chmod 0600")] {
        let line = ran.stdout.lines().find(|line| line.starts_with("FAIL") && line.contains(check));
        assert!(line.is_some_and(|line| line.contains(&format!("  — {remedy}"))), "{check}: {ran:?}");
    }
    assert!(
        away.stdout.contains("FAIL  database") && away.stdout.contains("  — check database.url"),
        "{away:?}"
    );
    assert!(away.stdout.contains("FAIL  keyring"), "{away:?}");
}

#[tokio::test]
async fn a_faulty_configuration_is_exit_code_2_with_every_fault() {
    let scratch = Scratch::new();

    let ran = scratch.tenantd(&["doctor"]).await;

    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stdout.lines().filter(|line| line.starts_with("FAIL  configuration")).count() >= 3,
        "{ran:?}"
    );
}
