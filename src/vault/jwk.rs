//! One JSON Web Key (RFC 7517, section 4) becomes one checked [`Key`].
//!
//! The rule: a fault names members and remedies, never a value: a value may be
//! the key itself, pasted into the wrong member.

use std::fmt;

use p256::SecretKey;
use secrecy::SecretBox;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::base64url;
use super::key::{Key, KeyKind, Material};
use super::point::{self, InvalidPoint};
use crate::domain::ids::KeyId;
use crate::domain::message::Message;

/// Longest `kid`, in bytes.
pub(super) const MAX_KID_BYTES: usize = 200;

/// A key as the file writes it. Members that we do not know are passed over, as
/// RFC 7517 demands.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
pub(super) struct Jwk {
    kid: Option<String>,
    kty: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    k: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<String>,
}

/// What is wrong with one key of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are words of the message")]
pub enum KeyFault {
    /// Without a name, no sealed secret could say which key it needs.
    NoKid,
    /// The name could not be shown in one line.
    BadKid,
    /// Neither `oct` nor `EC`.
    UnknownType,
    /// A curve other than P-256.
    UnknownCurve,
    /// A secret key of another length than AES-256 takes.
    WrongLength,
    /// Coordinates that are not 32 bytes each.
    BadCoordinates,
    /// Coordinates of no point on the curve.
    OffCurve,
    /// A private half that is none.
    BadPrivate,
    /// Two halves of different keys.
    OtherPrivate,
    /// A `use` that forbids encryption.
    WrongUse,
    /// An `alg` that forbids what this kind of key is used for.
    WrongAlgorithm { expected: &'static str },
    /// A `key_ops` that forbids what this kind of key is used for.
    WrongOperations { expected: &'static str },
}

impl KeyFault {
    /// What is wrong, as the rest of a sentence that starts with the key, and what to do.
    #[must_use]
    pub fn message(self) -> Message {
        const ANEW: &str = "make a key with `tenantd keys generate`";
        const RESTORE: &str = "restore the key from a backup";
        match self {
            Self::NoKid => Message::new("has no `kid`", "give it one that no other key will ever have"),
            Self::BadKid => Message::new(
                format!("has a `kid` over {MAX_KID_BYTES} bytes or with control characters"),
                "give it a plain, short one",
            ),
            Self::UnknownType => Message::new("needs `kty` \"oct\" or \"EC\"", ANEW),
            Self::UnknownCurve => Message::new("needs `crv` \"P-256\"", ANEW),
            Self::WrongLength => Message::new(
                "needs a `k` of exactly 32 bytes, which is 43 characters of base64url without padding",
                ANEW,
            ),
            Self::BadCoordinates => Message::new(
                "needs `x` and `y` of exactly 32 bytes each, in base64url without padding",
                RESTORE,
            ),
            Self::OffCurve => Message::new("has an `x` and `y` that are no point on P-256", RESTORE),
            Self::BadPrivate => Message::new("has a `d` that is no P-256 private key of 32 bytes", RESTORE),
            Self::OtherPrivate => Message::new("has a `d` that does not belong to its `x` and `y`", RESTORE),
            Self::WrongUse => {
                Message::new("is not for encryption", "set its `use` to \"enc\" or leave it out")
            }
            Self::WrongAlgorithm { expected } => {
                Message::new(format!("is not for {expected}"), "set its `alg` to that or leave it out")
            }
            Self::WrongOperations { expected } => {
                Message::new(format!("has a `key_ops` without {expected}"), "add that or leave it out")
            }
        }
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl Jwk {
    /// The key's name, if it has one that can be shown.
    pub(super) fn kid(&self) -> Result<KeyId, KeyFault> {
        let kid = self.kid.as_deref().filter(|kid| !kid.is_empty()).ok_or(KeyFault::NoKid)?;
        if kid.len() > MAX_KID_BYTES || kid.chars().any(char::is_control) {
            return Err(KeyFault::BadKid);
        }
        Ok(KeyId::new(kid))
    }

    /// The key, with every member checked.
    pub(super) fn check(&self, kid: KeyId) -> Result<Key, KeyFault> {
        let key = Key::new(kid, self.material()?);
        self.must_allow(&key)?;
        Ok(key)
    }

    fn material(&self) -> Result<Material, KeyFault> {
        match self.kty.as_deref() {
            Some("oct") => self.symmetric(),
            Some("EC") => self.curve(),
            _ => Err(KeyFault::UnknownType),
        }
    }

    fn symmetric(&self) -> Result<Material, KeyFault> {
        let k = self.k.as_deref().and_then(base64url::decode_array::<32>).ok_or(KeyFault::WrongLength)?;
        Ok(Material::Symmetric(SecretBox::init_with_mut(|secret: &mut [u8; 32]| secret.copy_from_slice(&*k))))
    }

    fn curve(&self) -> Result<Material, KeyFault> {
        if self.crv.as_deref() != Some("P-256") {
            return Err(KeyFault::UnknownCurve);
        }
        let [x, y] = [&self.x, &self.y].map(|member| member.as_deref().unwrap_or_default());
        let public = point::from_coordinates(x, y).map_err(|fault| match fault {
            InvalidPoint::Unreadable => KeyFault::BadCoordinates,
            InvalidPoint::OffCurve => KeyFault::OffCurve,
        })?;
        let Some(d) = self.d.as_deref() else { return Ok(Material::PublicOnly(public)) };
        let d = base64url::decode_array::<32>(d).ok_or(KeyFault::BadPrivate)?;
        let private = Box::new(SecretKey::from_slice(&*d).map_err(|_| KeyFault::BadPrivate)?);
        if private.public_key() != public {
            return Err(KeyFault::OtherPrivate);
        }
        Ok(Material::Pair { public, private })
    }

    /// Whether `use`, `alg` and `key_ops`, where they stand, allow what we do
    /// (RFC 7517, sections 4.2 to 4.4).
    fn must_allow(&self, key: &Key) -> Result<(), KeyFault> {
        if self.usage.as_deref().is_some_and(|usage| usage != "enc") {
            return Err(KeyFault::WrongUse);
        }
        let expected = key.kind().algorithm();
        if self.alg.as_deref().is_some_and(|alg| alg != expected) {
            return Err(KeyFault::WrongAlgorithm { expected });
        }
        match &self.key_ops {
            Some(operations) => must_list(operations, key),
            None => Ok(()),
        }
    }
}

fn must_list(operations: &[String], key: &Key) -> Result<(), KeyFault> {
    let lists = |wanted: &str| operations.iter().any(|operation| operation == wanted);
    let (allowed, expected) = match key.kind() {
        KeyKind::Symmetric => (lists("wrapKey") && lists("unwrapKey"), "\"wrapKey\" and \"unwrapKey\""),
        // Web Crypto writes an empty list on the public half of a pair.
        KeyKind::P256 => (
            lists("deriveKey") || lists("deriveBits") || (!key.can_open() && operations.is_empty()),
            "\"deriveKey\" or \"deriveBits\"",
        ),
    };
    if allowed { Ok(()) } else { Err(KeyFault::WrongOperations { expected }) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    // The static key of RFC 7518, appendix C.
    const X: &str = "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ";
    const Y: &str = "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck";
    const D: &str = "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw";

    fn oct() -> Value {
        json!({ "kid": "a", "kty": "oct", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" })
    }

    fn pair() -> Value {
        json!({ "kid": "a", "kty": "EC", "crv": "P-256", "x": X, "y": Y, "d": D })
    }

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    fn check(key: Value) -> Result<Key, KeyFault> {
        let jwk: Jwk = serde_json::from_value(key).unwrap();
        jwk.check(jwk.kid()?)
    }

    #[test]
    fn each_kind_of_key_is_told_apart() {
        let public = with(pair(), "d", Value::Null);

        let kinds: Vec<_> = [oct(), pair(), public]
            .into_iter()
            .map(|key| check(key).map(|key| (key.kind(), key.can_open())).unwrap())
            .collect();

        assert_eq!(kinds, [(KeyKind::Symmetric, true), (KeyKind::P256, true), (KeyKind::P256, false)]);
    }

    #[test]
    fn every_fault_of_a_key_has_its_own_name() {
        let mismatch = "0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo";
        let past_order = base64url::encode(&[0xff; 32]);
        for (key, fault) in [
            (with(oct(), "kid", Value::Null), KeyFault::NoKid),
            (with(oct(), "kid", json!("")), KeyFault::NoKid),
            (with(oct(), "kid", json!("a\u{1b}[2J")), KeyFault::BadKid),
            (with(oct(), "kid", json!("a".repeat(201))), KeyFault::BadKid),
            (with(oct(), "kty", Value::Null), KeyFault::UnknownType),
            (with(oct(), "kty", json!("RSA")), KeyFault::UnknownType),
            (with(oct(), "k", Value::Null), KeyFault::WrongLength),
            (with(oct(), "k", json!("AAECAwQFBgcICQoLDA0ODw")), KeyFault::WrongLength),
            (with(oct(), "k", json!("not base64url, but quite 43 characters long")), KeyFault::WrongLength),
            (with(pair(), "crv", json!("P-384")), KeyFault::UnknownCurve),
            (with(pair(), "x", Value::Null), KeyFault::BadCoordinates),
            (with(pair(), "y", json!(X)), KeyFault::OffCurve),
            (with(pair(), "d", json!("AAAA")), KeyFault::BadPrivate),
            (with(pair(), "d", json!(past_order)), KeyFault::BadPrivate),
            (with(pair(), "d", json!(mismatch)), KeyFault::OtherPrivate),
            (with(oct(), "use", json!("sig")), KeyFault::WrongUse),
            (with(oct(), "alg", json!("A128KW")), KeyFault::WrongAlgorithm { expected: "A256KW" }),
            (with(pair(), "alg", json!("ECDH-ES")), KeyFault::WrongAlgorithm { expected: "ECDH-ES+A256KW" }),
        ] {
            assert_eq!(check(key.clone()).err(), Some(fault), "{key}");
        }
    }

    #[test]
    fn key_operations_must_allow_what_the_vault_does() {
        let public = || with(pair(), "d", Value::Null);
        for (key, operations, allowed) in [
            (oct(), json!(["wrapKey", "unwrapKey"]), true),
            (oct(), json!(["wrapKey"]), false),
            (oct(), json!(["encrypt", "decrypt"]), false),
            (pair(), json!(["deriveBits"]), true),
            (pair(), json!([]), false),
            (public(), json!([]), true),
            (public(), json!(["verify"]), false),
        ] {
            assert_eq!(check(with(key, "key_ops", operations.clone())).is_ok(), allowed, "{operations}");
        }
    }
}
