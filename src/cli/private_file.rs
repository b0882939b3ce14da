//! Files that only whoever runs the command may read.
//!
//! The rules: **nothing that is there is overwritten**, no link is followed, and what is written as
//! a whole is there whole or not at all, and stays when the power fails.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Misuse;

/// A new file.
pub(super) fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The name of a file, taken before the work that gives what is to be in it. Gone again with this,
/// unless it was written.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    file: File,
    is_written: bool,
}

impl NewFile {
    /// Takes the name, or says what to do where it is taken.
    pub(super) fn create(path: &Path, if_there: &str) -> anyhow::Result<Self> {
        let shown = path.display();
        match open_new(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file, is_written: false }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Misuse(format!("{shown} is there already; {if_there}")).into())
            }
            Err(error) => Err(anyhow!(
                "{shown} cannot be created: {error}; name a file in a directory that you may write to"
            )),
        }
    }

    /// What the work comes to, unless a signal ends it.
    pub(super) async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            done = work => return Ok(done),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Err(anyhow!("interrupted before {} was written; nothing was changed", self.path.display()))
    }

    /// Writes all of it. Returns how many bytes the file has.
    pub(super) fn write(mut self, write: impl FnOnce(&mut File) -> io::Result<()>) -> anyhow::Result<u64> {
        let written = write(&mut self.file).and_then(|()| {
            self.file.sync_all()?;
            sync_name(&self.path)?;
            self.file.metadata()
        });
        match written {
            Ok(metadata) => {
                self.is_written = true;
                Ok(metadata.len())
            }
            Err(error) => Err(anyhow!("{} could not be written: {error}", self.path.display())),
        }
    }
}

/// A file whose name is lost with the power is lost.
fn sync_name(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all()) {
        // One that may be written to and not read, or of a kind that cannot be synced.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        synced => synced,
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_written {
            // Half of it helps nobody, and keeps the same command from being given again.
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::DirBuilderExt as _;

    use super::*;

    #[test]
    fn the_name_is_synced_where_no_directory_is_named_and_where_it_is_not_to_be_read() {
        let directory = std::env::temp_dir().join(format!("tenantd-write-only-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o300).create(&directory).unwrap();

        sync_name(Path::new("keyring")).unwrap();
        sync_name(&directory.join("keyring")).unwrap();
        fs::remove_dir(&directory).unwrap();
        assert_eq!(sync_name(&directory.join("keyring")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_was_not_written_whole_is_gone_and_what_was_is_there() {
        let path = std::env::temp_dir().join(format!("tenantd-new-file-{}", std::process::id()));
        let create = || NewFile::create(&path, "choose another");

        drop(create().unwrap());
        assert!(!path.exists());
        let failed = create().unwrap().write(|file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no space is left"))
        });
        assert!(failed.unwrap_err().to_string().contains("no space is left"));
        assert!(!path.exists());
        assert_eq!(create().unwrap().write(|file| file.write_all(b"whole")).unwrap(), 5);

        assert!(create().unwrap_err().to_string().ends_with("is there already; choose another"));
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        fs::remove_file(&path).unwrap();
    }
}
