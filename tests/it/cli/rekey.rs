//! `tenantd keys rekey` and what `keys list` says of keys that are still needed.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use tenantd::domain::host::Host;
use tenantd::domain::ids::{ClientId, TenantId};
use tenantd::domain::secret::ClientSecret;
use tenantd::system::OsEntropy;
use tenantd::vault::{Keyring, SealedFor, Vault};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::support::Bench;
use crate::support::process::eventually;
use crate::support::roles;

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

/// A tenant with a secret that `old.json` has sealed.
async fn given_sound(bench: &Bench, external_id: &str, old: &str) {
    given_sealed(bench, external_id, &damaged(old), old).await;
    let (tenant, host): (Uuid, String) =
        sqlx::query_as("SELECT tenant_id, host FROM tenantd.tenants WHERE external_id = $1")
            .bind(external_id)
            .fetch_one(&bench.db.pool)
            .await
            .unwrap();
    let (host, client_id) = (Host::parse(&host).unwrap(), ClientId::new("cid"));
    let row = SealedFor { tenant_id: TenantId(tenant), host: &host, client_id: &client_id };
    let vault = Vault::new(Keyring::load(&bench.scratch.path("old.json")).unwrap());
    let sealed = vault.seal(&row, &ClientSecret::new("its secret".to_owned()), &OsEntropy).unwrap();
    bench
        .sql(&format!(
            "UPDATE tenantd.secrets SET sealed = '{}' WHERE tenant_id = '{tenant}'",
            sealed.as_str()
        ))
        .await;
}

/// Somebody who holds the first secret's row.
async fn busy_with_the_first(bench: &Bench) -> Transaction<'static, Postgres> {
    let mut other = bench.db.pool.begin().await.unwrap();
    let first = "SELECT FROM tenantd.secrets ORDER BY secret_id LIMIT 1 FOR UPDATE";
    sqlx::query(first).execute(&mut *other).await.unwrap();
    other
}

/// Waits until one secret is sealed by this key.
async fn one_is_under(bench: &Bench, key: &str) {
    let is_begun = || async {
        let held = sqlx::query_scalar("SELECT count(*) = 1 FROM tenantd.secrets WHERE key_id = $1");
        held.bind(key).fetch_one(&bench.db.pool).await.unwrap()
    };
    eventually("one is sealed anew", Duration::from_secs(30), is_begun).await;
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
    given_sound(&bench, "sound", &old).await;

    let ran = bench.tenantd(&["keys", "rekey", "--keyring", "both.json", "--output", "json"]).await;

    assert_eq!(ran.code, 4, "{ran:?}");
    let said = ran.json();
    assert_eq!(
        (&said["key"], &said["found"], &said["sealed_anew"], &said["left"]),
        (&json!(new), &json!(3), &json!(1), &json!(2))
    );
    let unopened = said["unopened"].as_object().unwrap();
    let of = |word: &str| unopened.iter().find(|(why, _)| why.contains(word)).unwrap().1;
    assert_eq!(of("\"gone-key\"")["tenants"], json!(["gone"]), "{said}");
    assert_eq!(of(&format!("{old:?}")), &json!({ "secrets": 1, "tenants": ["spoilt"] }), "{said}");
    assert!(ran.stderr.contains("add that key to the keyring file"), "{ran:?}");
}

#[tokio::test]
async fn a_key_that_opens_nothing_and_a_key_that_is_gone_are_each_a_case_for_people() {
    let bench = Bench::new().await;
    let (_, old) = given_keys(&bench).await;
    given_sealed(&bench, "spoilt", &damaged(&old), &old).await;

    let spoilt = bench.tenantd(&["keys", "rekey", "--keyring", "both.json"]).await;
    bench.sql("UPDATE tenantd.secrets SET key_id = 'gone-key'").await;
    let gone = bench.tenantd(&["keys", "rekey", "--keyring", "both.json", "--dry-run"]).await;

    assert_eq!((spoilt.code, gone.code), (4, 4), "{spoilt:?} {gone:?}");
    assert!(gone.stderr.contains("0 secrets would be sealed anew"), "{gone:?}");
    for said in [&spoilt.stderr, &gone.stderr] {
        assert!(said.contains("; left under other keys, because no key here opens it: 1 secret"), "{said}");
    }
}

#[tokio::test]
async fn what_was_busy_is_sealed_anew_by_a_later_pass_and_nothing_is_sealed_twice() {
    let bench = Bench::new().await;
    let (new, old) = given_keys(&bench).await;
    for name in ["busy", "second", "third"] {
        given_sound(&bench, name, &old).await;
    }
    let other = busy_with_the_first(&bench).await;
    let words = ["keys", "rekey", "--keyring", "both.json", "--output", "json", "--per-second", "2"];

    let freeing = async {
        one_is_under(&bench, &new).await;
        other.rollback().await.unwrap();
    };
    let (ran, ()) = tokio::join!(bench.tenantd(&words), freeing);
    let again = bench.tenantd(&words).await;

    let of =
        |said: &Value| ["found", "sealed_anew", "passed_by", "left"].map(|name| said[name].as_u64().unwrap());
    assert_eq!((ran.code, of(&ran.json())), (0, [3, 3, 1, 0]), "{ran:?}");
    assert_eq!((again.code, of(&again.json())), (0, [0, 0, 0, 0]), "{again:?}");
}

/// Whoever holds a row for a moment is waited for between two passes.
#[tokio::test]
async fn what_is_busy_for_a_moment_needs_no_second_run() {
    let bench = Bench::new().await;
    let (new, old) = given_keys(&bench).await;
    for name in ["busy", "second"] {
        given_sound(&bench, name, &old).await;
    }
    let mut other = busy_with_the_first(&bench).await;

    let freeing = async {
        one_is_under(&bench, &new).await;
        // Busy for so long: more than all passes take that do not rest.
        sqlx::query("SELECT pg_sleep(1.5)").execute(&mut *other).await.unwrap();
        other.rollback().await.unwrap();
    };
    let (ran, ()) = tokio::join!(bench.tenantd(&["keys", "rekey", "--keyring", "both.json"]), freeing);

    assert_eq!(ran.code, 0, "{ran:?}");
}

#[tokio::test]
async fn who_may_not_is_told_whose_login_it_takes() {
    let bench = Bench::new().await;
    let (_, old) = given_keys(&bench).await;
    given_sound(&bench, "one", &old).await;
    roles::grant(&bench.db.pool).await;
    let separator = if bench.db.url.contains('?') { '&' } else { '?' };

    for role in [roles::DAEMON, roles::PIPELINE] {
        let url = format!("{}{separator}options=-c%20role%3D{role}", bench.db.url);
        let ran = bench.tenantd_on(&url, &["keys", "rekey", "--keyring", "both.json"]).await;

        ran.assert_refused(2, &["permission denied", "needs the login of the schema's owner"]);
        assert!(!ran.stderr.contains("tenantd_daemon"), "{ran:?}");
    }
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

/// One is behind a migration that holds the table, the other takes the connection and says nothing.
#[tokio::test]
async fn keys_are_listed_beside_a_database_that_does_not_answer() {
    let bench = Bench::new().await;
    given_keys(&bench).await;
    let mut other = bench.db.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE tenantd.secrets IN ACCESS EXCLUSIVE MODE").execute(&mut *other).await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("postgres://a@{}/a", silent.local_addr().unwrap());
    let words = ["keys", "list", "--keyring", "both.json"];

    let both = async { tokio::join!(bench.tenantd(&words), bench.tenantd_on(&nobody, &words)) };
    let (locked, unheard) = tokio::time::timeout(Duration::from_mins(1), both).await.expect("they end");

    for (list, said) in [
        (
            locked,
            "the database said: canceling statement due to lock timeout (55P03); others are in the way; try again",
        ),
        (unheard, "the database did not answer: "),
    ] {
        let noted = list.stderr.split("how many secrets each key holds could not be seen: ").nth(1);
        assert!(list.code == 0 && list.stdout.starts_with("KID "), "{list:?}");
        assert!(noted.is_some_and(|noted| noted.starts_with(said)), "{list:?}");
    }
}
