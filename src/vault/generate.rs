//! Fresh key sets for `tenantd keys generate`, and the public half of a set for
//! a daemon that only seals.

use std::fmt;

use p256::PublicKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::base64url;
use super::key::KeyKind;
use super::keyring::{Keyring, NoPublicHalf};
use super::point;
use super::random::{self, UnusableRandomness};
use crate::ports::Entropy;

/// The text of a key set with its secrets. `Debug` shows nothing of it.
pub struct KeySetText(SecretString);

impl KeySetText {
    /// For `tenantd keys generate`, which prints it: JSON that ends in a newline.
    #[must_use]
    pub fn expose_to_keys_generate(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for KeySetText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySetText(..)")
    }
}

/// A key set with one fresh key. Its `kid` is the start of its thumbprint, so
/// that no two keys ever share one.
///
/// # Errors
///
/// [`UnusableRandomness`], which a working operating system never causes.
pub fn generate_key_set(kind: KeyKind, entropy: &dyn Entropy) -> Result<KeySetText, UnusableRandomness> {
    let members = match kind {
        KeyKind::Symmetric => symmetric(entropy),
        KeyKind::P256 => pair(entropy)?,
    };
    let [kty, alg] = [kind.kty(), kind.algorithm()];
    let text =
        format!("{{\"keys\":[{{\"kty\":\"{kty}\",\"use\":\"enc\",\"alg\":\"{alg}\",{}}}]}}\n", *members);
    Ok(KeySetText(text.into()))
}

impl Keyring {
    /// The same keys without their private halves, as a JWK Set that ends in a
    /// newline: the keyring of a daemon that seals and never reads.
    ///
    /// # Errors
    ///
    /// [`NoPublicHalf`] where a key is symmetric.
    pub fn public_key_set(&self) -> Result<String, NoPublicHalf> {
        let keys = self.keys().iter().map(|key| match key.public() {
            Some(public) => Ok(public_jwk(key.id().as_str(), public)),
            None => Err(NoPublicHalf { kid: key.id().clone() }),
        });
        let keys = keys.collect::<Result<Vec<Value>, _>>()?;
        Ok(format!("{}\n", json!({ "keys": keys })))
    }
}

fn public_jwk(kid: &str, public: &PublicKey) -> Value {
    let [x, y] = point::to_coordinates(public);
    let [kty, alg] = [KeyKind::P256.kty(), KeyKind::P256.algorithm()];
    json!({ "kty": kty, "use": "enc", "alg": alg, "kid": kid, "crv": "P-256", "x": x, "y": y })
}

// The members of private keys are written by hand: a JSON value would keep
// copies of them that are not wiped. None of the texts needs escaping.

fn symmetric(entropy: &dyn Entropy) -> Zeroizing<String> {
    let k = Zeroizing::new(base64url::encode(&*random::bytes::<32>(entropy)));
    let kid = kid(&Zeroizing::new(format!(r#"{{"k":"{}","kty":"oct"}}"#, *k)));
    Zeroizing::new(format!(r#""kid":"{kid}","k":"{}""#, *k))
}

fn pair(entropy: &dyn Entropy) -> Result<Zeroizing<String>, UnusableRandomness> {
    let private = random::private_key(entropy)?;
    let [x, y] = point::to_coordinates(&private.public_key());
    let kid = kid(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
    let d = Zeroizing::new(base64url::encode(&Zeroizing::new(private.to_bytes())));
    Ok(Zeroizing::new(format!(r#""kid":"{kid}","crv":"P-256","x":"{x}","y":"{y}","d":"{}""#, *d)))
}

/// The first 64 bits of the thumbprint (RFC 7638) of a key's required members, in
/// hex: it can be typed, and never begins with a hyphen. That of a symmetric
/// key betrays nothing, because the key is 256 random bits (section 7).
fn kid(required_members: &str) -> String {
    let thumbprint = Sha256::digest(required_members);
    let start = thumbprint.iter().take(8).fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte));
    format!("{start:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::tests::TestEntropy;

    fn generate(kind: KeyKind, seed: u64) -> String {
        let text = generate_key_set(kind, &TestEntropy::seeded(seed)).unwrap();
        text.expose_to_keys_generate().to_owned()
    }

    #[test]
    fn a_fresh_key_set_is_a_keyring_that_seals_and_opens() {
        for kind in [KeyKind::Symmetric, KeyKind::P256] {
            let ring = Keyring::parse(generate(kind, 1).as_bytes()).unwrap();

            let keys: Vec<_> = ring.list().collect();

            assert_eq!(keys.len(), 1);
            assert_eq!((keys[0].kind, keys[0].can_open, keys[0].is_sealing), (kind, true, true));
        }
    }

    #[test]
    fn no_two_fresh_keys_share_a_name() {
        for kind in [KeyKind::Symmetric, KeyKind::P256] {
            let kids = [1, 2].map(|seed| {
                let ring = Keyring::parse(generate(kind, seed).as_bytes()).unwrap();
                ring.sealing_key().id().clone()
            });

            assert_ne!(kids[0], kids[1]);
            assert_eq!(kids[0].as_str().len(), 16);
        }
    }

    #[test]
    fn the_public_half_keeps_the_name_and_shows_no_secret() {
        let text = generate(KeyKind::P256, 1);
        let private: Value = serde_json::from_str(&text).unwrap();
        let ring = Keyring::parse(text.as_bytes()).unwrap();

        let public = ring.public_key_set().unwrap();
        let public_ring = Keyring::parse(public.as_bytes()).unwrap();

        assert!(public_ring.is_seal_only());
        assert_eq!(public_ring.sealing_key().id(), ring.sealing_key().id());
        assert!(!public.contains(private["keys"][0]["d"].as_str().unwrap()));
    }

    #[test]
    fn a_symmetric_key_has_no_public_half() {
        let ring = Keyring::parse(generate(KeyKind::Symmetric, 1).as_bytes()).unwrap();

        let refused = ring.public_key_set().unwrap_err();

        assert_eq!(&refused.kid, ring.sealing_key().id());
    }
}
