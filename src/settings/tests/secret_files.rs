//! What a secret's file may hold, and what is said of one that cannot work.

use super::super::Layered;
use super::{LEAST, Scratch, faults_of, layered};

const SECRET: &str = "hunter2";

/// The least configuration with each of its secrets in this file.
fn naming(path: &str) -> [(&'static str, Layered); 4] {
    let variable = |name, value: &str| layered(LEAST, &[(name, value)]);
    let region =
        LEAST.replace("client_secret = \"region-secret\"", &format!("client_secret_file = {path:?}"));
    [
        ("regions[0].client_secret_file (config/prod.toml)", layered(&region, &[])),
        ("database.url_file (", variable("TENANTD_DATABASE__URL_FILE", path)),
        ("qlik.proxy_file (", variable("TENANTD_QLIK__PROXY_FILE", path)),
        ("http.token_file (", variable("TENANTD_HTTP__TOKEN_FILE", path)),
    ]
}

#[test]
fn a_file_with_what_no_secret_has_is_refused_by_the_name_of_the_character() {
    let scratch = Scratch::new("blemishes");
    for (content, told) in [
        (
            &b"\xEF\xBB\xBFhunter2\n"[..],
            "begins with a byte order mark (U+FEFF): save it as UTF-8 without a byte order mark",
        ),
        (b"\xFF\xFEh\0u\0", "begins with a byte order mark (U+FEFF) of UTF-16: save it as UTF-8"),
        (b"hunter2\xFF\n", "holds bytes that are not UTF-8"),
        (b" hunter2", "begins with a blank (U+0020): remove it"),
        (b"\nhunter2\n", "begins with a line feed (U+000A): remove it"),
        (b"hunter2 \n", "ends in a blank (U+0020): remove it"),
        (b"hunter2\t\r\n", "ends in a tab (U+0009): remove it"),
        (b"hunter2\n\n", "has more than one line: a line feed (U+000A)"),
        (
            b"hunter2\nhunter3\n",
            "has more than one line: a line feed (U+000A): keep the line with the secret",
        ),
        (b"hunter2\r\nhunter3\r\n", "has more than one line: a carriage return (U+000D)"),
        (b"hunter2\r", "has more than one line: a carriage return (U+000D)"),
        (b"hun\0ter2\n", "holds a NUL (U+0000): remove it; no secret has one"),
        (b"hunter2\0\n", "ends in a NUL (U+0000)"),
        ("hun\u{200b}ter2".as_bytes(), "holds a zero-width space (U+200B)"),
        ("hunter2\u{a0}".as_bytes(), "ends in a no-break space (U+00A0)"),
        ("hun\u{2066}ter2".as_bytes(), "holds U+2066"),
        (b"", "is empty: write the secret"),
        (b"\r\n", "is empty"),
        (&vec![b'x'; 70_000], "has more than 65536 bytes"),
    ] {
        let path = scratch.path().join("secret");
        std::fs::write(&path, content).unwrap();
        let path = path.to_str().unwrap();

        for (key, layered) in naming(path) {
            let faults = faults_of(layered.settings());

            assert_eq!(faults.len(), 1, "{content:?}: {faults:#?}");
            let fault = &faults[0];
            assert!(
                fault.starts_with(key) && fault.contains(&format!("names {path}, which {told}")),
                "{fault}"
            );
            assert!(!fault.contains("hunter"), "{fault}");
        }
    }
}

#[test]
fn a_secret_in_place_is_looked_at_like_one_in_a_file() {
    for (secret, told) in [
        ("hunter2\n", "has more than one line: a line feed (U+000A)"),
        ("\u{feff}hunter2", "begins with a byte order mark (U+FEFF)"),
        ("hunter2 ", "ends in a blank (U+0020)"),
        ("“hunter2”", "holds a character outside of ASCII, which no client secret has"),
    ] {
        let toml = LEAST.replace("\"region-secret\"", &format!("{secret:?}").replace("\\u{feff}", "\\uFEFF"));
        let faults = faults_of(layered(&toml, &[]).settings());

        let start = format!("regions[0].client_secret (config/prod.toml) {told}");
        assert!(faults.len() == 1 && faults[0].starts_with(&start), "{faults:#?}");
        assert!(!faults[0].contains("hunter"), "{faults:?}");
    }
    let id = LEAST.replace("\"region-client\"", "\"region\\u200Bclient\"");
    let told = "regions[0].client_id (config/prod.toml) holds a zero-width space (U+200B): remove it; no client id has one";
    assert_eq!(faults_of(layered(&id, &[]).settings()), [told]);
}

#[test]
fn a_secret_that_stands_where_its_file_should_be_named_is_not_shown() {
    for (value, shown_in_fault) in [
        (SECRET, false),
        ("postgres://u:hunter2@db/t", false),
        ("{\"keys\":[\"hunter2\"]}", false),
        ("-----BEGIN hunter2-----", false),
        ("/nowhere/hunter2", true),
        ("./hunter2", true),
    ] {
        for (key, layered) in naming(value) {
            let (faults, rows) = (faults_of(layered.settings()), format!("{:?}", layered.rows()));

            assert!(faults.len() == 1 && faults[0].starts_with(key), "{faults:#?}");
            assert_eq!(faults[0].contains(SECRET), shown_in_fault, "{faults:?}");
            assert_eq!(rows.contains(SECRET), shown_in_fault, "{rows}");
        }
    }
    let keyring = layered(LEAST, &[("TENANTD_VAULT__KEYRING_FILE", "{\"keys\":[{\"k\":\"hunter2\"}]}")]);
    let told = format!("{:?} {:?}", keyring.vault().unwrap_err(), keyring.rows());
    assert!(told.contains("is no path: it seems to be what the file should hold"), "{told}");
    assert!(!told.contains(SECRET), "{told}");
}

#[test]
fn a_proxy_is_an_address_that_splits_in_one_way_only() {
    for (proxy, told) in [
        ("proxy.internal:3128", "is no URL of an HTTP proxy: write it as http://user:password@"),
        ("socks5://proxy:1080", "is no URL of an HTTP proxy"),
        ("http://u:hunter2?x@proxy:3128", "has an @ behind a / or a ?"),
        ("http://u:hunter2@x@proxy:3128", "has more than one @"),
        ("http://u:hunter2#x@proxy:3128", "has a #"),
        ("http://u:hunter2%@proxy:3128", "has a % that"),
        ("http://u:@proxy:3128", "has an empty password"),
        ("http://proxy:/", "has a : and no port behind it"),
        ("http://proxy:hunter2", "has a port that is no such number"),
        ("http://proxy/hunter2", "has something behind its host and port"),
        ("http://", "has a host that is none"),
    ] {
        let faults = faults_of(layered(LEAST, &[("TENANTD_QLIK__PROXY", proxy)]).settings());

        let start = format!("qlik.proxy (environment variable TENANTD_QLIK__PROXY) {told}");
        assert!(faults.len() == 1 && faults[0].starts_with(&start), "{proxy}: {faults:#?}");
        assert!(!faults[0].contains("hunter"), "{faults:?}");
    }
    for proxy in ["http://proxy:3128", "https://u:p%40%3A@proxy.internal", "http://[::1]:3128/"] {
        assert!(layered(LEAST, &[("TENANTD_QLIK__PROXY", proxy)]).settings().is_ok(), "{proxy}");
    }
}
