//! What the vault promises as a whole. Each file's own promises stand in it.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::*;
use crate::domain::host::Host;
use crate::domain::ids::{ClientId, TenantId};

const SECRET: &str = "a secret with \"quotes\", \n and ünïcödé";
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bits that look random, never repeat, and are the same in every run.
pub(super) struct TestEntropy {
    seed: u64,
    drawn: AtomicU64,
}

impl TestEntropy {
    pub(super) fn seeded(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Entropy for TestEntropy {
    fn bits(&self) -> u128 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let digest = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(drawn.to_be_bytes());
        u128::from_be_bytes(digest.finalize()[..16].try_into().unwrap())
    }
}

/// A row's identity, owned.
#[derive(Clone)]
struct Row {
    tenant: TenantId,
    host: Host,
    client: ClientId,
}

impl Row {
    fn numbered(number: u128) -> Self {
        Self {
            tenant: TenantId(Uuid::from_u128(number)),
            host: Host::parse(&format!("acme{number}.us.qlikcloud.com")).unwrap(),
            client: ClientId::new(format!("client-{number}")),
        }
    }

    fn sealed_for(&self) -> SealedFor<'_> {
        SealedFor { tenant_id: self.tenant, host: &self.host, client_id: &self.client }
    }
}

fn given_key_set(kind: KeyKind, seed: u64) -> serde_json::Value {
    let text = generate_key_set(kind, &TestEntropy::seeded(seed)).unwrap();
    serde_json::from_str(text.expose_to_keys_generate()).unwrap()
}

fn given_vault(kind: KeyKind, seed: u64) -> Vault {
    Vault::new(Keyring::parse(given_key_set(kind, seed).to_string().as_bytes()).unwrap())
}

fn seal(vault: &Vault, row: &Row) -> Sealed {
    vault.seal(&row.sealed_for(), &ClientSecret::new(SECRET.into()), &TestEntropy::seeded(99)).unwrap()
}

fn open(vault: &Vault, compact: &str, row: &Row) -> Result<String, OpenError> {
    vault.open(compact, &row.sealed_for()).map(|secret| secret.expose_to_vault().to_owned())
}

#[test]
fn what_is_sealed_opens_in_its_row_with_either_kind_of_key() {
    let row = Row::numbered(1);
    for kind in [KeyKind::Symmetric, KeyKind::P256] {
        let vault = given_vault(kind, 1);

        let sealed = seal(&vault, &row);

        assert_eq!(open(&vault, sealed.as_str(), &row).as_deref(), Ok(SECRET));
        assert!(!vault.is_seal_only());
    }
}

#[test]
fn the_header_says_no_more_than_a_strict_reader_takes() {
    for (kind, members) in
        [(KeyKind::Symmetric, vec!["alg", "enc", "kid"]), (KeyKind::P256, vec!["alg", "enc", "epk", "kid"])]
    {
        let sealed = seal(&given_vault(kind, 1), &Row::numbered(1));

        let header = base64url::decode(sealed.as_str().split('.').next().unwrap()).unwrap();
        let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&header).unwrap();

        assert_eq!(header.keys().collect::<Vec<_>>(), members);
        assert_eq!(header["kid"], sealed.kid().as_str());
        assert_eq!(header["alg"], kind.algorithm());
    }
}

#[test]
fn the_same_secret_never_seals_to_the_same_text() {
    let vault = given_vault(KeyKind::Symmetric, 1);
    let (row, secret, entropy) =
        (Row::numbered(1), ClientSecret::new(SECRET.into()), TestEntropy::seeded(99));

    let [first, second] = [(); 2].map(|()| vault.seal(&row.sealed_for(), &secret, &entropy).unwrap());

    for (one, other) in first.as_str().split('.').zip(second.as_str().split('.')).skip(1) {
        assert_ne!(one, other);
    }
}

#[test]
fn after_a_key_rotation_the_first_key_seals_and_the_old_one_still_opens() {
    let row = Row::numbered(1);
    let (old, new) = (given_key_set(KeyKind::Symmetric, 1), given_key_set(KeyKind::P256, 2));
    let before = Vault::new(Keyring::parse(old.to_string().as_bytes()).unwrap());
    let both = serde_json::json!({ "keys": [new["keys"][0], old["keys"][0]] });
    let after = Vault::new(Keyring::parse(both.to_string().as_bytes()).unwrap());

    let sealed_before = seal(&before, &row);
    let sealed_after = seal(&after, &row);

    assert_eq!(sealed_after.kid().as_str(), new["keys"][0]["kid"]);
    assert_eq!(open(&after, sealed_before.as_str(), &row).as_deref(), Ok(SECRET));
    assert_eq!(open(&after, sealed_after.as_str(), &row).as_deref(), Ok(SECRET));
    assert_eq!(
        open(&before, sealed_after.as_str(), &row),
        Err(OpenError::UnknownKey { kid: sealed_after.kid().clone() })
    );
}

#[test]
fn what_is_sealed_anew_opens_with_the_first_key_alone_and_says_the_same() {
    let row = Row::numbered(1);
    for (before, after) in [(KeyKind::Symmetric, KeyKind::P256), (KeyKind::P256, KeyKind::Symmetric)] {
        let (old, new) = (given_key_set(before, 1), given_key_set(after, 2));
        let both = serde_json::json!({ "keys": [new["keys"][0], old["keys"][0]] });
        let vault = Vault::new(Keyring::parse(both.to_string().as_bytes()).unwrap());
        let sealed = seal(&given_vault(before, 1), &row);

        let anew = vault.seal_anew(sealed.as_str(), &row.sealed_for(), &TestEntropy::seeded(5)).unwrap();

        assert_eq!(open(&given_vault(after, 2), anew.as_str(), &row).as_deref(), Ok(SECRET));
        assert_eq!(anew.kid(), given_vault(after, 2).keyring().sealing_key().id());
    }
}

#[test]
fn what_does_not_open_is_not_sealed_anew() {
    let (row, other) = (Row::numbered(1), Row::numbered(2));
    let vault = given_vault(KeyKind::Symmetric, 1);
    let sealed = seal(&vault, &row);
    let anew = |vault: &Vault, row: &Row| {
        vault.seal_anew(sealed.as_str(), &row.sealed_for(), &TestEntropy::seeded(5)).unwrap_err().to_string()
    };

    assert_eq!(anew(&vault, &other), OpenError::WrongRow { field: "tenant_id" }.to_string());
    let stranger = given_vault(KeyKind::Symmetric, 2);
    assert_eq!(anew(&stranger, &row), OpenError::UnknownKey { kid: sealed.kid().clone() }.to_string());
}

#[test]
fn a_vault_with_only_the_public_half_seals_and_does_not_open() {
    let row = Row::numbered(1);
    let owner = given_vault(KeyKind::P256, 1);
    let daemon = Vault::new(Keyring::parse(owner.keyring().public_key_set().unwrap().as_bytes()).unwrap());

    let sealed = seal(&daemon, &row);

    assert!(daemon.is_seal_only());
    assert_eq!(open(&daemon, sealed.as_str(), &row), Err(OpenError::SealOnly { kid: sealed.kid().clone() }));
    assert_eq!(open(&owner, sealed.as_str(), &row).as_deref(), Ok(SECRET));
}

#[test]
fn a_sealed_secret_that_was_moved_to_another_row_does_not_open() {
    let (row, other) = (Row::numbered(1), Row::numbered(2));
    let vault = given_vault(KeyKind::Symmetric, 1);
    let sealed = seal(&vault, &row);

    for (field, moved) in [
        ("tenant_id", Row { tenant: other.tenant, ..row.clone() }),
        ("host", Row { host: other.host.clone(), ..row.clone() }),
        ("client_id", Row { client: other.client.clone(), ..row.clone() }),
    ] {
        assert_eq!(open(&vault, sealed.as_str(), &moved), Err(OpenError::WrongRow { field }));
    }
}

#[test]
fn a_text_with_any_character_changed_does_not_open() {
    let row = Row::numbered(1);
    let vault = given_vault(KeyKind::Symmetric, 1);
    let sealed = seal(&vault, &row).as_str().to_owned();

    for at in 0..sealed.len() {
        let old = &sealed[at..=at];
        // The neighbour in the alphabet differs in the lowest bit, the hardest to miss.
        let place = ALPHABET.find(old).unwrap_or(0) ^ 1;
        for new in [&ALPHABET[place..=place], ".", "="] {
            let changed = format!("{}{new}{}", &sealed[..at], &sealed[at + 1..]);
            assert!(changed == sealed || open(&vault, &changed, &row).is_err(), "{changed}");
        }
    }
}

#[test]
fn each_part_of_a_pair_sealed_text_is_authenticated() {
    let row = Row::numbered(1);
    let vault = given_vault(KeyKind::P256, 1);
    let sealed = seal(&vault, &row);
    let stranger =
        vault.seal(&row.sealed_for(), &ClientSecret::new("other".into()), &TestEntropy::seeded(7)).unwrap();

    for part in 0..5 {
        let mut parts: Vec<&str> = sealed.as_str().split('.').collect();
        parts[part] = stranger.as_str().split('.').nth(part).unwrap();

        let opened = open(&vault, &parts.join("."), &row);

        assert_eq!(opened, Err(OpenError::Refused { kid: sealed.kid().clone() }), "part {part}");
    }
}

#[test]
fn the_key_and_not_the_header_chooses_the_algorithm() {
    let row = Row::numbered(1);
    let vault = given_vault(KeyKind::Symmetric, 1);
    let sealed = seal(&vault, &row);
    let kid = sealed.kid();
    for (alg, enc, expected) in [
        ("dir", "A256GCM", "A256KW"),
        ("ECDH-ES+A256KW", "A256GCM", "A256KW"),
        ("A256KW", "A128CBC-HS256", "A256GCM"),
    ] {
        let header = serde_json::json!({ "alg": alg, "enc": enc, "kid": kid.as_str() }).to_string();
        let (_, rest) = sealed.as_str().split_once('.').unwrap();

        let opened = open(&vault, &format!("{}.{rest}", base64url::encode(header.as_bytes())), &row);

        assert_eq!(opened, Err(OpenError::WrongAlgorithm { kid: kid.clone(), expected }), "{header}");
    }
}

#[test]
fn a_text_that_opens_to_something_else_is_no_secret() {
    let row = Row::numbered(1);
    let vault = given_vault(KeyKind::Symmetric, 1);
    for plaintext in ["", "null", "{}", r#"{"client_secret":"x"}"#] {
        let bytes = zeroize::Zeroizing::new(plaintext.as_bytes().to_vec());
        let compact = jwe::encrypt(vault.keyring().sealing_key(), bytes, &TestEntropy::seeded(3)).unwrap();

        assert_eq!(open(&vault, &compact, &row), Err(OpenError::NotASecret), "{plaintext}");
    }
}

#[test]
fn debug_output_shows_no_key_and_no_secret() {
    for kind in [KeyKind::Symmetric, KeyKind::P256] {
        let set = given_key_set(kind, 1);
        let key = &set["keys"][0];
        let private = key[if kind == KeyKind::Symmetric { "k" } else { "d" }].as_str().unwrap();
        let vault = given_vault(kind, 1);
        let text = generate_key_set(kind, &TestEntropy::seeded(1)).unwrap();
        let opened = vault.open(seal(&vault, &Row::numbered(1)).as_str(), &Row::numbered(1).sealed_for());

        let shown = format!("{vault:?} {text:?} {opened:?}");

        assert!(shown.contains(key["kid"].as_str().unwrap()), "{shown}");
        assert!(!shown.contains(private) && !shown.contains("a secret with"), "{shown}");
        let bytes = base64url::decode(private).unwrap();
        assert!(!shown.contains(&format!("{}, {}", bytes[0], bytes[1])), "{shown}");
    }
}

proptest! {
    #[test]
    fn opening_never_panics_whatever_the_text(text in ".{0,200}|[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){4}") {
        let opened = open(&given_vault(KeyKind::Symmetric, 1), &text, &Row::numbered(1));

        prop_assert!(opened.is_err());
    }

    #[test]
    fn opening_never_panics_whatever_the_header_and_the_parts(
        alg in "A256KW|ECDH-ES\\+A256KW|dir|",
        epk in "null|\\{\\}|\\{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"[A-Za-z0-9_-]{43}\",\"y\":\"[A-Za-z0-9_-]{43}\"\\}",
        lengths in prop::array::uniform4(0_usize..50),
        is_pair in any::<bool>(),
    ) {
        let vault = given_vault(if is_pair { KeyKind::P256 } else { KeyKind::Symmetric }, 1);
        let kid = vault.keyring().sealing_key().id().as_str();
        let header = format!(r#"{{"alg":"{alg}","enc":"A256GCM","kid":"{kid}","epk":{epk}}}"#);
        let parts = lengths.map(|length| base64url::encode(&vec![1; length]));

        let opened = open(
            &vault,
            &format!("{}.{}", base64url::encode(header.as_bytes()), parts.join(".")),
            &Row::numbered(1),
        );

        prop_assert!(opened.is_err());
    }
}
