//! Reads the keyring file, if nobody else could have read or written it.
//!
//! The rule: links are followed, because Kubernetes mounts secrets as links, and
//! what is judged is the file that was opened, not its name.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::keyring_fault::KeyringFault;

/// Largest keyring file, in bytes. A key takes about 250.
const MAX_BYTES: usize = 64 * 1024;

/// Readable by others, or writable by the group or by others.
const TOO_OPEN: u32 = 0o026;

pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringFault> {
    // Asked before opening, because opening a pipe waits for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(KeyringFault::NotAFile);
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & TOO_OPEN != 0 {
        return Err(KeyringFault::TooOpen { mode, path: path.to_owned() });
    }
    read_bounded(&file)
}

fn read_bounded(mut file: &File) -> Result<Zeroizing<Vec<u8>>, KeyringFault> {
    // As large as it can get: a buffer that had to grow would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0; MAX_BYTES + 1]);
    let mut filled = 0;
    loop {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    if filled > MAX_BYTES {
        return Err(KeyringFault::TooLarge { limit: MAX_BYTES });
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn unreadable(error: io::Error) -> KeyringFault {
    KeyringFault::Unreadable(error.kind())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::vault::{KeyKind, Keyring, generate_key_set, tests::TestEntropy};

    /// A directory of its own, gone at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tenantd-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, bytes: &[u8], mode: u32) -> PathBuf {
            let path = self.0.join("keyring.json");
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn keyring() -> Vec<u8> {
        let text = generate_key_set(KeyKind::Symmetric, &TestEntropy::seeded(1)).unwrap();
        text.expose_to_keys_generate().as_bytes().to_vec()
    }

    #[test]
    fn only_a_file_that_others_can_neither_read_nor_change_is_loaded() {
        let scratch = Scratch::new("modes");

        for (mode, loads) in [
            (0o600, true),
            (0o400, true),
            (0o440, true),
            (0o640, true),
            (0o644, false),
            (0o604, false),
            (0o602, false),
            (0o660, false),
            (0o620, false),
        ] {
            let path = scratch.file(&keyring(), mode);
            let loaded = Keyring::load(&path);
            fs::remove_file(&path).unwrap();
            assert_eq!(loaded.is_ok(), loads, "{mode:o}");
        }
    }

    #[test]
    fn an_open_file_is_refused_with_the_command_that_mends_it() {
        let scratch = Scratch::new("remedy");
        let path = scratch.file(&keyring(), 0o644);

        let error = Keyring::load(&path).unwrap_err().to_string();

        let path = path.display();
        assert!(error.starts_with(&format!("keyring {path}: has mode 0644")), "{error}");
        assert!(
            error.contains(&format!("run `chmod 0600 {path}`, or where a platform mounts it")),
            "{error}"
        );
        assert!(error.contains("`defaultMode: 0440`") && error.ends_with("(Docker Swarm)"), "{error}");
    }

    #[test]
    fn a_link_to_a_keyring_is_followed() {
        let scratch = Scratch::new("link");
        let path = scratch.file(&keyring(), 0o440);
        let link = scratch.0.join("link.json");
        std::os::unix::fs::symlink(path, &link).unwrap();

        assert!(Keyring::load(&link).is_ok());
    }

    #[test]
    fn what_is_missing_or_no_file_or_too_large_is_refused() {
        let scratch = Scratch::new("shape");
        let missing = scratch.0.join("missing");

        let fault = |path: &Path| Keyring::load(path).unwrap_err().fault;

        assert_eq!(fault(&missing), KeyringFault::Unreadable(io::ErrorKind::NotFound));
        assert_eq!(fault(&scratch.0), KeyringFault::NotAFile);
        let at_the_limit = scratch.file(&vec![b' '; MAX_BYTES], 0o600);
        assert!(matches!(fault(&at_the_limit), KeyringFault::NotAKeySet { .. }));
        let over_the_limit = scratch.file(&vec![b' '; MAX_BYTES + 1], 0o600);
        assert_eq!(fault(&over_the_limit), KeyringFault::TooLarge { limit: MAX_BYTES });
    }
}
