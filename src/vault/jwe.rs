//! The compact serialisation of JWE (RFC 7516, sections 3.1, 5.1 and 5.2).
//!
//! The rule: the header is authenticated with the content, and buffers that hold
//! plaintext are encrypted in place and wiped on drop.

use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _};
use zeroize::Zeroizing;

use super::base64url;
use super::header::{self, Header};
use super::key::Key;
use super::key_wrap::{self, ContentKey, WrappedKey};
use super::open_error::OpenError;
use super::random::{self, UnusableRandomness};
use crate::domain::ids::KeyId;
use crate::ports::Entropy;

/// A compact JWE, taken apart but not yet trusted.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// The header as it stands in the text: what the tag authenticates.
    protected: &'a str,
    header: Header,
    wrapped_key: WrappedKey,
    iv: [u8; 12],
    ciphertext: Zeroizing<Vec<u8>>,
    tag: [u8; 16],
}

/// Encrypts `plaintext` under a fresh content key and wraps that with `key`.
pub(super) fn encrypt(
    key: &Key,
    mut plaintext: Zeroizing<Vec<u8>>,
    entropy: &dyn Entropy,
) -> Result<String, UnusableRandomness> {
    let content_key: ContentKey = random::bytes(entropy);
    let iv = random::bytes::<12>(entropy);
    let (wrapped_key, epk) = key_wrap::wrap(key, &content_key, entropy)?;
    let protected = base64url::encode(header::write(key, epk.as_ref()).as_bytes());
    let tag = Aes256Gcm::new((&*content_key).into())
        .encrypt_inout_detached((&*iv).into(), protected.as_bytes(), plaintext.as_mut_slice().into())
        // Cannot fail: AES-GCM takes up to 64 GiB, and this is a few hundred bytes.
        .expect("a secret is shorter than 64 GiB");
    let [wrapped_key, iv, ciphertext, tag] =
        [&wrapped_key, iv.as_slice(), &plaintext, &tag].map(base64url::encode);
    Ok([protected, wrapped_key, iv, ciphertext, tag].join("."))
}

impl<'a> Parts<'a> {
    /// Takes a compact JWE apart.
    pub(super) fn parse(compact: &'a str) -> Result<Self, OpenError> {
        let parts: Vec<&str> = compact.split('.').collect();
        let &[protected, wrapped_key, iv, ciphertext, tag] = parts.as_slice() else {
            return Err(OpenError::Malformed("it has not five parts joined by dots"));
        };
        let header =
            base64url::decode(protected).ok_or(OpenError::Malformed("its header is not base64url"))?;
        Ok(Self {
            protected,
            header: Header::parse(&header)?,
            wrapped_key: fixed(wrapped_key, "its encrypted key is not 40 bytes of base64url")?,
            iv: fixed(iv, "its initialization vector is not 12 bytes of base64url")?,
            ciphertext: base64url::decode(ciphertext)
                .ok_or(OpenError::Malformed("its ciphertext is not base64url"))?,
            tag: fixed(tag, "its authentication tag is not 16 bytes of base64url")?,
        })
    }

    pub(super) fn kid(&self) -> &KeyId {
        self.header.kid()
    }

    /// Decrypts and authenticates it with the key it names.
    pub(super) fn decrypt(self, key: &Key) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.header.must_suit(key)?;
        let content_key = key_wrap::unwrap(key, &self.wrapped_key, self.header.epk())?;
        let mut buffer = self.ciphertext;
        Aes256Gcm::new((&*content_key).into())
            .decrypt_inout_detached(
                (&self.iv).into(),
                self.protected.as_bytes(),
                buffer.as_mut_slice().into(),
                (&self.tag).into(),
            )
            .map_err(|_| OpenError::Refused { kid: key.id().clone() })?;
        Ok(buffer)
    }
}

fn fixed<const N: usize>(part: &str, otherwise: &'static str) -> Result<[u8; N], OpenError> {
    base64url::decode_array(part).map(|array| *array).ok_or(OpenError::Malformed(otherwise))
}
