//! Where the machine keeps the server programs of Postgres.
//!
//! The rule: first what the user says (`PG_BIN_DIR`), then `PATH`, then the
//! places where packages put them, of those the highest version by number: as
//! text, 9 would beat 17. `scripts/find-postgres` looks in the same places.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::StartError;

/// Debian, openSUSE, Alpine, the project's own RPMs, Homebrew on Apple and Intel
/// processors, Postgres.app, the installer of the enterprise builds.
const KNOWN: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
];

/// The directory of `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries(PathBuf);

impl Binaries {
    /// Finds them on this machine.
    pub(super) fn find() -> Result<Self, StartError> {
        Self::find_in(std::env::var_os("PG_BIN_DIR"), std::env::var_os("PATH"), &KNOWN)
    }

    /// [`Binaries::find`] with everything it looks at.
    pub(super) fn find_in(
        given: Option<OsString>,
        path: Option<OsString>,
        known: &[&str],
    ) -> Result<Self, StartError> {
        if let Some(given) = given.filter(|given| !given.is_empty()) {
            let given = PathBuf::from(given);
            return if has_server(&given) {
                Ok(Self(given))
            } else {
                Err(StartError::NotInGivenDirectory(given))
            };
        }
        std::env::split_paths(&path.unwrap_or_default())
            .find(|dir| has_server(dir))
            .or_else(|| newest(known.iter().flat_map(|pattern| matching(pattern))))
            .map(Self)
            .ok_or_else(|| StartError::NoBinaries { searched: format!("PATH, {}", known.join(", ")) })
    }

    /// The path of one program. Some systems keep those of clients apart: one that is not
    /// beside the server's is looked for on the `PATH`.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        let beside = self.0.join(name);
        if beside.is_file() { beside } else { PathBuf::from(name) }
    }
}

fn has_server(dir: &Path) -> bool {
    dir.is_absolute() && dir.join("initdb").is_file() && dir.join("postgres").is_file()
}

fn newest(dirs: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    dirs.filter(|dir| has_server(dir)).max_by_key(|dir| version_of(dir))
}

/// What `postgres --version` says, or nothing where it does not run here.
fn version_of(dir: &Path) -> Option<Vec<u32>> {
    let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
    Some(version_in(&String::from_utf8_lossy(&output.stdout)))
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is `[15, 18]`, `18beta1` is `[18]`.
fn version_in(text: &str) -> Vec<u32> {
    let start = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[start..].split(|c: char| !(c.is_ascii_digit() || c == '.')).next().unwrap_or_default();
    number.split('.').map_while(|part| part.parse().ok()).collect()
}

/// The directories that a pattern with one `*` in it matches; the star matches
/// within one component of the path.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let (suffix, rest) = after.split_once('/').unwrap_or((after, ""));
    let Ok(entries) = std::fs::read_dir(if parent.is_empty() { "/" } else { parent }) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(prefix) && name.ends_with(suffix)
        })
        .map(|entry| entry.path().join(rest))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with fake server programs of the given versions, removed on drop.
    struct Machine(PathBuf);

    impl Machine {
        fn with_versions(name: &str, versions: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("tenantd-binaries-{}-{name}", std::process::id()));
            for version in versions {
                let bin = root.join(version).join("bin");
                std::fs::create_dir_all(&bin).unwrap();
                for program in ["initdb", "postgres"] {
                    let path = bin.join(program);
                    std::fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"))
                        .unwrap();
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                    std::fs::set_permissions(&path, mode).unwrap();
                }
            }
            Self(root)
        }

        fn pattern(&self) -> String {
            format!("{}/*/bin", self.0.display())
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn the_highest_version_wins_by_number_and_not_by_text() {
        let machine = Machine::with_versions("highest", &["9.6", "15.3", "15.18", "17.1"]);

        let found = Binaries::find_in(None, None, &[&machine.pattern()]).unwrap();

        assert_eq!(found, Binaries(machine.0.join("17.1/bin")));
    }

    #[test]
    fn what_the_user_says_wins_over_path_and_path_over_the_known_places() {
        let machine = Machine::with_versions("order", &["15.1", "16.1", "17.1"]);
        let bin = |version: &str| machine.0.join(version).join("bin");
        let known = [machine.pattern()];
        let known: Vec<&str> = known.iter().map(String::as_str).collect();

        let given = Binaries::find_in(Some(bin("15.1").into()), Some(bin("16.1").into()), &known).unwrap();
        let path = Binaries::find_in(None, Some(bin("16.1").into()), &known).unwrap();

        assert_eq!((given, path), (Binaries(bin("15.1")), Binaries(bin("16.1"))));
    }

    #[test]
    fn a_given_directory_without_programs_is_refused_by_name() {
        let error = Binaries::find_in(Some("/nowhere".into()), None, &KNOWN).unwrap_err();

        assert!(error.to_string().contains("PG_BIN_DIR is /nowhere"), "{error}");
    }

    #[test]
    fn without_programs_the_message_says_where_we_looked_and_what_to_do() {
        let error = Binaries::find_in(None, None, &["/nowhere/*/bin"]).unwrap_err().to_string();

        for part in [
            "PATH, /nowhere/*/bin",
            "apt-get install postgresql",
            "brew install postgresql@17",
            "PG_BIN_DIR",
            "TENANTD_DATABASE__URL",
            "TEST_DATABASE_URL",
        ] {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
    }

    #[test]
    fn versions_are_read_from_what_the_server_says() {
        for (text, version) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", vec![15, 18]),
            ("postgres (PostgreSQL) 18beta1", vec![18]),
            ("postgres (PostgreSQL) 9.6.24", vec![9, 6, 24]),
            ("", vec![]),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }
}
