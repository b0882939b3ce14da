//! One key of the ring, and what it may be used for.
//!
//! The rule: the kind of a key decides the algorithm, for sealing and for opening.

use std::fmt;

use p256::{PublicKey, SecretKey};
use secrecy::SecretBox;

use crate::domain::ids::KeyId;

/// The two kinds of keys a ring may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// 32 secret bytes (`kty` `oct`), which seal and open.
    Symmetric,
    /// A key on P-256 (`kty` `EC`): the public half seals, the private half opens.
    P256,
}

impl KeyKind {
    /// The `kty` of such a key (RFC 7518, section 6.1).
    #[must_use]
    pub fn kty(self) -> &'static str {
        match self {
            Self::Symmetric => "oct",
            Self::P256 => "EC",
        }
    }

    /// The one `alg` such a key is used with (RFC 7518, section 4.1).
    #[must_use]
    pub fn algorithm(self) -> &'static str {
        match self {
            Self::Symmetric => "A256KW",
            Self::P256 => "ECDH-ES+A256KW",
        }
    }
}

/// The key itself. Held in boxes, so that moving a key leaves no copy behind.
pub(super) enum Material {
    /// 32 bytes that wrap and unwrap.
    Symmetric(SecretBox<[u8; 32]>),
    /// Both halves.
    Pair { public: PublicKey, private: Box<SecretKey> },
    /// The half that seals.
    PublicOnly(PublicKey),
}

/// A checked key and its name.
pub(super) struct Key {
    id: KeyId,
    material: Material,
}

impl Key {
    pub(super) fn new(id: KeyId, material: Material) -> Self {
        Self { id, material }
    }

    pub(super) fn id(&self) -> &KeyId {
        &self.id
    }

    pub(super) fn material(&self) -> &Material {
        &self.material
    }

    pub(super) fn kind(&self) -> KeyKind {
        match self.material {
            Material::Symmetric(_) => KeyKind::Symmetric,
            Material::Pair { .. } | Material::PublicOnly(_) => KeyKind::P256,
        }
    }

    pub(super) fn can_open(&self) -> bool {
        match self.material {
            Material::Symmetric(_) | Material::Pair { .. } => true,
            Material::PublicOnly(_) => false,
        }
    }

    /// The half that may be shown, where there is one.
    pub(super) fn public(&self) -> Option<&PublicKey> {
        match &self.material {
            Material::Symmetric(_) => None,
            Material::Pair { public, .. } | Material::PublicOnly(public) => Some(public),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("kind", &self.kind()).finish_non_exhaustive()
    }
}
