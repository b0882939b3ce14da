//! Reads an answer's body: bounded, uncompressed, wiped afterwards.
//!
//! The rule: every body is treated as a secret, because some are. What was
//! copied out of the socket's buffers is wiped when it is dropped; those
//! buffers themselves belong to the HTTP library and are not.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Longest body that is read, in bytes. Qlik's longest answer to us, a page of a
/// hundred clients, is about a tenth of it.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Room for a usual answer without growing.
const USUAL_BYTES: usize = 4096;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It is too long, or in an encoding we did not ask for. It is not read: a
    /// compressed body might inflate without end.
    Unacceptable,
    /// It broke off, or did not come in time.
    BrokenOff,
}

/// Reads the body to its end, each piece of it within `silence`.
///
/// # Errors
///
/// [`BodyFault`]; the connection is then given up.
pub(super) async fn read(
    response: &mut Response,
    silence: Duration,
) -> Result<Zeroizing<Vec<u8>>, BodyFault> {
    if is_encoded(response.headers()) {
        return Err(BodyFault::Unacceptable);
    }
    let announced =
        response.content_length().map_or(USUAL_BYTES, |n| usize::try_from(n).unwrap_or(usize::MAX));
    if announced > MAX_BYTES {
        return Err(BodyFault::Unacceptable);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced));
    loop {
        match timeout(silence, response.chunk()).await {
            Ok(Ok(Some(chunk))) => append(&mut body, &chunk)?,
            Ok(Ok(None)) => return Ok(body),
            Ok(Err(_)) | Err(_) => return Err(BodyFault::BrokenOff),
        }
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Grows by hand, since a vector that grows by itself leaves its old memory
/// behind unwiped.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) -> Result<(), BodyFault> {
    let needed = body.len().saturating_add(chunk.len());
    if needed > MAX_BYTES {
        return Err(BodyFault::Unacceptable);
    }
    if needed > body.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * body.capacity())));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_grows_up_to_the_limit_and_not_a_byte_beyond() {
        let mut body = Zeroizing::new(Vec::new());
        for _ in 0..1024 {
            append(&mut body, &[7; 1024]).unwrap();
        }

        let beyond = append(&mut body, &[7]);

        assert_eq!(beyond, Err(BodyFault::Unacceptable));
        assert_eq!((body.len(), body.iter().all(|byte| *byte == 7)), (MAX_BYTES, true));
    }
}
