//! The private directory: data, socket, log.
//!
//! The rule: it belongs to whoever runs the server, and to nobody else.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::StartError;
use super::owner::Owner;
use crate::demo::private_directory;

/// Our directory, directly under `/tmp`.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    created_by: u32,
}

impl Directory {
    pub(super) fn create() -> Result<Self, StartError> {
        let path = private_directory::make("tenantd-pg")
            .map_err(StartError::os("make a directory of its own under /tmp"))?;
        Self::made(path)
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

    /// Makes an empty file that tells the server what to be when it starts.
    pub(super) fn signal(&self, name: &str) -> Result<(), StartError> {
        let path = self.data().join(name);
        std::fs::write(&path, "").map_err(StartError::os(format!("write {}", path.display())))
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
