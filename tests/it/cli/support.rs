//! Runs the program and looks at all it says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::process::Command;

use crate::support::postgres::{TestDb, test_db};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// How a command went.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    pub(super) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().expect("it was not killed"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Ended with this code and one message, which has all these parts.
    #[track_caller]
    pub(super) fn assert_refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        for unwanted in ["Caused by", "panicked", "Error {", "Some("] {
            assert!(!self.stderr.contains(unwanted), "{unwanted}: {self:?}");
        }
        for part in parts {
            assert!(self.stderr.contains(part), "{part} is missing: {self:?}");
        }
    }
}

/// A directory and a database of one test's own.
pub(super) struct Bench {
    pub(super) db: TestDb,
    pub(super) scratch: Scratch,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self { db: test_db().await, scratch: Scratch::new() }
    }

    /// `tenantd` with these words, on this database.
    pub(super) async fn tenantd(&self, words: &[&str]) -> Ran {
        self.tenantd_on(&self.db.url, words).await
    }

    /// `tenantd` with these words, on another database.
    pub(super) async fn tenantd_on(&self, url: &str, words: &[&str]) -> Ran {
        let mut command = self.command(words);
        command.env("TENANTD_DATABASE__URL", url);
        Ran::of(command.output().await.unwrap())
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.scratch.command(words);
        command.env("TENANTD_DATABASE__URL", &self.db.url);
        command
    }

    pub(super) async fn sql(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&self.db.pool).await.unwrap();
    }

    pub(super) async fn given_tenant(&self, external_id: &str) {
        let host = format!("{external_id}.us.qlikcloud.com");
        sqlx::query("INSERT INTO tenantd.tenants (external_id, host) VALUES ($1, $2)")
            .bind(external_id)
            .bind(host)
            .execute(&self.db.pool)
            .await
            .unwrap();
    }

    pub(super) async fn park(&self, external_id: &str, reason: &str) {
        sqlx::query(
            "UPDATE tenantd.tenants SET parked_reason = $2, message = 'do this', due_at = NULL
              WHERE external_id = $1",
        )
        .bind(external_id)
        .bind(reason)
        .execute(&self.db.pool)
        .await
        .unwrap();
    }

    pub(super) async fn make_ready(&self, external_id: &str) {
        sqlx::query(
            "UPDATE tenantd.tenants
                SET phase = 'ready', client_id = 'cid', current_version = 1, ready_at = now(), due_at = NULL
              WHERE external_id = $1",
        )
        .bind(external_id)
        .execute(&self.db.pool)
        .await
        .unwrap();
    }
}

/// A directory, gone at the end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tenantd-cli-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file that only its owner may read.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        path
    }

    /// A fresh keyring, made by the program itself.
    pub(super) async fn keyring(&self, name: &str, kind: &str) -> PathBuf {
        let path = self.path(name);
        let made = self.tenantd(&["keys", "generate", "--type", kind, "--out", path.to_str().unwrap()]).await;
        assert_eq!(made.code, 0, "{made:?}");
        path
    }

    /// A configuration that can run, with these lines more.
    pub(super) async fn config(&self, more: &str) -> PathBuf {
        let keyring = self.keyring("keyring.json", "oct").await;
        self.file(
            "tenantd.toml",
            &format!(
                "[[regions]]\nname = \"us\"\nhosts = [\"*.us.qlikcloud.com\"]\nclient_id = \"region-client\"\n\
                 client_secret = \"region-secret\"\n[vault]\nkeyring_file = \"{}\"\n\
                 [http]\nlisten = \"127.0.0.1:0\"\n{more}",
                keyring.display()
            ),
        )
    }

    /// `tenantd` with these words, without a database.
    pub(super) async fn tenantd(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output().await.unwrap())
    }

    /// Nothing of this process's own settings gets through.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantd"));
        for (name, _) in std::env::vars_os() {
            if ["TENANTD_", "PG"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.args(words).current_dir(&self.0).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
