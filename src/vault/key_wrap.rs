//! How the content key of a JWE travels: wrapped by a key of the ring.
//!
//! `oct`: AES Key Wrap with the key itself (RFC 7518, section 4.4). P-256: the
//! same, with a key agreed between a one-time key and ours (section 4.6).

use aes_kw::{KeyInit as _, KwAes256};
use p256::{PublicKey, SecretKey};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::concat_kdf;
use super::key::{Key, KeyKind, Material};
use super::open_error::OpenError;
use super::random::{self, UnusableRandomness};
use crate::ports::Entropy;

/// The key that encrypts one secret and nothing else.
pub(super) type ContentKey = Zeroizing<[u8; 32]>;

/// A wrapped content key: 32 bytes and 8 of integrity check (RFC 3394).
pub(super) type WrappedKey = [u8; 40];

/// Wraps a content key, and gives the one-time public key where there is one.
pub(super) fn wrap(
    key: &Key,
    content_key: &ContentKey,
    entropy: &dyn Entropy,
) -> Result<(WrappedKey, Option<PublicKey>), UnusableRandomness> {
    match key.material() {
        Material::Symmetric(secret) => Ok((wrap_with(secret.expose_secret(), content_key), None)),
        Material::Pair { public, .. } | Material::PublicOnly(public) => {
            let ephemeral = random::private_key(entropy)?;
            let wrapped = wrap_with(&agree(&ephemeral, public), content_key);
            Ok((wrapped, Some(ephemeral.public_key())))
        }
    }
}

pub(super) fn unwrap(
    key: &Key,
    wrapped: &WrappedKey,
    epk: Option<&PublicKey>,
) -> Result<ContentKey, OpenError> {
    let content_key = match key.material() {
        Material::Symmetric(secret) => unwrap_with(secret.expose_secret(), wrapped),
        Material::Pair { private, .. } => {
            let epk = epk.ok_or(OpenError::Malformed("its header has no `epk`"))?;
            unwrap_with(&agree(private, epk), wrapped)
        }
        Material::PublicOnly(_) => return Err(OpenError::SealOnly { kid: key.id().clone() }),
    };
    content_key.ok_or_else(|| OpenError::Refused { kid: key.id().clone() })
}

/// The key both sides can compute (RFC 7518, section 4.6.2). We name no parties.
fn agree(private: &SecretKey, public: &PublicKey) -> Zeroizing<[u8; 32]> {
    let shared = private.diffie_hellman(public);
    concat_kdf::derive(shared.raw_secret_bytes(), KeyKind::P256.algorithm(), &[], &[])
}

fn wrap_with(wrapping_key: &[u8; 32], content_key: &ContentKey) -> WrappedKey {
    let mut wrapped = [0; 40];
    // Cannot fail: the lengths are right by their types.
    KwAes256::new(wrapping_key.into())
        .wrap_key(content_key.as_slice(), &mut wrapped)
        .expect("32 bytes wrap into 40");
    wrapped
}

fn unwrap_with(wrapping_key: &[u8; 32], wrapped: &WrappedKey) -> Option<ContentKey> {
    let mut content_key = Zeroizing::new([0; 32]);
    KwAes256::new(wrapping_key.into()).unwrap_key(wrapped, content_key.as_mut_slice()).ok()?;
    Some(content_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    /// RFC 3394, section 4.6: 256 bits of key data with a 256-bit key.
    #[test]
    fn the_wrap_of_rfc_3394_section_4_6_comes_out_and_goes_back() {
        let wrapping_key = from_hex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
        let data = from_hex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
        let expected =
            from_hex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21");

        let wrapped = wrap_with(&wrapping_key, &Zeroizing::new(data));
        let unwrapped = unwrap_with(&wrapping_key, &wrapped);

        assert_eq!(wrapped, expected);
        assert_eq!(unwrapped.as_deref(), Some(&data));
    }

    #[test]
    fn a_wrapped_key_with_any_bit_flipped_does_not_unwrap() {
        let wrapping_key = [7; 32];
        let wrapped = wrap_with(&wrapping_key, &Zeroizing::new([9; 32]));

        for bit in 0..320 {
            let mut changed = wrapped;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(unwrap_with(&wrapping_key, &changed).is_none(), "bit {bit}");
        }
    }
}
