//! A file that a setting names.
//!
//! The rule: what may never end or never answer, as a pipe without a writer or a device, is not even
//! opened. Links are followed: Kubernetes mounts secrets as links.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

/// Most bytes of certificates: all authorities that are publicly trusted fit ten times.
const MOST_OF_CERTIFICATES: u64 = 4 << 20;

/// The certificates in it.
///
/// # Errors
///
/// Where it cannot be read, or no certificates can be so large.
pub fn certificates(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = read(path, MOST_OF_CERTIFICATES)?;
    if bytes.len() as u64 > MOST_OF_CERTIFICATES {
        return Err(io::Error::other(format!("it has more than {MOST_OF_CERTIFICATES} bytes")));
    }
    Ok(std::mem::take(&mut *bytes))
}

/// Its bytes, up to `most` and one more.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_not_opened_and_what_is_too_large_is_not_read_to_its_end() {
        let path = std::env::temp_dir().join(format!("tenantd-plain-{}", std::process::id()));
        File::create(&path).unwrap().set_len(MOST_OF_CERTIFICATES + 1).unwrap();

        let endless = certificates(Path::new("/dev/zero"));
        let large = certificates(&path);
        fs::remove_file(&path).unwrap();

        assert_eq!(endless.unwrap_err().to_string(), "it is not a regular file");
        assert_eq!(large.unwrap_err().to_string(), "it has more than 4194304 bytes");
    }
}
