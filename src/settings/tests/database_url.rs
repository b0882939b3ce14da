//! The database's URL: what is accepted, what is refused, and that nothing of it is told.

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::super::{DatabaseUrl, Layered, Place, TlsMode};
use super::{LEAST, Scratch};

fn with_url(url: &str) -> Layered {
    with_url_and(url, &[])
}

fn with_url_and(url: &str, more: &[(&str, &str)]) -> Layered {
    let variables = [&[("TENANTD_DATABASE__URL", url)], more].concat();
    super::layered(LEAST, &variables)
}

/// The faults of `[database]`, one a line, without key and origin.
#[track_caller]
fn faults_of(url: &str) -> Vec<String> {
    let told = with_url(url).database().map(drop).expect_err(url).to_string();
    let prefix = "database.url (environment variable TENANTD_DATABASE__URL) ";
    told.lines().map(|line| line.strip_prefix(prefix).expect(line).to_owned()).collect()
}

fn warnings_of(url: &str) -> Vec<String> {
    with_url(url).warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn every_part_of_a_url_is_understood_as_the_driver_would() {
    let url = DatabaseUrl::parse(
        "postgres://us%65r:p%40ss:w%C3%B6rd@db-1.internal:6432/app?sslmode=verify-ca&options[a.b]=c%20d",
    )
    .unwrap();

    assert_eq!(url.place, Place::Host("db-1.internal".to_owned()));
    assert_eq!(
        (url.port, url.user.as_deref(), url.database.as_deref()),
        (Some(6432), Some("user"), Some("app"))
    );
    assert_eq!(url.password.unwrap().expose_secret(), "p@ss:wörd");
    assert_eq!(url.tls_mode, Some(TlsMode::VerifyCa));
    assert_eq!(url.options, [("a.b".to_owned(), "c d".to_owned())]);
}

#[test]
fn every_usual_spelling_is_accepted() {
    for url in [
        "postgres://db/t",
        "postgresql://db",
        "postgres://u@db:5432/t?",
        "postgres://u:p@[::1]:5432/t",
        "postgres://db.internal./t",
        "postgres:///t?host=/var/run/postgresql",
        "postgres://u@localhost:5432/t?host=/tmp/x&sslmode=disable",
        "postgres://u@%2Fvar%2Frun%2Fpostgresql/t",
        "postgres://?host=db&port=5432&user=u&password=p%3F%26&dbname=t",
        "postgres://u@/t?hostaddr=10.0.0.1",
        "postgres://db/t?statement-cache-capacity=0&application_name=a%20b",
        "postgres://db/t?options=-c%20geqo%3Doff&options[jit]=off",
        "postgres://u:pässwörd@db/t",
    ] {
        let read = with_url(url).database();

        assert!(read.is_ok(), "{url}: {read:?}");
    }
}

/// What a driver would guess at, and how the fault begins.
const REFUSED: &[(&str, &str)] = &[
    ("mysql://u:p@db/t", "is not a PostgreSQL URL: write it as postgres://user:password@host:5432/database"),
    ("jdbc:postgresql://db/t", "is not a PostgreSQL URL"),
    ("host=db user=u password=p", "is not a PostgreSQL URL"),
    ("POSTGRES://db/t", "is not a PostgreSQL URL"),
    ("postgres:db", "is not a PostgreSQL URL"),
    (
        "postgres://u:a?b@db/t",
        "has an @ behind a / or a ?, so that its password ends too early: in user and password write %25",
    ),
    ("postgres://u:1?b@db/t", "has an @ behind a / or a ?"),
    ("postgres://u:a/b@db/t", "has an @ behind a / or a ?"),
    ("postgres://db/t?user=a@b", "has an @ behind a / or a ?"),
    ("postgres://u:a@b@db/t", "has more than one @ before its host"),
    ("postgres://u:a#b@db/t", "has a #, which ends a URL"),
    ("postgres://db/t#x", "has a #, which ends a URL"),
    ("postgres://u:100%@db/t", "has a % that two hexadecimal digits do not follow"),
    ("postgres://u:%zz@db/t", "has a % that two hexadecimal digits do not follow"),
    ("postgres://u:%é1@db/t", "has a % that two hexadecimal digits do not follow"),
    ("postgres://u:%FF@db/t", "holds escapes that are not UTF-8"),
    ("postgres://u:a%00b@db/t", "holds a NUL (%00)"),
    ("postgres://u:a b@db/t", "holds a blank (U+0020): remove it; write %20"),
    ("postgres://u:a\tb@db/t", "holds a tab (U+0009)"),
    ("postgres://u:a\u{200b}b@db/t", "holds a zero-width space (U+200B)"),
    ("postgres://:p@db/t", "has an empty user"),
    ("postgres://@db/t", "has an empty user"),
    ("postgres://u:@db/t", "has an empty password"),
    ("postgres://db/t?password=", "has an empty password"),
    ("postgres://db/t?user=", "has an empty user"),
    ("postgres://db/t?sslmode", "has an empty sslmode"),
    ("postgres://db:/t", "has a : and no port behind it"),
    ("postgres://[::1]:/t", "has a : and no port behind it"),
    ("postgres://db:x/t", "has a port that is no such number: write a port from 1 to 65535"),
    ("postgres://db:0/t", "has a port that is no such number"),
    ("postgres://db:65536/t", "has a port that is no such number"),
    ("postgres://db:+1/t", "has a port that is no such number"),
    ("postgres://db/t?port=x", "has a port that is no such number"),
    ("postgres://u:p@a,b/t", "names several hosts: name one"),
    ("postgres://u:p@a:1,b:2/t", "names several hosts"),
    ("postgres:///t?host=a,b", "names several hosts"),
    ("postgres:///t", "names no host: write postgres://user@host/database, or ?host=/var/run/postgresql"),
    ("postgres://u:p@/t", "names no host"),
    ("postgres://u@:5432/t", "names no host"),
    ("postgres://d%20b/t", "has a host that is none"),
    ("postgres://[::x]/t", "has a host that is none"),
    ("postgres://a..b/t", "has a host that is none"),
    ("postgres://[localhost]/t", "has a host that is none"),
    ("postgres://db/t?hostaddr=10.0.0.1", "names a host and a hostaddr: keep one of the two"),
    ("postgres:///t?hostaddr=db", "has a hostaddr that is no IP address"),
    ("postgres://db/t/u", "has a second / in its path"),
    ("postgres://db/t/", "has a second / in its path"),
    ("postgres://a/t?host=b", "gives host more than once: keep one"),
    ("postgres://u@db/t?user=v", "gives user more than once"),
    ("postgres://u:p@db/t?password=q", "gives password more than once"),
    ("postgres://db:1/t?port=2", "gives port more than once"),
    ("postgres://db/t?dbname=u", "gives dbname more than once"),
    ("postgres://db/t?sslmode=require&ssl-mode=require", "gives sslmode more than once"),
    (
        "postgres://db/t?options[a]=1&options[a]=2",
        "has options[…] with no name of a setting, or with one twice",
    ),
    ("postgres://db/t?options[a=1", "has a parameter that is not known"),
    ("postgres://db/t?options[]=1", "has options[…] with no name"),
    ("postgres://db/t?options=geqo", "has options that set nothing: write -c NAME=VALUE"),
    ("postgres://db/t?options=-c", "has options that set nothing"),
    ("postgres://db/t?password=a+b", "has a + in its parameters, which some take for a blank: write %2B"),
    (
        "postgres://db/t?sslmode=verify_full",
        "has an sslmode that there is not: write one of disable, allow, prefer,",
    ),
    (
        "postgres://db/t?statement-cache-capacity=many",
        "has a statement-cache-capacity that is no whole number",
    ),
    (
        "postgres://db/t?sslrootcert=/nowhere/ca.pem",
        "names a certificate or key (sslrootcert, sslcert, sslkey) that cannot be read: No such file or directory",
    ),
    ("postgres://db/t?sslrootcert=system", "says sslrootcert=system, which this driver does not know"),
    (
        "postgres://db/t?sslrootcert=/dev/zero",
        "names a certificate or key (sslrootcert, sslcert, sslkey) that cannot be read: it is not a regular file",
    ),
    (
        concat!("postgres://db/t?sslcert=", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        "has one of sslcert and sslkey: give both, or neither",
    ),
    (
        "postgres://db/t?connect_timeout=5",
        "has the parameter connect_timeout, which this driver does not know: remove it; known are host, hostaddr,",
    ),
    ("postgres://db/t?target_session_attrs=primary", "has the parameter target_session_attrs, which"),
    (
        "postgres://db/t?SSLMODE=require",
        "has a parameter that is not known (it is not shown: it may be part of a password): known are",
    ),
];

#[test]
fn what_a_driver_would_guess_at_is_refused_with_what_to_write() {
    for (url, told) in REFUSED {
        let faults = faults_of(url);

        assert!(faults.len() == 1 && faults[0].starts_with(told), "{url}: {faults:#?}");
    }
}

#[test]
fn all_faults_of_a_url_are_told_at_once() {
    let faults = faults_of("postgres://db:x/t?connect_timeout=5&sslmode=no&user=");

    let starts: Vec<_> = faults.iter().map(|fault| fault.split([',', ':']).next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "has the parameter connect_timeout",
            "has a port that is no such number",
            "has an empty user",
            "has an sslmode that there is not"
        ]
    );
}

#[test]
fn a_fault_of_a_url_in_a_file_names_key_and_file_and_nothing_of_the_url() {
    let scratch = Scratch::new("url-file");
    let file = scratch.private_file("url", "postgres://u:hunter2?hunter3@hunter4/t?hunter5=hunter6\n");
    let layered = super::layered(LEAST, &[("TENANTD_DATABASE__URL_FILE", file.to_str().unwrap())]);

    let told = layered.database().unwrap_err().to_string();

    let start = format!(
        "database.url_file (environment variable TENANTD_DATABASE__URL_FILE) names {}, which has an @ behind",
        file.display()
    );
    assert!(told.starts_with(&start) && !told.contains("hunter"), "{told}");
}

#[test]
fn a_line_to_another_machine_that_nobody_protects_is_warned_about() {
    for (url, told) in [
        (
            "postgres://db/t",
            "database.url leaves out sslmode, so that TLS is used only if whoever answers offers it: write sslmode=verify-full",
        ),
        (
            "postgres://10.0.0.1/t?sslmode=disable",
            "database.url says sslmode=disable: everything crosses the network in the clear: write sslmode=verify-full",
        ),
        (
            "postgres://db/t?sslmode=allow",
            "database.url says sslmode=allow, which never uses TLS here: write sslmode=verify-full",
        ),
        (
            "postgres://db/t?sslmode=prefer",
            "database.url says sslmode=prefer, so that TLS is used only if whoever answers offers it: write sslmode=verify-full",
        ),
        (
            "postgres://db/t?ssl-mode=require",
            "database.url says sslmode=require, which takes any certificate from whoever answers: write sslmode=verify-full",
        ),
        (
            "postgres:///t?hostaddr=10.0.0.1",
            "database.url leaves out sslmode, so that TLS is used only if whoever answers offers it: write sslmode=verify-full",
        ),
    ] {
        assert_eq!(warnings_of(url), [told], "{url}");
    }
    for url in [
        "postgres://db/t?sslmode=verify-full",
        "postgres://db/t?sslmode=verify-ca",
        "postgres://localhost/t",
        "postgres://db.localhost/t",
        "postgres://127.0.0.2/t?sslmode=disable",
        "postgres://[::1]/t",
        "postgres://[::ffff:127.0.0.1]/t",
        "postgres:///t?host=/run/pg",
        "postgres://db/t?host=/run/pg&sslmode=prefer",
        "postgres://%2Frun%2Fpg/t",
    ] {
        assert_eq!(warnings_of(url), [""; 0], "{url}");
    }
}

#[test]
fn a_variable_that_the_driver_would_follow_is_refused_and_one_that_is_overridden_is_told() {
    let all = [
        ("PGUSER", "x"),
        ("PGOPTIONS", ""),
        ("PGSSLCERT", "x"),
        ("PGSSLKEY", "x"),
        ("PGPASSWORD", "hunter2"),
        ("PGDATABASE", "x"),
        ("PGPORT", "x"),
        ("PGHOST", "x"),
        ("PGSSLMODE", "disable"),
        ("PGSSLROOTCERT", "x"),
    ];
    let named = |text: String| {
        let mut words: Vec<_> = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.starts_with("PG"))
            .map(str::to_owned)
            .collect();
        words.dedup();
        words
    };
    let refused = |url: &str| named(with_url_and(url, &all).database().map(drop).unwrap_err().to_string());
    let warned = |url: &str, variables: &[(&str, &str)]| {
        let warnings = with_url_and(url, variables).warnings();
        named(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };

    assert_eq!(refused("postgres://db"), ["PGUSER", "PGOPTIONS", "PGSSLCERT", "PGSSLKEY"]);
    assert_eq!(refused("postgres://u@db"), ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"]);
    assert_eq!(refused("postgres://u@localhost/t?host=/run/pg"), ["PGOPTIONS"], "a socket has no TLS");
    let left = &all[4..];
    assert_eq!(warned("postgres://u@localhost", left), ["PGPASSWORD", "PGPORT", "PGDATABASE", "PGSSLMODE"]);
    assert_eq!(warned("postgres://u:p@localhost:1/t?sslmode=verify-full", left), ["PGSSLROOTCERT"]);
    assert_eq!(warned("postgres://u:p@localhost:1/t?sslmode=require", left), [""; 0]);
}

proptest! {
    /// Whatever a password holds unescaped, and wherever a URL breaks because of it.
    #[test]
    fn no_word_of_a_password_is_ever_told(
        words in prop::collection::vec("zq[a-z]{6}", 1..5),
        separators in prop::collection::vec("[?#@/:&%+=,\\[\\] \t\u{feff}.0-9]{1,3}", 4),
        template in prop::sample::select(vec![
            "postgres://u:PASSWORD@db:5432/t?sslmode=require",
            "postgres://PASSWORD@db/t",
            "postgres://u:p@PASSWORD/t",
            "postgres://u@db/t?password=PASSWORD",
            "postgres://u@db/t?PASSWORD",
            "postgres://u@db:PASSWORD",
            "PASSWORD",
        ]),
    ) {
        let password = words.iter().zip(&separators).flat_map(|(word, it)| [&**word, &**it]).collect::<String>();
        let url = template.replace("PASSWORD", &password);

        let layered = with_url(&url);
        let told = format!("{:?} {:?} {:?}", layered.settings().map(drop), layered.warnings(), layered.rows());
        let proxied = super::layered(LEAST, &[("TENANTD_QLIK__PROXY", &url.replace("postgres", "http"))]);
        let proxy_told = format!("{:?} {:?}", proxied.settings().map(drop), proxied.rows());

        for word in &words {
            prop_assert!(!told.contains(word), "{url}: {told}");
            prop_assert!(!proxy_told.contains(word), "{url}: {proxy_told}");
        }
    }
}
