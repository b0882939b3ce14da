//! No secret is ever shown: not by `Debug`, not by an error, not by `config show`.

use std::os::unix::fs::PermissionsExt;

use super::super::Layered;
use super::{LEAST, Scratch, layered};

const SENTINEL: &str = "hunter2-sentinel";

fn with_sentinels() -> String {
    let toml = LEAST.replace("tenantd@", &format!("tenantd:{SENTINEL}@")).replace("region-secret", SENTINEL);
    format!(
        "{toml}[qlik]\nproxy = \"http://u:{SENTINEL}@proxy:3128\"\n[traces]\nheaders = \"Authorization={SENTINEL}\""
    )
}

#[test]
fn neither_debug_nor_config_show_knows_a_secret() {
    let whole = layered(&with_sentinels(), &[]);

    let (settings, warnings) = whole.settings().unwrap();
    let rows = whole.rows();
    let shown = format!("{whole:?} {settings:?} {warnings:?} {rows:?}");

    let value = |key: &str| rows.iter().find(|row| row.key == key).unwrap().value.clone();
    assert!(!shown.contains(SENTINEL), "{shown}");
    for secret in ["database.url", "regions[0].client_secret", "qlik.proxy", "traces.headers"] {
        assert_eq!(value(secret), "[redacted]");
    }
    assert_eq!(value("regions[0].hosts"), "[\"*.us.qlikcloud.com\"]");
    assert_eq!(value("worker.concurrency"), "32");
}

#[test]
fn a_mistyped_or_misplaced_secret_is_not_shown_either() {
    let toml = format!(
        r#"
        [database]
        pasword = "{SENTINEL}"
        url = "mysql://u:{SENTINEL}@db"
        [http]
        listen = "http://u:{SENTINEL}@host"
        [profiles.default]
        redirect_uris = ["https://u:{SENTINEL}@a.example"]
        "#
    );

    let faulty = layered(&toml, &[]);
    let error = faulty.settings().unwrap_err();
    let shown = format!("{error} {error:?} {:?}", faulty.rows());

    assert_eq!(error.faults().len(), 6, "{error}");
    assert!(!shown.contains(SENTINEL), "{shown}");
}

#[test]
fn a_syntax_error_is_told_by_line_without_quoting_it() {
    let scratch = Scratch::new("syntax");
    let path = scratch.file("prod.toml", &format!("[database]\nurl = \"postgres://u:{SENTINEL}@db\n"));

    let error = Layered::load(Some(&path), []).unwrap_err();

    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(SENTINEL), "{shown}");
    assert!(shown.contains("is not TOML: line 2, column "), "{shown}");
}

#[test]
fn a_secret_in_a_file_that_others_may_read_is_warned_about() {
    let scratch = Scratch::new("exposed");
    let path = scratch.file("prod.toml", LEAST);
    let warnings = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Layered::load(Some(&path), []).unwrap().settings().unwrap().1
    };

    let (open, group, closed) = (warnings(0o644), warnings(0o640), warnings(0o600));

    let keys: Vec<_> = open.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(keys, ["database.url", "regions[0].client_secret"]);
    assert_eq!((group.len(), closed.len()), (2, 0));
}
