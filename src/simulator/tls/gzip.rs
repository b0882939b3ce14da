//! A gzip bomb (RFC 1951, RFC 1952): little to send, much to unpack.
//!
//! One block of fixed Huffman codes: a space, then "the last byte 258 times
//! more" again and again. Thirteen bits stand for 258 bytes. The checksum at the
//! end is left wrong: whoever gets so far has unpacked it all.

/// How much it unpacks to, in bytes: 64 MiB and a little.
const UNPACKED: usize = 64 << 20;
/// Longest match of deflate, in bytes.
const MATCH: usize = 258;

pub(super) fn bomb() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0b1, 1); // the last block
    bits.push(0b01, 2); // of fixed codes
    bits.push_code(0x30 + u32::from(b' '), 8);
    for _ in 0..UNPACKED.div_ceil(MATCH) {
        bits.push_code(0b1100_0101, 8); // length 258
        bits.push_code(0, 5); // distance 1
    }
    bits.push_code(0, 7); // end of block
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    stream.extend(bits.bytes);
    stream.extend([0; 8]);
    stream
}

/// Bits packed from the least significant of each byte on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            self.push_bit(value >> bit & 1 == 1);
        }
    }

    /// Huffman codes are packed from their most significant bit on.
    fn push_code(&mut self, code: u32, count: u32) {
        for bit in (0..count).rev() {
            self.push_bit(code >> bit & 1 == 1);
        }
    }

    fn push_bit(&mut self, bit: bool) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (self.used % 8);
        }
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small_and_starts_as_gzip() {
        let bomb = bomb();

        assert!(bomb.len() * 100 < UNPACKED, "{}", bomb.len());
        // One literal space, then matches, as `zlib` writes them too.
        assert_eq!(&bomb[..12], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 0x53, 0x18]);
    }
}
