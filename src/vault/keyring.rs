//! The keys of the vault, as a JWK Set (RFC 7517, section 5).
//!
//! The rule: a ring that was made can be used. All that can be wrong with a
//! file is found when it is read, and named with its remedy.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use super::jwk::Jwk;
use super::key::{Key, KeyKind};
use super::key_file;
use super::keyring_fault::{KeyName, KeyringError, KeyringFault};
use crate::domain::ids::KeyId;
use crate::domain::text::{is_hidden, named};

/// At least one checked key; no two of the same name. `Debug` names them only.
#[derive(Debug)]
pub struct Keyring {
    /// Never empty.
    keys: Vec<Key>,
}

/// What may be shown of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct KeyListing {
    pub kid: KeyId,
    pub kind: KeyKind,
    /// Whether it opens what it sealed.
    pub can_open: bool,
    /// Whether it is the one that seals.
    pub is_sealing: bool,
}

/// A symmetric key has no half that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {:?} is symmetric, so it has no public half; make a pair with `tenantd keys generate --type p256` for a daemon that only seals", kid.as_str())]
#[expect(missing_docs, reason = "each is named after what it holds")]
pub struct NoPublicHalf {
    pub kid: KeyId,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

impl Keyring {
    /// Reads and checks a keyring file of at most 64 KiB that only its owner may
    /// write and only its owner and group may read. (Kubernetes volumes and
    /// systemd credentials are readable by a group.)
    ///
    /// # Errors
    ///
    /// [`KeyringError`], the first thing found wrong.
    pub fn load(path: &Path) -> Result<Self, KeyringError> {
        key_file::read(path)
            .and_then(|json| Self::parse(&json))
            .map_err(|fault| KeyringError { path: path.to_owned(), fault })
    }

    /// Reads and checks the JSON of a key set.
    ///
    /// # Errors
    ///
    /// [`KeyringFault`], the first thing found wrong.
    pub fn parse(json: &[u8]) -> Result<Self, KeyringFault> {
        let set: JwkSet = serde_json::from_slice(json)
            .map_err(|error| unseen(json).unwrap_or_else(|| not_a_key_set(&error)))?;
        let keys =
            (1..).zip(&set.keys).map(|(place, jwk)| check(place, jwk)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(KeyringFault::Empty);
        }
        let mut seen = HashSet::new();
        match keys.iter().find(|key| !seen.insert(key.id())) {
            Some(twin) => Err(KeyringFault::SameKid { kid: twin.id().clone() }),
            None => Ok(Self { keys }),
        }
    }

    /// What may be shown of each key, in the order of the file.
    pub fn list(&self) -> impl Iterator<Item = KeyListing> {
        self.keys.iter().enumerate().map(|(place, key)| KeyListing {
            kid: key.id().clone(),
            kind: key.kind(),
            can_open: key.can_open(),
            is_sealing: place == 0,
        })
    }

    /// Whether the first key has no private half.
    #[must_use]
    pub fn is_seal_only(&self) -> bool {
        !self.sealing_key().can_open()
    }

    /// The first key.
    pub(super) fn sealing_key(&self) -> &Key {
        // Cannot fail: a ring is only made with a key in it.
        self.keys.first().expect("a keyring is never empty")
    }

    pub(super) fn find(&self, kid: &KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id() == kid)
    }

    /// All keys, in the order of the file.
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }
}

fn not_a_key_set(error: &serde_json::Error) -> KeyringFault {
    KeyringFault::NotAKeySet { line: error.line(), column: error.column() }
}

/// Why JSON that looks right is none: an editor's mark at its start, or what came along
/// when it was copied.
fn unseen(json: &[u8]) -> Option<KeyringFault> {
    const UTF_16: [&[u8]; 2] = [&[0xFE, 0xFF], &[0xFF, 0xFE]];

    if UTF_16.iter().any(|mark| json.starts_with(mark)) {
        return Some(KeyringFault::Unseen { character: format!("{} of UTF-16", named('\u{FEFF}')) });
    }
    let is_json_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
    let is_unseen = |c: &char| (is_hidden(*c) || c.is_whitespace()) && !is_json_space(*c);
    let character = std::str::from_utf8(json).ok()?.chars().find(is_unseen)?;
    Some(KeyringFault::Unseen { character: named(character) })
}

fn check(place: usize, jwk: &Jwk) -> Result<Key, KeyringFault> {
    let kid = jwk.kid().map_err(|fault| KeyringFault::Key { key: KeyName::Place(place), fault })?;
    jwk.check(kid.clone()).map_err(|fault| KeyringFault::Key { key: KeyName::Kid(kid), fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn fault(json: &str) -> KeyringFault {
        Keyring::parse(json.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_not_a_key_set_is_refused_without_quoting_it() {
        let lone_key = format!(r#"{{"kty":"oct","kid":"a","k":"{K}"}}"#);
        let misplaced = format!(r#"{{"keys":"{K}"}}"#);
        let repeated = format!(r#"{{"keys":[{{"k":"{K}","k":"{K}"}}]}}"#);
        let number = r#"{"keys":[{"kid":7}]}"#;
        for json in ["", "not json", "[]", "{}", number, &lone_key, &misplaced, &repeated] {
            let fault = fault(json);

            assert!(matches!(fault, KeyringFault::NotAKeySet { .. }), "{json}");
            assert!(!format!("{fault} {fault:?}").contains(K), "{fault:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_named() {
        let set = format!(r#"{{"keys":[{{"kty":"oct","kid":"a","k":"{K}"}}]}}"#);
        for (json, told) in [
            (format!("\u{feff}{set}").into_bytes(), "holds a byte order mark (U+FEFF); save it as UTF-8"),
            (set.replace(':', ":\u{a0}").into_bytes(), "holds a no-break space (U+00A0); "),
            (format!("{set}\0").into_bytes(), "holds a NUL (U+0000); "),
            ([0xFF, 0xFE, b'{', 0].to_vec(), "holds a byte order mark (U+FEFF) of UTF-16; "),
        ] {
            let fault = Keyring::parse(&json).unwrap_err();

            assert!(fault.to_string().starts_with(told), "{fault}");
            assert!(!format!("{fault} {fault:?}").contains(K), "{fault:?}");
        }
        assert!(Keyring::parse(format!("\r\n\t{set} \r\n").as_bytes()).is_ok());
    }

    #[test]
    fn a_set_without_keys_is_refused() {
        assert_eq!(fault(r#"{"keys":[]}"#), KeyringFault::Empty);
    }

    #[test]
    fn two_keys_of_one_name_are_refused() {
        let key = format!(r#"{{"kty":"oct","kid":"a","k":"{K}"}}"#);

        let fault = fault(&format!(r#"{{"keys":[{key},{key}]}}"#));

        assert_eq!(fault, KeyringFault::SameKid { kid: KeyId::new("a") });
    }

    #[test]
    fn a_bad_key_is_named_by_its_kid_or_else_by_its_place() {
        let good = format!(r#"{{"kty":"oct","kid":"a","k":"{K}"}}"#);

        let named = fault(&format!(r#"{{"keys":[{good},{{"kty":"oct","kid":"b","k":"{K}AA"}}]}}"#));
        let placed = fault(&format!(r#"{{"keys":[{good},{{"kty":"oct","k":"{K}"}}]}}"#));

        assert!(named.to_string().starts_with("key \"b\" needs a `k` of exactly 32 bytes"), "{named}");
        assert!(placed.to_string().starts_with("key number 2 has no `kid`"), "{placed}");
        assert!(!format!("{named:?}{placed:?}").contains(K));
    }
}
