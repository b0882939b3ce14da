//! Who runs the server when we are root: Postgres refuses to.
//!
//! The rule: children only ever *lose* rights, through the standard library; no
//! `sudo`, no `su`, no unsafe code. std drops the supplementary groups as well.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::StartError;

/// Tried in this order. `initdb` wants a user with an entry in the user
/// database; both have one on every system we know.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// An unprivileged user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    /// Whom to become when the process runs as `effective`; `None`: nobody else.
    pub(super) fn for_user(effective: u32) -> Result<Option<Self>, StartError> {
        if effective != 0 {
            return Ok(None);
        }
        CANDIDATES.into_iter().find_map(Self::named).map(Some).ok_or(StartError::NoOwner)
    }

    /// Asks `id`, which knows directories such as LDAP and macOS's own, where
    /// `/etc/passwd` does not.
    fn named(name: &str) -> Option<Self> {
        let ask = |what: &str| -> Option<u32> {
            let output = Command::new("id").args([what, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        let owner = Self { uid: ask("-u")?, gid: ask("-g")? };
        (owner.uid != 0).then_some(owner)
    }

    /// Makes `command` run as this user.
    pub(super) fn run(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_user_stays_and_root_becomes_somebody_else() {
        let plain = Owner::for_user(1000).unwrap();
        let root = Owner::for_user(0).unwrap();

        assert_eq!(plain, None);
        assert!(root.is_some_and(|owner| owner.uid != 0));
    }

    #[test]
    fn root_is_never_taken_for_an_unprivileged_user() {
        assert_eq!(Owner::named("root"), None);
        assert_eq!(Owner::named("no-such-user-here"), None);
    }
}
