//! base64url without padding (RFC 7515, section 2), the alphabet of JOSE.
//!
//! The rule: decoding is strict (no padding, no stray bits at the end), so that
//! one value has one spelling. Whatever is decoded may be a key, so every
//! buffer is wiped on drop.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Text as bytes; `None` where it is not strict base64url.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    URL_SAFE_NO_PAD.decode(text).ok().map(Zeroizing::new)
}

/// Text as exactly `N` bytes.
pub(super) fn decode_array<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let bytes = decode(text)?;
    let mut array = Zeroizing::new([0; N]);
    if bytes.len() != N {
        return None;
    }
    array.copy_from_slice(&bytes);
    Some(array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        assert_eq!(decode("-_8").as_deref(), Some(&vec![0xfb, 0xff]));
        for other in ["-_8=", "-_9", "+/8", "-_8 ", "-_8\n", "-"] {
            assert!(decode(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn an_array_must_have_its_exact_length() {
        assert!(decode_array::<2>("-_8").is_some());
        assert!(decode_array::<1>("-_8").is_none());
        assert!(decode_array::<3>("-_8").is_none());
    }
}
