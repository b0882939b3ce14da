//! Directories that nobody else can prepare for us or look into.
//!
//! The rule: made with mode 0700 by one atomic `mkdir`, so that guessing the
//! name gains nothing.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many leftover names of earlier processes with our id are stepped over.
const TRIES: u32 = 1000;

/// Several directories of one process get different names.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Makes `/tmp/<prefix>-<process id>-<number>`.
///
/// Directly under `/tmp`: a socket's path may have no more than 104 bytes on
/// macOS, which its per-user temporary directory leaves no room for.
pub(super) fn make(prefix: &str) -> io::Result<PathBuf> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..TRIES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/tmp/{prefix}-{}-{number}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}
