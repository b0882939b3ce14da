//! Chance that can be replayed: splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
//!
//! The rule: every draw comes from the world's seed. What must not depend on the
//! order in which concurrent requests arrive is drawn by name ([`Rng::named`]).

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A small seeded generator. Not for anything that must be secret.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for one thing: the same seed and name always draw
    /// the same, whatever was drawn before (FNV-1a over the name).
    pub(super) fn named(seed: u64, name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed ^ hash)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, 1.
    pub(super) fn share(&mut self) -> f64 {
        // The upper half only: every u32 is exact in an f64.
        let upper = u32::try_from(self.bits() >> 32).unwrap_or(u32::MAX);
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }

    /// An index below `len`, which must not be 0.
    pub(super) fn below(&mut self, len: usize) -> usize {
        usize::try_from(self.bits() % (len as u64)).unwrap_or(0)
    }

    /// `digits` lower-case hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            for byte in self.bits().to_be_bytes() {
                text.push(char::from(DIGITS[usize::from(byte >> 4)]));
                text.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
        text.truncate(digits);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let (mut one, mut two, mut other) = (Rng::new(7), Rng::new(7), Rng::new(8));

        let draws = (one.hex(40), two.hex(40), other.hex(40));

        assert_eq!(draws.0, draws.1);
        assert_ne!(draws.0, draws.2);
        assert_eq!(draws.0.len(), 40);
    }

    #[test]
    fn shares_fill_the_unit_interval() {
        let mut rng = Rng::named(1, "share");

        let shares: Vec<f64> = (0..1000).map(|_| rng.share()).collect();

        assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
        assert!(shares.iter().any(|share| *share < 0.05) && shares.iter().any(|share| *share > 0.95));
    }
}
