//! The private directory: data, socket, log.
//!
//! The rule: made with mode 0700 by one atomic `mkdir`, so that whoever guesses
//! the name can neither prepare the directory for us nor look inside.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::StartError;
use super::owner::Owner;

/// How many leftover names of earlier processes with our id are stepped over.
const TRIES: u32 = 1000;

/// Several servers of one process get different names.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Our directory, directly under `/tmp`: a socket's path may have no more than
/// 104 bytes on macOS, which its per-user temporary directory leaves no room for.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    created_by: u32,
}

impl Directory {
    pub(super) fn create() -> Result<Self, StartError> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = PathBuf::from(format!("/tmp/tenantd-pg-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Self::made(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => {
                    return Err(StartError::os(format!("make the directory {}", path.display()))(error));
                }
            }
        }
        Err(StartError::os("find a free name for a directory under /tmp")(last))
    }

    fn made(path: PathBuf) -> Result<Self, StartError> {
        let metadata =
            std::fs::metadata(&path).map_err(StartError::os(format!("look at {}", path.display())))?;
        Ok(Self { created_by: metadata.uid(), path })
    }

    /// The effective user id of this process, as the file system saw it: std has
    /// no `geteuid`, and we have no `unsafe`.
    pub(super) const fn created_by(&self) -> u32 {
        self.created_by
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the server keeps its data.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Hands the directory to the user that will run the server.
    pub(super) fn give_to(&self, owner: Option<Owner>) -> Result<(), StartError> {
        let Some(owner) = owner else { return Ok(()) };
        std::os::unix::fs::chown(&self.path, Some(owner.uid), Some(owner.gid))
            .map_err(StartError::os(format!("give {} to the user of the server", self.path.display())))
    }

    /// A file that the server's programs write their messages to.
    pub(super) fn log(&self) -> Result<std::fs::File, StartError> {
        let path = self.path.join("log");
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(StartError::os(format!("open {}", path.display())))
    }

    /// The last lines of that file.
    pub(super) fn last_words(&self) -> String {
        let text = std::fs::read(self.path.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(5)..].join(" / ")
    }

    /// Removes the directory; the life line may have been faster.
    pub(super) fn remove(&self) {
        match std::fs::remove_dir_all(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!("could not remove {}: {error}", self.path.display()),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.remove();
    }
}
