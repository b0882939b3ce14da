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
         database.pasword = \"mistyped\"\nhttp.token_file = {token:?}\nvault.keyring_file = {keys:?}\n\
         traces.headers = \"api-key=0123-collected,authorization=Bearer%20collected-0123\"\n\
         [[regions]]\nname = \"us-region\"\nhosts = [\"*.us.qlikcloud.com\"]\nclient_secret = \"regional\"\n"
    );

    let told = told(&toml, &[("TENANTD_QLIK__PROXY", "http://me:proxied-word@proxy:3128")]);

    for secret in [
        "p%40ssword",
        "p@ssword",
        "mistyped",
        "looks-0123456789abcdef",
        "bWF0ZXJpYWw",
        "collected-0123",
        "0123-collected",
        "regional",
        "proxied-word",
    ] {
        assert!(told.iter().any(|text| text == secret), "{secret}: {told:?}");
    }
    for harmless in ["db.example", "tenantd", "the-first-key", "us-region", "A256KW", "*.us.qlikcloud.com"] {
        assert!(!told.iter().any(|text| text == harmless), "{harmless}: {told:?}");
    }
}

#[test]
fn of_a_url_that_breaks_every_part_is_a_secret() {
    let told = told("database.url = \"postgres://tenantd:12?s3ntinel=x@localhost/a\"\n", &[]);

    assert!(told.iter().any(|text| text == "s3ntinel"), "{told:?}");
}
