//! `tenantd support-bundle`: all that helps, whatever is broken, and no secret, whatever was
//! planted.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::{Bench, Ran, Scratch};
use crate::support::bundle::unpacked;

/// Nobody is asked but this machine, where nobody listens.
const NOWHERE: &str = "[qlik]\nconnect_to = \"127.0.0.1:1\"\n";

/// Every part where nothing is broken, but for those of the daemon and of tenants.
const PARTS: [&str; 15] = [
    "README.txt",
    "configuration.json",
    "database/schema.json",
    "database/server.json",
    "database/tables.json",
    "doctor.json",
    "fleet/failures.json",
    "fleet/parked.json",
    "fleet/regions.json",
    "fleet/schedules.json",
    "fleet/status.json",
    "fleet/waiting.json",
    "fleet/workers.json",
    "machine.json",
    "version.json",
];

fn json(parts: &BTreeMap<String, String>, file: &str) -> Value {
    serde_json::from_str(&parts[file]).unwrap_or_else(|error| panic!("{file}: {error}: {}", parts[file]))
}

/// A bundle of this name.
async fn bundle(bench: &Bench, config: &Path, name: &str, more: &[&str]) -> (Ran, BTreeMap<String, String>) {
    let path = bench.scratch.path(name);
    let words = ["support-bundle", "--config", config.to_str().unwrap(), "--out", path.to_str().unwrap()];
    let ran = bench.tenantd(&[&words, more].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    (ran, unpacked(&path))
}

/// The same address with this password, which a server that trusts us does not look at.
fn with_password(url: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (user, rest) = rest.split_once('@').unwrap();
    let user = user.split(':').next().unwrap();
    format!("{scheme}://{user}:{password}@{rest}")
}

/// An attempt of this tenant that failed so long ago.
async fn given_failure(bench: &Bench, external_id: &str, hours: i32, message: &str) {
    sqlx::query(
        "INSERT INTO tenantd.attempts
             (tenant_id, phase, effect, outcome, http_status, error_code, trace_id, message, started_at, duration_ms, holder)
         SELECT tenant_id, 'creating', 'create', 'transient', 503, 'OAUTH-1', 'trace-0815', $3,
                tenantd.clock() - make_interval(hours => $2), 12, gen_random_uuid()
           FROM tenantd.tenants WHERE external_id = $1",
    )
    .bind(external_id)
    .bind(hours)
    .bind(message)
    .execute(&bench.db.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn it_tells_all_that_helps_and_says_what_it_could_not_ask() {
    let bench = Bench::new().await;
    let config = bench.scratch.config(NOWHERE).await;
    bench.given_tenant("customer-1").await;
    bench.given_tenant("customer-2").await;
    bench.park("customer-2", "NameTaken").await;
    given_failure(&bench, "customer-1", 1, "no answer").await;
    given_failure(&bench, "customer-1", 30, "long ago").await;

    let (ran, parts) =
        bundle(&bench, &config, "b.tar.gz", &["--tenant", "customer-1", "--tenant", "nobody"]).await;

    let files: Vec<&str> = parts.keys().map(String::as_str).collect();
    let expected = [&PARTS[..], &["tenants/1/explain.json", "tenants/1/show.json"]].concat();
    assert!(expected.iter().all(|file| files.contains(file)) && files.len() == expected.len(), "{files:?}");
    assert_eq!(json(&parts, "fleet/parked.json")[0]["first"][0]["external_id"], "customer-2");
    assert_eq!(json(&parts, "fleet/status.json")["phases"]["pending"], 2);
    assert_eq!(json(&parts, "fleet/schedules.json").as_array().unwrap().len(), 6);
    assert_eq!(json(&parts, "database/schema.json")["pending"], Value::Array(vec![]));
    assert!(json(&parts, "database/server.json")["settings"]["max_connections"]["value"].is_string());
    let failures = json(&parts, "fleet/failures.json");
    assert_eq!(failures["failures"].as_array().unwrap().len(), 1, "{failures}");
    for (column, value) in [("outcome", "transient"), ("error_code", "OAUTH-1"), ("trace_id", "trace-0815")] {
        assert_eq!(failures["failures"][0][column], value, "{failures}");
    }
    assert_eq!(failures["by_kind"][0]["attempts"], 1);
    let shown = json(&parts, "tenants/1/show.json");
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 2, "the whole history: {shown}");
    let settings = json(&parts, "configuration.json");
    let is_listed = |key: &str, value: &str| {
        settings["settings"].as_array().unwrap().iter().any(|row| row["key"] == key && row["value"] == value)
    };
    assert!(is_listed("worker.poll", "5s") || is_listed("database.pooler", "none"), "{settings}");
    assert!(is_listed("database.url", "[redacted]"), "{settings}");
    let readme = &parts["README.txt"];
    for note in ["daemon/metrics.txt: ", "tenants/2/show.json: there is no tenant"] {
        assert!(readme.contains(note) && ran.stderr.contains(note), "{note}: {readme} {ran:?}");
    }
    for file in files {
        assert!(ran.stdout.contains(file), "{file}: {ran:?}");
        assert!(readme.contains(file) || file == "README.txt", "{file}: {readme}");
    }
    assert!(ran.stderr.contains("external ids and hosts are in it"), "{ran:?}");
}

#[tokio::test]
async fn it_is_private_and_overwrites_nothing() {
    let bench = Bench::new().await;
    let config = bench.scratch.config(NOWHERE).await;
    bundle(&bench, &config, "b.tar.gz", &[]).await;
    let path = bench.scratch.path("b.tar.gz");
    let before = std::fs::read(&path).unwrap();

    let words = ["support-bundle", "--config", config.to_str().unwrap(), "--out", path.to_str().unwrap()];
    let again = bench.tenantd(&words).await;

    again.assert_refused(2, &["b.tar.gz is there already", "--out"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn whatever_is_down_or_wrong_is_a_note_and_the_rest_is_told() {
    let scratch = Scratch::new();
    let config = scratch.config(NOWHERE).await;
    let config = config.to_str().unwrap();
    let path = |name: &str| scratch.path(name).to_str().unwrap().to_owned();

    let mut away = scratch.command(&["support-bundle", "--config", config, "--out", &path("away.tar.gz")]);
    away.env("TENANTD_DATABASE__URL", "postgres://a@127.0.0.1:1/a");
    let away = Ran::of(away.output().await.unwrap());
    let unset =
        scratch.tenantd(&["support-bundle", "--out", &path("unset.tar.gz"), "--output", "json"]).await;
    let broken = scratch.file("broken.toml", "[[[");
    let words = ["support-bundle", "--config", broken.to_str().unwrap(), "--out", &path("broken.tar.gz")];
    let broken = scratch.tenantd(&words).await;

    assert_eq!((away.code, unset.code, broken.code), (0, 0, 0), "{away:?} {unset:?} {broken:?}");
    let parts = unpacked(&scratch.path("away.tar.gz"));
    assert!(
        parts["README.txt"].contains("database, fleet and tenants: the database did not answer"),
        "{parts:?}"
    );
    let doctor = json(&parts, "doctor.json");
    assert!(doctor.as_array().unwrap().iter().any(|found| found["verdict"] == "fail"), "{doctor}");
    let parts = unpacked(&scratch.path("unset.tar.gz"));
    assert!(json(&parts, "configuration.json")["faults"].as_array().unwrap().len() >= 3, "{parts:?}");
    let told = unset.json();
    assert!(told["notes"].to_string().contains("database.url is not set"), "{told}");
    assert_eq!(told["parts"].as_array().unwrap().len(), parts.len(), "{told}");
    let parts = unpacked(&scratch.path("broken.tar.gz"));
    assert_eq!(json(&parts, "configuration.json")["faults"].as_array().unwrap().len(), 1, "{parts:?}");
    assert!(parts.contains_key("machine.json"));
}

#[tokio::test]
async fn pseudonyms_stand_for_every_name_and_are_the_same_in_every_bundle() {
    let bench = Bench::new().await;
    let config = bench.scratch.config(NOWHERE).await;
    for name in ["acme", "initech"] {
        bench.given_tenant(name).await;
        bench.park(name, "NameTaken").await;
        given_failure(&bench, name, 1, &format!("{name}.us.qlikcloud.com: no; ask {name}, or hooli")).await;
    }
    bench.given_tenant("hooli").await;
    let asked = ["--anonymous", "--tenant", "initech", "--tenant", "hooli", "--tenant", "piedpiper"];

    let (ran, first) = bundle(&bench, &config, "first.tar.gz", &asked).await;
    let (_, second) = bundle(&bench, &config, "second.tar.gz", &asked).await;

    for (file, text) in
        first.iter().chain([(&"stdout".to_owned(), &ran.stdout), (&"stderr".to_owned(), &ran.stderr)])
    {
        for name in ["acme", "initech", "hooli", "piedpiper"] {
            assert!(!text.contains(name), "{name} is in {file}: {text}");
        }
    }
    let row: String = sqlx::query_scalar(
        "SELECT replace(tenant_id::text, '-', '') FROM tenantd.tenants WHERE external_id = 'initech'",
    )
    .fetch_one(&bench.db.pool)
    .await
    .unwrap();
    let (id, host) = (format!("tenant-{}", &row[..12]), format!("host-{}.us.qlikcloud.com", &row[..12]));
    for parts in [&first, &second] {
        let shown = json(parts, "tenants/1/show.json");
        assert_eq!(
            (shown["external_id"].as_str(), shown["host"].as_str()),
            (Some(id.as_str()), Some(host.as_str()))
        );
        let message = shown["attempts"][0]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{host}: no; ask {id}, or tenant-")), "{message}");
        assert!(parts["README.txt"].contains(&id), "{}", parts["README.txt"]);
    }
}

/// What nothing of a bundle may hold.
const PLANTED: &str = "s3ntinel0f";

fn planted(place: &str) -> String {
    format!("{PLANTED}-{place}-0123456789")
}

/// Plants secrets in the files that the configuration names and in rows; returns the configuration.
async fn plant(bench: &Bench) -> PathBuf {
    let token = bench.scratch.file("token", &format!("alice {}\n", planted("token")));
    let keyring = bench.scratch.file(
        "planted.json",
        &format!(r#"{{"keys":[{{"kty":"oct","kid":"first","alg":"A256KW","k":"{PLANTED}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}]}}"#),
    );
    let config = bench
        .scratch
        .config(&format!(
            "token_file = \"{}\"\n[qlik]\nproxy = \"http://me:{}@127.0.0.1:1\"\n\
             [traces]\nendpoint = \"http://127.0.0.1:1/v1/traces\"\nheaders = \"authorization=Bearer%20{}\"\n",
            token.display(),
            planted("proxy"),
            planted("collector"),
        ))
        .await;
    let text = std::fs::read_to_string(&config).unwrap().replace("region-secret", &planted("region"));
    let text = text.replace(bench.scratch.path("keyring.json").to_str().unwrap(), keyring.to_str().unwrap());
    let config = bench.scratch.file("tenantd.toml", &text);
    bench.given_tenant("customer-1").await;
    // What is known is found anywhere, and what nobody told us of by its look.
    let message =
        format!("said {}, {} and Bearer {}", planted("region"), planted("token"), planted("unknown"));
    given_failure(bench, "customer-1", 1, &message).await;
    given_failure(bench, "customer-1", 1, &format!(r#"{{"client_secret":"{}"}}"#, planted("body"))).await;
    given_failure(bench, "customer-1", 1, &format!("eyJ{PLANTED}.{PLANTED}.{PLANTED}.{PLANTED}.{PLANTED}"))
        .await;
    bench.sql(&format!("UPDATE tenantd.tenants SET labels = '{{\"key\": \"{}\"}}'", planted("label"))).await;
    bench
        .sql(&format!(
            "INSERT INTO tenantd.pauses (region, reason) VALUES ('*', 'postgres://me:{}@db/a')",
            planted("pause")
        ))
        .await;
    config
}

#[tokio::test]
async fn no_secret_is_in_it_wherever_it_was_planted() {
    let bench = Bench::new().await;
    let config = plant(&bench).await;
    let path = bench.scratch.path("b.tar.gz");
    let words = [
        "support-bundle",
        "--config",
        config.to_str().unwrap(),
        "--out",
        path.to_str().unwrap(),
        "--tenant",
        "customer-1",
    ];
    let mut command = bench.scratch.command(&words);
    command.env("TENANTD_DATABASE__URL", with_password(&bench.db.url, &planted("url")));
    command.env("PGPASSWORD", planted("driver"));

    let ran = Ran::of(command.output().await.unwrap());
    // A mistyped key keeps the database from being asked, and may hold a secret itself.
    std::fs::rename(&path, bench.scratch.path("sound.tar.gz")).unwrap();
    let mistyped = Ran::of(command.env("TENANTD_HTTP__TOKEN", planted("mistyped")).output().await.unwrap());

    assert_eq!((ran.code, mistyped.code), (0, 0), "{ran:?} {mistyped:?}");
    for (file, text) in unpacked(&path).iter().chain([(&String::new(), &mistyped.stderr)]) {
        assert!(!text.contains(PLANTED), "{file}: {text}");
    }
    let parts = unpacked(&bench.scratch.path("sound.tar.gz"));
    for (file, text) in
        parts.iter().chain([(&"stdout".to_owned(), &ran.stdout), (&"stderr".to_owned(), &ran.stderr)])
    {
        assert!(!text.contains(PLANTED), "{file}: {text}");
    }
    let shown = json(&parts, "tenants/1/show.json");
    assert_eq!(shown["attempts"][0]["message"], "said [redacted], [redacted] and Bearer [redacted]");
    assert_eq!(shown["labels"]["key"], "[left out]");
    assert!(
        parts["fleet/status.json"].contains("postgres://[redacted]@db/a"),
        "{}",
        parts["fleet/status.json"]
    );
    assert!(!parts["README.txt"].contains("(0 places)"), "{}", parts["README.txt"]);
}
