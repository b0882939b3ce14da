//! `tenantd keys rekey` and what `keys list` says of keys that are still needed.

use serde_json::{Value, json};

use super::support::Bench;

/// A bench with a keyring `both.json`, whose second key is that of `old.json`.
async fn given_keys(bench: &Bench) -> (String, String) {
    let mut keys = Vec::new();
    for name in ["new.json", "old.json"] {
        let path = bench.scratch.keyring(name, "oct").await;
        let set: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        keys.push(set["keys"][0].clone());
    }
    bench.scratch.file("both.json", &json!({ "keys": keys }).to_string());
    let kid = |place: usize| keys[place]["kid"].as_str().unwrap().to_owned();
    (kid(0), kid(1))
}

/// A tenant with a secret that this key is said to have sealed.
async fn given_sealed(bench: &Bench, external_id: &str, sealed: &str, kid: &str) {
    bench.given_tenant(external_id).await;
    bench
        .sql(&format!(
            "INSERT INTO tenantd.secrets (tenant_id, client_id, sealed, key_id)
             SELECT tenant_id, 'cid', '{sealed}', '{kid}' FROM tenantd.tenants WHERE external_id = '{external_id}'"
        ))
        .await;
}

/// A text whose header names this key, and which it does not open.
fn damaged(kid: &str) -> String {
    use base64::Engine as _;
    let header = json!({ "alg": "A256KW", "enc": "A256GCM", "kid": kid }).to_string();
    let part = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    [part(header.as_bytes()), part(&[0; 40]), part(&[0; 12]), part(&[0; 50]), part(&[0; 16])].join(".")
}

#[tokio::test]
async fn what_no_key_opens_is_told_with_its_key_and_is_a_case_for_people() {
    let bench = Bench::new().await;
    let (new, old) = given_keys(&bench).await;
    given_sealed(&bench, "gone", &damaged("gone-key"), "gone-key").await;
    given_sealed(&bench, "spoilt", &damaged(&old), &old).await;

    let ran = bench.tenantd(&["keys", "rekey", "--keyring", "both.json", "--output", "json"]).await;

    assert_eq!(ran.code, 4, "{ran:?}");
    let said = ran.json();
    assert_eq!(
        (&said["key"], &said["found"], &said["sealed_anew"], &said["left"]),
        (&json!(new), &json!(2), &json!(0), &json!(2))
    );
    let unopened = said["unopened"].as_object().unwrap();
    let of = |word: &str| unopened.iter().find(|(why, _)| why.contains(word)).unwrap().1;
    assert_eq!(of("\"gone-key\"")["tenants"], json!(["gone"]), "{said}");
    assert_eq!(of(&format!("{old:?}"))["tenants"], json!(["spoilt"]), "{said}");
    assert!(ran.stderr.contains("add that key to the keyring file"), "{ran:?}");
}

#[tokio::test]
async fn a_dry_run_says_how_many_each_key_holds_and_changes_nothing() {
    let bench = Bench::new().await;
    let (new, old) = given_keys(&bench).await;
    given_sealed(&bench, "one", &damaged(&old), &old).await;

    let ran = bench.tenantd(&["keys", "rekey", "--keyring", "both.json", "--dry-run"]).await;
    let list = bench.tenantd(&["keys", "list", "--keyring", "both.json", "--output", "json"]).await;

    assert_eq!(ran.code, 3, "{ran:?}");
    let line =
        |kid: &str| ran.stdout.lines().find(|line| line.starts_with(kid)).unwrap().trim_end().to_owned();
    assert!(line(&old).ends_with(" 1") && line(&new).ends_with(" 0"), "{ran:?}");
    assert!(ran.stderr.contains("1 secret would be sealed anew under"), "{ran:?}");
    assert_eq!(list.json()[1]["secrets"], json!(1), "it is as it was: {list:?}");
}

#[tokio::test]
async fn a_keyring_that_only_seals_is_refused_with_the_way_out() {
    let bench = Bench::new().await;
    bench.scratch.keyring("pair.json", "p256").await;
    let public = bench.tenantd(&["keys", "public", "pair.json", "--out", "public.json"]).await;
    assert_eq!(public.code, 0, "{public:?}");

    let ran = bench.tenantd(&["keys", "rekey", "--keyring", "public.json"]).await;

    ran.assert_refused(2, &["this keyring only seals", "--keyring FILE"]);
}

#[tokio::test]
async fn keys_are_listed_with_what_they_hold_and_one_that_is_gone_is_named() {
    let bench = Bench::new().await;
    let (_, old) = given_keys(&bench).await;
    given_sealed(&bench, "one", &damaged(&old), &old).await;
    given_sealed(&bench, "two", &damaged("gone-key"), "gone-key").await;

    let list = bench.tenantd(&["keys", "list", "--keyring", "both.json", "--output", "json"]).await;
    let away =
        bench.tenantd_on("postgres://a@127.0.0.1:1/a", &["keys", "list", "--keyring", "both.json"]).await;

    assert_eq!((list.code, away.code), (0, 0), "{list:?} {away:?}");
    let held: Vec<_> = list.json().as_array().unwrap().iter().map(|key| key["secrets"].clone()).collect();
    assert_eq!(held, [json!(0), json!(1), json!(1)]);
    let gone = &list.json()[2];
    assert_eq!(
        (&gone["kid"], &gone["in_keyring"], &gone["opens"]),
        (&json!("gone-key"), &json!(false), &json!(false))
    );
    assert!(
        list.stderr.contains("key \"gone-key\" is not in this keyring, and holds 1 stored secret"),
        "{list:?}"
    );
    assert!(away.stderr.contains("could not be seen") && away.stdout.contains(&old), "{away:?}");
}
