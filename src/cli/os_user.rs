//! Who runs this command, for the history.
//!
//! The rule: the name comes from the system, not from a variable, which anybody may set.

use std::process::Command;

/// The user's name, and before it the one who used sudo.
pub(super) fn os_user() -> String {
    let asked = Command::new("id").arg("-un").output();
    let name = asked.ok().filter(|answer| answer.status.success());
    let name = name.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned());
    let user = name.unwrap_or_else(|| "an unnamed OS user".to_owned());
    match std::env::var("SUDO_USER") {
        Ok(before) => format!("{user} (through sudo, by {before})"),
        Err(_) => user,
    }
}
