//! The program itself, as processes: what is killed here is really killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tenantd::system::OsEntropy;
use tenantd::vault::{KeyKind, generate_key_set};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fleet::Fleet;
use super::rig::SUFFIX;

/// A private directory with a configuration for a fleet.
pub(crate) struct Home {
    pub(crate) directory: PathBuf,
}

impl Home {
    /// `extra` goes in front of the tables, as dotted keys.
    pub(crate) fn for_fleet(fleet: &Fleet, name: &str, extra: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("tenantd-it-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let home = Self { directory };
        let keys = generate_key_set(KeyKind::Symmetric, &OsEntropy).unwrap();
        home.write("keyring.json", keys.expose_to_keys_generate());
        home.write("ca.pem", fleet.server.ca_pem());
        home.write(
            "tenantd.toml",
            &format!(
                r#"
                database.url = "{database}"
                vault.keyring_file = "{home}/keyring.json"
                http.listen = "127.0.0.1:0"
                qlik.connect_to = "{simulator}"
                qlik.ca_file = "{home}/ca.pem"
                {extra}
                [[regions]]
                name = "us"
                hosts = ["*.{SUFFIX}"]
                client_id = "region-client"
                client_secret = "region-secret"
                "#,
                database = fleet.db.url,
                home = home.directory.display(),
                simulator = fleet.server.addr(),
            ),
        );
        home
    }

    /// From here on its daemons have the rights of this role and no more.
    pub(crate) fn become_role(&self, fleet: &Fleet, role: &str) {
        let url = &fleet.db.url;
        let joint = if url.contains('?') { '&' } else { '?' };
        let config = std::fs::read_to_string(self.path("tenantd.toml")).unwrap();
        let config = config.replace(url, &format!("{url}{joint}options=-c%20role%3D{role}"));
        self.write("tenantd.toml", &config);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A file that only its owner may read.
    pub(crate) fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A command of the program with this configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_tenantd")), arguments)
    }

    /// A command of another version of the program.
    pub(crate) fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).arg("--config").arg(self.path("tenantd.toml")).stdin(Stdio::null());
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A daemon that logs into a file of this directory.
    pub(crate) fn daemon(&self, log: &str) -> Daemon {
        self.daemon_of(Path::new(env!("CARGO_BIN_EXE_tenantd")), log)
    }

    /// A daemon of another version of the program.
    pub(crate) fn daemon_of(&self, program: &Path, log: &str) -> Daemon {
        self.daemon_by(self.command_of(program, &["run"]), log)
    }

    /// A daemon that this command starts.
    pub(crate) fn daemon_by(&self, mut command: Command, log: &str) -> Daemon {
        let log = std::fs::File::options().create(true).append(true).open(self.path(log)).unwrap();
        Daemon(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Where the daemon that logs into this file serves HTTP.
    pub(crate) async fn address(&self, log: &str) -> String {
        let served = || {
            let said = std::fs::read_to_string(self.path(log)).unwrap();
            let line = said.lines().find(|line| line.contains("serves /healthz"))?;
            Some(line.split("http://").nth(1)?.split(' ').next()?.to_owned())
        };
        eventually("it serves HTTP", Duration::from_mins(1), || async { served().is_some() }).await;
        served().unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What a failed test leaves is worth a look.
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.directory).unwrap();
        }
    }
}

/// A running daemon; dropping it kills it.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(pid).status().unwrap().success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to stop and waits for that.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Waits for a condition, looked at often; `what` names it when it never comes.
pub(crate) async fn eventually<F>(what: &str, limit: Duration, condition: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(limit, waiting).await.is_ok(), "not within {limit:?}: {what}");
}

/// The status of a page.
pub(crate) async fn status(address: &str, path: &str) -> u16 {
    page(address, path).await.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A page with its head.
pub(crate) async fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Every file below a directory that holds these bytes.
pub(crate) fn files_holding(directory: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_holding(&path, bytes));
        } else if holds(&std::fs::read(&path).unwrap(), bytes) {
            found.push(path);
        }
    }
    found
}

pub(crate) fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
