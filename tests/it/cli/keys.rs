//! Keyrings are made so that only their owner can read them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tenantd::vault::Keyring;

use super::support::Scratch;

#[tokio::test]
async fn a_keyring_file_is_for_its_owner_alone_and_never_overwritten() {
    let scratch = Scratch::new();
    let path = scratch.keyring("keyring.json", "oct").await;
    let before = fs::read(&path).unwrap();

    let again = scratch.tenantd(&["keys", "generate", "--out", "keyring.json"]).await;

    again.assert_refused(2, &["keyring.json is there already"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!Keyring::load(&path).unwrap().is_seal_only());
}

#[tokio::test]
async fn a_printed_keyring_is_the_whole_output_and_the_advice_is_beside_it() {
    let scratch = Scratch::new();

    let ran = scratch.tenantd(&["keys", "generate"]).await;

    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(Keyring::parse(ran.stdout.as_bytes()).is_ok());
    assert!(ran.stderr.contains("chmod 0600"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_public_half_of_a_pair_only_seals_and_a_symmetric_key_has_none() {
    let scratch = Scratch::new();
    scratch.keyring("pair.json", "p256").await;
    scratch.keyring("secret.json", "oct").await;

    let public = scratch.tenantd(&["keys", "public", "pair.json"]).await;
    let written = scratch.tenantd(&["keys", "public", "pair.json", "--out", "public.json"]).await;
    let none = scratch.tenantd(&["keys", "public", "secret.json"]).await;

    assert!(Keyring::parse(public.stdout.as_bytes()).unwrap().is_seal_only());
    assert!(Keyring::load(&scratch.path("public.json")).unwrap().is_seal_only(), "{written:?}");
    none.assert_refused(2, &["is symmetric"]);
}

#[tokio::test]
async fn keys_are_listed_without_their_material() {
    let scratch = Scratch::new();
    let path = scratch.keyring("keyring.json", "oct").await;
    let set: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let key = &set["keys"][0];

    let json = scratch.tenantd(&["keys", "list", "--keyring", "keyring.json", "--output", "json"]).await;
    let table = scratch.tenantd(&["keys", "list", "--keyring", "keyring.json"]).await;

    let expected = serde_json::json!([
        {"kid": key["kid"], "kty": "oct", "alg": "A256KW", "opens": true, "seals": true, "in_keyring": true, "secrets": null}
    ]);
    assert_eq!(json.json(), expected);
    assert!(table.stdout.starts_with("KID ") && !table.stdout.contains(key["k"].as_str().unwrap()));
}
