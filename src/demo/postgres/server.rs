//! The server process and its life line.
//!
//! A shell stands between us and the server and reads a pipe of which we hold
//! the only other end. When we end, in whatever way, the kernel closes that
//! pipe, and the shell takes the server down and removes the directory. This
//! works on Linux and macOS alike; Linux's parent-death signal would not, and
//! fires when a *thread* ends.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::StartError;
use super::binaries::Binaries;
use super::directory::Directory;
use super::owner::Owner;
use super::plan::{Durability, Plan};

/// Part of the socket's name only: there is no TCP.
pub(super) const PORT: u16 = 5432;

/// A busy machine with a slow disk takes seconds; a minute means it will not come.
const READY_STEP: Duration = Duration::from_millis(10);
const READY_STEPS: u32 = 6000;

/// `$1` is the directory, the rest is the server's command line. The server's
/// own end is noted in `exited`, so that a failed start is told at once.
const LIFE_LINE: &str = r#"
dir=$1
shift
exec 3<&0
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -QUIT $server; } &
reader=$!
wait $server
kill $reader 2>/dev/null
: >"$dir/exited"
read -r _ <&3
rm -rf "$dir"
"#;

const SETTINGS: [&str; 7] = [
    "listen_addresses=",
    "max_connections=200",
    "wal_level=minimal",
    "max_wal_senders=0",
    "timezone=UTC",
    "log_timezone=UTC",
    "lc_messages=C",
];

const NOT_DURABLE: [&str; 4] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off"];

/// Writes a fresh data directory.
pub(super) fn initdb(
    binaries: &Binaries,
    directory: &Directory,
    owner: Option<Owner>,
) -> Result<(), StartError> {
    let mut command = Command::new(binaries.program("initdb"));
    command.arg("-D").arg(directory.data());
    command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    finish("initdb", command, directory, owner)
}

/// Copies the data of the server whose socket is in `source`.
pub(super) fn base_backup(
    binaries: &Binaries,
    source: &Path,
    directory: &Directory,
    owner: Option<Owner>,
) -> Result<(), StartError> {
    let mut command = Command::new(binaries.program("pg_basebackup"));
    command.arg("-D").arg(directory.data()).arg("-h").arg(source);
    command.args(["-p", &PORT.to_string(), "-U", "postgres", "--checkpoint=fast", "--no-sync"]);
    finish("pg_basebackup", command, directory, owner)
}

/// Runs a program that prepares the data, to its end.
fn finish(
    act: &'static str,
    mut command: Command,
    directory: &Directory,
    owner: Option<Owner>,
) -> Result<(), StartError> {
    prepare(&mut command, directory, owner)?;
    let status = command.stdin(Stdio::null()).status().map_err(StartError::os(format!("run {act}")))?;
    if status.success() { Ok(()) } else { Err(StartError::Refused { act, log: directory.last_words() }) }
}

/// What both programs need: the log, a directory they may stand in, the user.
fn prepare(command: &mut Command, directory: &Directory, owner: Option<Owner>) -> Result<(), StartError> {
    let log = directory.log()?;
    let same = log.try_clone().map_err(StartError::os("share the log file"))?;
    command.current_dir(directory.path()).stdout(log).stderr(same);
    if let Some(owner) = owner {
        owner.run(command);
    }
    Ok(())
}

/// The life line's shell, and through it the server.
#[derive(Debug)]
pub(super) struct Server(Child);

impl Server {
    pub(super) fn launch(
        binaries: &Binaries,
        directory: &Directory,
        owner: Option<Owner>,
        plan: &Plan,
    ) -> Result<Self, StartError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LIFE_LINE, "tenantd-life-line"]).arg(directory.path());
        command.arg(binaries.program("postgres")).arg("-D").arg(directory.data());
        command.arg("-k").arg(directory.path()).args(["-p", &PORT.to_string()]);
        let extra: &[&str] = match plan.durability {
            Durability::None => &NOT_DURABLE,
            Durability::Full => &[],
        };
        let planned = plan.settings.iter().map(String::as_str);
        // The later of two settings counts.
        for setting in SETTINGS.iter().chain(extra).copied().chain(planned) {
            command.args(["-c", setting]);
        }
        prepare(&mut command, directory, owner)?;
        // A group of its own: Ctrl-C must reach us first, and the server through us.
        command.stdin(Stdio::piped()).process_group(0);
        command.spawn().map(Self).map_err(StartError::os("run /bin/sh"))
    }

    /// Waits until the server says so itself and its socket accepts.
    pub(super) fn wait_until_ready(&mut self, directory: &Directory) -> Result<(), StartError> {
        for _ in 0..READY_STEPS {
            if is_ready(directory) {
                return Ok(());
            }
            if directory.path().join("exited").exists() {
                break;
            }
            sleep(READY_STEP);
        }
        let log = directory.last_words();
        self.stop();
        Err(StartError::Refused { act: "the server", log })
    }

    /// Closes the life line and waits until the server is gone.
    pub(super) fn stop(&mut self) {
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            tracing::warn!("could not wait for the private PostgreSQL to end: {error}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Line 8 of the pid file is the server's own word, `standby` for one that only reads; it
/// stands there a moment before the socket does.
fn is_ready(directory: &Directory) -> bool {
    let pid_file = std::fs::read_to_string(directory.data().join("postmaster.pid")).unwrap_or_default();
    pid_file.lines().nth(7).is_some_and(|line| ["ready", "standby"].contains(&line.trim()))
        && UnixStream::connect(directory.path().join(format!(".s.PGSQL.{PORT}"))).is_ok()
}
