//! Tests of the whole room: layers in, settings or faults out.

mod database_url;
mod derived;
mod documents;
mod faults;
mod hidden;
mod layers;
mod marks;
mod secrecy;
mod secret_files;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::layers::ConfigFile;
use super::{InvalidSettings, Layered, Settings, Warning};

/// The least that runs.
const LEAST: &str = r#"
    [database]
    url = "postgres://tenantd@db.internal/tenants?sslmode=verify-full"
    [[regions]]
    name = "us"
    hosts = ["*.us.qlikcloud.com"]
    client_id = "region-client"
    client_secret = "region-secret"
    [vault]
    keyring_file = "/etc/tenantd/keyring.json"
"#;

fn layered(toml: &str, variables: &[(&str, &str)]) -> Layered {
    let path = "config/prod.toml".to_owned();
    let file = ConfigFile { path, is_readable_by_others: false, text: toml.to_owned() };
    Layered::merge(Some(file), variables_of(variables)).unwrap()
}

fn variables_of(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// The least, with more below it.
fn given(more: &str) -> Result<(Settings, Vec<Warning>), InvalidSettings> {
    layered(&format!("{LEAST}{more}"), &[]).settings()
}

/// The lines of the error that this configuration gives.
fn faults_of(result: Result<(Settings, Vec<Warning>), InvalidSettings>) -> Vec<String> {
    result.unwrap_err().to_string().lines().map(str::to_owned).collect()
}

/// A directory of one test, gone when the test is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tenantd-settings-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A file that only its owner may read.
    fn private_file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.file(name, content);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
