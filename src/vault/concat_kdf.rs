//! The key derivation of ECDH-ES (RFC 7518, section 4.6.2): Concat KDF with SHA-256.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Derives `N` bytes (at most 32, one round of the hash) from a shared secret.
///
/// `algorithm` is the `AlgorithmID`, `apu` and `apv` the parties' information, empty
/// where the header has none.
pub(super) fn derive<const N: usize>(
    shared: &[u8],
    algorithm: &str,
    apu: &[u8],
    apv: &[u8],
) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 32, "one round of SHA-256 gives 32 bytes") };
    let mut hash = Sha256::new_with_prefix(1_u32.to_be_bytes());
    hash.update(shared);
    for field in [algorithm.as_bytes(), apu, apv] {
        hash.update(be32(field.len()));
        hash.update(field);
    }
    hash.update(be32(N * 8));
    let digest = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
    let mut key = Zeroizing::new([0; N]);
    key.copy_from_slice(&digest[..N]);
    key
}

fn be32(number: usize) -> [u8; 4] {
    // Cannot fail: the numbers are lengths of an algorithm's name and of a key.
    u32::try_from(number).expect("a length below 2^32").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use p256::SecretKey;

    use super::*;
    use crate::vault::{base64url, point};

    /// The keys and the result are those of RFC 7518, appendix C.
    #[test]
    fn the_derivation_of_rfc_7518_appendix_c_comes_out() {
        let alice = base64url::decode_array::<32>("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo").unwrap();
        let alice = SecretKey::from_slice(&*alice).unwrap();
        let bob = point::from_coordinates(
            "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
            "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
        )
        .unwrap();

        let shared = alice.diffie_hellman(&bob);
        let key = derive::<16>(shared.raw_secret_bytes(), "A128GCM", b"Alice", b"Bob");

        assert_eq!(base64url::encode(&*key), "VqqN6vgjbSBcIijNcacQGg");
    }
}
