//! A private directory that goes when we go.
//!
//! A shell holds the other end of a pipe of ours and removes the directory as
//! soon as the pipe closes, which the kernel sees to however this process ends:
//! the directory holds a keyring, and nobody tidies up after a SIGKILL.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::private_directory;

const LIFE_LINE: &str = r#"read -r _; rm -rf "$1""#;

/// The directory. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    life_line: Child,
}

impl Scratch {
    /// Makes `/tmp/tenantd-demo-…`.
    pub(super) fn create() -> io::Result<Self> {
        let path = private_directory::make("tenantd-demo")?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LIFE_LINE, "tenantd-life-line"]).arg(&path).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: Ctrl-C must reach us first, and the shell through us.
        command.process_group(0);
        Ok(Self { path, life_line: command.spawn()? })
    }

    /// Makes an empty file that only we may read.
    pub(super) fn file(&self, name: &str) -> io::Result<(PathBuf, std::fs::File)> {
        let path = self.path.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((path, file))
    }

    /// Writes a file that only we may read.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let (path, mut file) = self.file(name)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.life_line.stdin.take());
        if let Err(error) = self.life_line.wait() {
            tracing::warn!("could not wait for {} to be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_in_it_is_ours_alone_and_goes_with_it() {
        let scratch = Scratch::create().unwrap();
        let directory = scratch.path.clone();
        let file = scratch.write("keyring.json", "{}").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;

        let modes = (mode(&directory), mode(&file));
        drop(scratch);

        assert_eq!(modes, (0o700, 0o600));
        assert!(!directory.exists());
    }

    #[test]
    fn it_goes_even_when_nobody_drops_it() {
        let mut scratch = Scratch::create().unwrap();
        let directory = scratch.path.clone();

        // What the kernel does for a process that was killed.
        drop(scratch.life_line.stdin.take());
        scratch.life_line.wait().unwrap();

        assert!(!directory.exists());
    }
}
