//! What is deployed together fits together: the example configuration, the unit
//! of systemd, the containers, Kubernetes and the Debian package name the same secrets, paths,
//! ports and times, and these are the program's own.

use std::collections::BTreeSet;

const EXAMPLE: &str = include_str!("../../config/production.example.toml");
const UNIT: &str = include_str!("../../deploy/systemd/tenantd.service");
const COMPOSE: &str = include_str!("../../deploy/docker/compose.yaml");
const DOCKERFILE: &str = include_str!("../../deploy/docker/Dockerfile");
const README_DEBIAN: &str = include_str!("../../deploy/debian/README.Debian");
const MANIFEST: &str = include_str!("../../Cargo.toml");
const DEFAULTS: &str = include_str!("../../config/default.toml");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");

/// Where the example configuration finds its secrets.
const CREDENTIALS: &str = "/run/credentials/tenantd.service/";

/// The rest of each line after `start`, up to `end`; comments are left out.
fn named<'a>(text: &'a str, start: &str, end: char) -> BTreeSet<&'a str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let rests = lines.filter_map(|line| line.split_once(start).map(|(_, rest)| rest));
    rests.filter_map(|rest| rest.split(end).next()).collect()
}

#[test]
fn every_secret_of_the_example_is_handed_over_by_systemd_and_by_compose() {
    let wanted = named(EXAMPLE, CREDENTIALS, '"');

    assert_eq!(wanted, BTreeSet::from(["database-url", "http-token", "keyring", "qlik-eu", "qlik-us"]));
    assert_eq!(named(UNIT, "LoadCredential=", ':'), wanted);
    assert_eq!(named(COMPOSE, CREDENTIALS, '\n'), wanted);
}

#[test]
fn every_secret_of_the_unit_lies_under_its_own_name() {
    for name in named(UNIT, "LoadCredential=", ':') {
        assert!(UNIT.contains(&format!("\nLoadCredential={name}:/etc/tenantd/secrets/{name}\n")), "{name}");
    }
    for name in named(COMPOSE, "- source: ", '\n') {
        assert!(COMPOSE.contains(&format!("  {name}:\n    file: ./secrets/{name}\n")), "{name}");
    }
}

/// Everything in deploy/kubernetes, one file after another.
fn kubernetes() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let yaml = files.iter().filter(|file| file.extension().is_some_and(|end| end == "yaml"));
    yaml.map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// What follows `start` wherever it stands, as far as it is of the letters of names and numbers.
fn words<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    let rests = text.split(start).skip(1);
    rests
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && !"_./-".contains(c)).next())
        .collect()
}

#[test]
fn kubernetes_hands_the_same_secrets_over_at_the_same_place() {
    let text = kubernetes();
    let listed = text.split("{name: tenantd, files: [").nth(1).unwrap().split(']').next().unwrap();

    assert_eq!(listed.split(", ").collect::<BTreeSet<_>>(), named(EXAMPLE, CREDENTIALS, '"'));
    assert!(text.contains(&format!("mountPath: {}, readOnly: true", CREDENTIALS.trim_end_matches('/'))));
    let (_, example) = EXAMPLE.split_once("\n[database]").unwrap();
    let (_, theirs) =
        include_str!("../../deploy/kubernetes/tenantd.toml").split_once("\n[database]").unwrap();
    assert_eq!(theirs, example, "the configuration of the base is the example");
}

#[test]
fn all_give_a_request_under_way_the_same_time_to_end() {
    let request = named(DEFAULTS, "request_timeout = \"", 's');
    let [seconds] = request.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one request_timeout, in seconds")
    };
    let grace = "60";

    assert!(
        seconds.parse::<u32>().unwrap() * 2 < grace.parse().unwrap(),
        "a request, and what it is committed in"
    );
    assert_eq!(named(UNIT, "TimeoutStopSec=", 's'), BTreeSet::from([grace]));
    assert_eq!(named(COMPOSE, "stop_grace_period: ", 's'), BTreeSet::from([grace]));
    assert_eq!(words(&kubernetes(), "terminationGracePeriodSeconds: "), BTreeSet::from([grace]));
}

#[test]
fn all_start_the_same_program_as_the_same_user() {
    let text = kubernetes();

    assert!(UNIT.contains("\nExecStart=/usr/bin/tenantd run --config /etc/tenantd/tenantd.toml\n"));
    assert!(DOCKERFILE.contains("\nENTRYPOINT [\"/usr/bin/tenantd\"]\n"));
    assert!(DOCKERFILE.contains("\nCMD [\"run\", \"--config\", \"/etc/tenantd/tenantd.toml\"]\n"));
    assert!(text.contains("args: [run, --config, /etc/tenantd/tenantd.toml]"));
    assert!(DOCKERFILE.contains("\nUSER 65532:65532\n"));
    for who in ["runAsUser: ", "runAsGroup: ", "fsGroup: "] {
        assert_eq!(words(&text, who), BTreeSet::from(["65532"]), "{who}");
    }
}

#[test]
fn kubernetes_asks_where_the_daemon_answers() {
    let text = kubernetes();
    let port = named(DEFAULTS, "listen = \"127.0.0.1:", '"');

    assert_eq!(named(EXAMPLE, "listen = \"0.0.0.0:", '"'), port);
    assert_eq!(words(&text, "containerPort: "), port);
    let ports: BTreeSet<_> =
        words(&text, "port: ").into_iter().filter(|port| port.parse::<u16>().is_ok()).collect();
    assert_eq!(ports, BTreeSet::from(["53", "443", "5432"]).union(&port).copied().collect());
    // tests of src/http hold that these are the paths.
    assert_eq!(words(&text, "httpGet: {path: "), BTreeSet::from(["/healthz", "/readyz"]));
    assert!(text.contains("replicas: 2\n") && text.contains("kind: PodDisruptionBudget"));
}

#[test]
fn every_setting_in_the_environment_is_one() {
    for text in [UNIT, COMPOSE, DOCKERFILE, README_DEBIAN, &kubernetes()] {
        let settings = words(text, "TENANTD_").into_iter().filter(|name| name.contains("__"));
        for setting in settings {
            assert!(CONFIGURATION.contains(&format!("`TENANTD_{setting}`")), "TENANTD_{setting}");
        }
    }
    assert!(kubernetes().contains("TENANTD_DATABASE__URL_FILE"));
}

#[test]
fn the_package_holds_what_its_readme_and_its_unit_name() {
    let shipped = "/usr/share/doc/tenantd/";
    for path in
        words(README_DEBIAN, shipped).into_iter().chain(["copyright", "changelog", "tenantd.cdx.json"])
    {
        let file = path.rsplit('/').next().unwrap();
        let whole = format!("\"usr/share/doc/tenantd/{path}\"");
        let in_folder = format!("/{file}\", \"usr/share/doc/tenantd/\"");
        assert!(MANIFEST.contains(&whole) || MANIFEST.contains(&in_folder), "{path}");
    }
    assert!(MANIFEST.contains("[\"target/release/tenantd\", \"usr/bin/\", \"755\"]"));
    // Installed with nothing to go by, it must not fail.
    assert!(UNIT.contains("\nConditionPathExists=/etc/tenantd/tenantd.toml\n"));
}
