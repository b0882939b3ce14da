//! Random bytes and keys, drawn from the [`Entropy`] port.
//!
//! The rule: every random byte of the vault comes from here, and none is used
//! twice. There is no generator in between that would have to be seeded.

use std::fmt;

use p256::SecretKey;
use zeroize::{Zeroize, Zeroizing};

use crate::domain::message::Message;
use crate::ports::Entropy;

/// A source of randomness that gives no usable key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct UnusableRandomness;

impl UnusableRandomness {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn message(self) -> Message {
        Message::new(
            format!("the random source gave no valid P-256 key in {DRAWS} draws, so it is broken"),
            "check the operating system's random device",
        )
    }
}

impl fmt::Display for UnusableRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

/// One draw fails with a chance of about 2⁻³²; eight in a row do not happen.
const DRAWS: usize = 8;

pub(super) fn bytes<const N: usize>(entropy: &dyn Entropy) -> Zeroizing<[u8; N]> {
    let mut array = Zeroizing::new([0; N]);
    for chunk in array.chunks_mut(size_of::<u128>()) {
        let mut bits = entropy.bits().to_be_bytes();
        chunk.copy_from_slice(&bits[..chunk.len()]);
        bits.zeroize();
    }
    array
}

/// A fresh private key: drawn until it lies between 1 and the curve's order, as
/// FIPS 186-5, appendix A.2.2, has it.
pub(super) fn private_key(entropy: &dyn Entropy) -> Result<SecretKey, UnusableRandomness> {
    (0..DRAWS)
        .find_map(|_| SecretKey::from_slice(bytes::<32>(entropy).as_slice()).ok())
        .ok_or(UnusableRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::tests::TestEntropy;

    #[derive(Debug)]
    struct Stuck(u128);

    impl Entropy for Stuck {
        fn bits(&self) -> u128 {
            self.0
        }
    }

    #[test]
    fn every_byte_is_drawn_and_no_draw_is_used_twice() {
        let entropy = TestEntropy::seeded(1);

        let first = bytes::<40>(&entropy);
        let second = bytes::<40>(&entropy);

        let mut windows: Vec<&[u8]> = first.chunks(8).chain(second.chunks(8)).collect();
        windows.sort_unstable();
        windows.dedup();
        assert_eq!(windows.len(), 10, "a run of eight bytes came twice");
    }

    #[test]
    fn a_broken_random_source_is_an_error_and_not_an_endless_loop() {
        for stuck in [Stuck(0), Stuck(u128::MAX)] {
            assert_eq!(private_key(&stuck).err(), Some(UnusableRandomness), "{stuck:?}");
        }
    }
}
