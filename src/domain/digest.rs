//! A digest of texts.
//!
//! The rule: each has its length before it, so that no other parts say the same.

use sha2::{Digest as _, Sha256};

/// SHA-256 of these parts, of any length.
#[must_use]
pub fn of(parts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let digests = [of(&[]), of(&[""]), of(&["ab"]), of(&["a", "b"]), of(&["b", "a"]), of(&["", "ab"])];
        for (number, digest) in digests.iter().enumerate() {
            assert!(!digests[..number].contains(digest), "{number}");
        }
    }
}
