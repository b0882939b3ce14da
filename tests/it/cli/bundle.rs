//! `tenantd support-bundle`: all that helps, whatever is broken, and no secret, whatever was
//! planted.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

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
async fn one_that_is_interrupted_leaves_no_file_behind() {
    let bench = Bench::new().await;
    // It takes the connection, and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://tenantd@{}/tenantd", silent.local_addr().unwrap());
    let path = bench.scratch.path("b.tar.gz");
    let mut command = bench.command(&["support-bundle", "--out", path.to_str().unwrap()]);
    command.env("TENANTD_DATABASE__URL", url).stdout(Stdio::piped()).stderr(Stdio::piped());
    let bundle = command.spawn().unwrap();
    let asked = silent.accept().await.unwrap();
    assert!(path.exists());

    let pid = bundle.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ran = Ran::of(bundle.wait_with_output().await.unwrap());
    drop(asked);

    ran.assert_refused(1, &["interrupted before", "b.tar.gz was written"]);
    assert!(!path.exists());
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

/// Answers who asks for the metrics with this token, and nobody else.
async fn answer(listener: TcpListener, token: &str) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let is_meant = request.starts_with("GET /metrics ")
            && request.contains(&format!("authorization: Bearer {token}\r\n"));
        let answer = if is_meant {
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ntold"
        } else {
            "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\nconnection: close\r\n\r\nother"
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn the_daemon_is_asked_with_its_token_and_who_answers_otherwise_is_none() {
    let scratch = Scratch::new();
    let token = scratch.file("token", "looks-0123456789abcdef\n");
    let config = scratch.config(&format!("token_file = \"{}\"\n{NOWHERE}", token.display())).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answering = tokio::spawn(async move { answer(listener, "looks-0123456789abcdef").await });
    let path = scratch.path("b.tar.gz");
    let words = ["support-bundle", "--config", config.to_str().unwrap(), "--out", path.to_str().unwrap()];
    let mut command = scratch.command(&words);
    command.env("TENANTD_DATABASE__URL", "postgres://a@127.0.0.1:1/a").env("TENANTD_HTTP__LISTEN", &address);

    let ran = Ran::of(command.output().await.unwrap());

    answering.abort();
    assert_eq!(ran.code, 0, "{ran:?}");
    let parts = unpacked(&path);
    assert_eq!(parts.get("daemon/metrics.txt").map(String::as_str), Some("told\n"), "{ran:?}");
    assert!(!parts.contains_key("daemon/readyz.txt"));
    let note = format!("daemon/readyz.txt: http://{address}/readyz answers 404 Not Found");
    assert!(parts["README.txt"].contains(&note), "{}", parts["README.txt"]);
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

/// One pattern that cannot be read is as good a reason to ask for help as any.
#[tokio::test]
async fn hosts_stay_nameless_where_the_configuration_is_wrong_about_others() {
    let bench = Bench::new().await;
    let config = bench.scratch.config(NOWHERE).await;
    let text = std::fs::read_to_string(&config).unwrap();
    let hosts = "hosts = [\"*.us.qlikcloud.com\", \"bi.bigcustomer.example\", \"https://bi.other.example/x\", \"a b\"]";
    let from = text.lines().find(|line| line.starts_with("hosts = ")).unwrap();
    std::fs::write(&config, text.replace(from, hosts)).unwrap();

    let (ran, parts) = bundle(&bench, &config, "b.tar.gz", &["--anonymous", "--since", "200000years"]).await;

    for (file, text) in parts.iter().chain([(&"stderr".to_owned(), &ran.stderr)]) {
        assert!(!text.contains("bigcustomer") && !text.contains("other.example"), "{file}: {text}");
    }
    let configuration = &parts["configuration.json"];
    assert!(configuration.contains("us.qlikcloud.com"), "{configuration}");
    assert!(json(&parts, "fleet/failures.json")["failures"].is_array());
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

/// Texts that a look could take too much of, and a tenant that is called like a member of JSON.
#[tokio::test]
async fn whatever_is_told_every_part_of_json_parses_and_no_other_machine_is_asked() {
    let bench = Bench::new().await;
    let config = bench.scratch.config(NOWHERE).await;
    let token = bench.scratch.file("token", "alice looks-0123456789abcdef\n");
    for (tenant, message) in [
        ("ready", "see the client_secret:"),
        ("message", "wrong password='"),
        ("host", "it's; basic authentication failed"),
        ("phase", "token: [\"abcd\", \"https://ghp_0123456789@host/\"]"),
    ] {
        bench.given_tenant(tenant).await;
        given_failure(&bench, tenant, 1, message).await;
    }
    let path = bench.scratch.path("b.tar.gz");
    let words = ["support-bundle", "--config", config.to_str().unwrap(), "--out", path.to_str().unwrap()];
    let mut command = bench.command(&[&words[..], &["--anonymous", "--tenant", "ready"]].concat());
    // An address of documentation (RFC 5737).
    command.env("TENANTD_HTTP__LISTEN", "192.0.2.7:9464").env("TENANTD_HTTP__TOKEN_FILE", token);

    let ran = Ran::of(command.output().await.unwrap());

    assert_eq!(ran.code, 0, "{ran:?}");
    for told in [
        "daemon/readyz.txt: http.listen is 192.0.2.7:9464, no address of this machine",
        "the file was sent nowhere",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    }
    let parts = unpacked(&path);
    for file in parts.keys().filter(|file| file.rsplit('.').next() == Some("json")) {
        json(&parts, file);
    }
    let shown = json(&parts, "tenants/1/show.json");
    assert!(["host", "phase", "external_id"].iter().all(|name| shown[name].is_string()), "{shown}");
    let failures = json(&parts, "fleet/failures.json");
    let mut messages: Vec<_> = failures["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failed| failed["message"].as_str().unwrap())
        .collect();
    messages.sort_unstable();
    assert_eq!(messages.len(), 4, "{failures}");
    assert!(
        messages.contains(&"see the client_secret:") && messages.contains(&"wrong password='"),
        "{messages:?}"
    );
    assert!(messages.iter().any(|it| it.ends_with("basic authentication failed")), "{messages:?}");
    assert!(!parts["fleet/failures.json"].contains("ghp_"), "{messages:?}");
}
