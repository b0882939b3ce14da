//! `PgBouncer` between the program and a database: few connections of the server, handed
//! from transaction to transaction.
//!
//! The rule: it ends with this process, however that ends: a shell reads a pipe of which
//! we hold the other end.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::process::eventually;

const LIFE_LINE: &str = r#""$@" </dev/null & bouncer=$!; read -r _; kill -INT $bouncer; wait $bouncer"#;

pub(crate) struct PgBouncer {
    /// The database's address through it.
    pub(crate) url: String,
    directory: PathBuf,
    shell: Child,
}

impl PgBouncer {
    /// In front of the server of `url` (a socket in a directory), with a few lines of its
    /// configuration.
    pub(crate) async fn before(url: &str, name: &str, lines: &str) -> Self {
        let (head, rest) = url.split_once("host=").expect("a socket-only address");
        let (server, tail) = rest.split_at(rest.find('&').unwrap_or(rest.len()));
        let directory = PathBuf::from(format!("/tmp/tenantd-pgbouncer-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={server} port=5432 user=postgres\n[pgbouncer]\nlisten_addr =\nlisten_port = 5432\n\
             unix_socket_dir = {socket}\nauth_type = any\nlogfile = {socket}/log\n{lines}\n",
            socket = directory.display()
        );
        std::fs::write(&file, text).unwrap();
        let shell = run(Path::new(server), &directory, &file);
        let bouncer = Self { url: format!("{head}host={}{tail}", directory.display()), directory, shell };
        eventually("PgBouncer answers, which `make test` installs", Duration::from_secs(20), || async {
            UnixStream::connect(bouncer.directory.join(".s.PGSQL.5432")).is_ok()
        })
        .await;
        bouncer
    }

    /// What it noted.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap()
    }
}

/// It refuses root as the server does, and needs to reach the server's socket: so it is
/// whoever owns that.
fn run(server: &Path, directory: &Path, file: &Path) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", LIFE_LINE, "sh", "pgbouncer", "-q"]).arg(file);
    let owner = std::fs::metadata(server).unwrap();
    if std::fs::metadata("/proc/self").is_ok_and(|us| us.uid() == 0) {
        for path in [directory, file] {
            chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        command.uid(owner.uid()).gid(owner.gid());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().ok();
        std::fs::remove_dir_all(&self.directory).ok();
    }
}
