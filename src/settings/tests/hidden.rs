//! What must never be told.

use secrecy::ExposeSecret as _;

use super::{Scratch, layered};

fn told(toml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    layered(toml, variables).secrets().iter().map(|it| it.expose_secret().to_owned()).collect()
}

#[test]
fn secrets_in_place_in_files_in_urls_and_under_mistyped_keys_are_known_and_nothing_else() {
    let scratch = Scratch::new("hidden");
    let token = scratch.private_file("token", "alice looks-0123456789abcdef\n");
    let keys = scratch.private_file(
        "keys",
        r#"{"keys":[{"kty":"oct","kid":"the-first-key","alg":"A256KW","k":"bWF0ZXJpYWw"}]}"#,
    );
    let toml = format!(
        "database.url = \"postgres://tenantd:p%40ssword@db.example/app\"\n\
         database.pasword = \"mistyped\"\ndatabase.pin = 12345678\ndatabase.words = [\"listed-word\"]\n\
         http.token_file = {token:?}\nvault.keyring_file = {keys:?}\n\
         traces.headers = \"api-key=0123-collected,authorization=Bearer%20collected-0123\"\n\
         [[regions]]\nname = \"us-region\"\nhosts = [\"*.us.qlikcloud.com\"]\nclient_secret = \"region\"\n"
    );

    let told = told(&toml, &[("TENANTD_QLIK__PROXY", "http://me:proxied%21word@proxy:3128")]);

    for secret in [
        "p%40ssword",
        "p@ssword",
        "mistyped",
        "12345678",
        "listed-word",
        "looks-0123456789abcdef",
        "bWF0ZXJpYWw",
        "collected-0123",
        "0123-collected",
        "region",
        "proxied%21word",
        "proxied!word",
    ] {
        assert!(told.iter().any(|text| text == secret), "{secret}: {told:?}");
    }
    for harmless in ["db.example", "tenantd", "the-first-key", "us-region", "A256KW", "*.us.qlikcloud.com"] {
        assert!(!told.iter().any(|text| text == harmless), "{harmless}: {told:?}");
    }
}

#[test]
fn a_password_behind_the_question_mark_of_a_url_is_known_and_the_rest_is_harmless() {
    let told = told("database.url = \"postgres://tenantd@db.example/app?password=query%21w\"\n", &[]);

    assert!(told.iter().any(|text| text == "query!w"), "{told:?}");
    assert!(!told.iter().any(|text| text == "db.example"), "{told:?}");
}

#[test]
fn of_a_url_that_breaks_every_part_is_a_secret() {
    let told = told("database.url = \"postgres://tenantd:12?s3ntinel=x@localhost/a\"\n", &[]);

    assert!(told.iter().any(|text| text == "s3ntinel"), "{told:?}");
}

/// What is mistyped may be a secret, but a number, a host or a word of ours would be found everywhere.
#[test]
fn of_a_mistyped_key_is_sought_elsewhere_what_is_told_nowhere() {
    let toml = "budget.removals_per_hr = 100000\ndatabase.poolr = \"transaction\"\n\
        database.pasword = \"mistyped\"\nhttp.listn = \"127.0.0.1:9464\"\nqlik.prox = \"a-b.example.com\"\n\
        http.tokn = \"short1\"\ndatabase.lisen = \"connection\"\n\
        [[regions]]\nname = \"us-region\"\nhost = \"us.qlikcloud.com\"\nhosts = [\"*.us.qlikcloud.com\"]\n\
        client_secrt = \"us-region pass-0123456 us-region-2\"\nclient_secret = \"transaction\"\n";

    let told = told(toml, &[("TENANTD_BUDGET__REMOVALS", "1000000")]);

    let sought =
        ["mistyped", "pass-0123456", "transaction", "us-region pass-0123456 us-region-2", "us-region-2"];
    let mut told: Vec<&str> = told.iter().map(String::as_str).collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told, sought);
}
